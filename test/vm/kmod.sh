#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Build the module of src/kmod for a cached kernel, outside the source tree.
#
#   bash test/vm/kmod.sh [--kernel K] [--testing] [MAKE ARGUMENT]...
#
# builds build/kmod-RELEASE/mapdirect.ko, or build/kmod-RELEASE-testing/ with
# MAPDIRECT_TESTING=1, and prints that path. Only what changed is compiled;
# "C=2" as an argument runs sparse over everything.
set -euo pipefail

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
kernel=()
testing=
args=()
while (($#)); do
	case "$1" in
	--kernel)	kernel=(--kernel "${2-}"); shift 2 || shift ;;
	--testing)	testing=1; shift ;;
	-*)		echo "kmod: unknown option $1" >&2; exit 2 ;;
	*)		args+=("$1"); shift ;;
	esac
done

assignments=$(bash "$here/kernel.sh" "${kernel[@]}")
eval "$assignments"
dir=$root/build/kmod-$KVER${testing:+-testing}
mkdir -p "$dir"
exec {lock}>"$dir/.lock"
flock "$lock"

# kbuild needs a second to find that there is nothing to do.
ko=$dir/mapdirect.ko
if [[ -f $ko ]] && ((${#args[@]} == 0)) && [[ ! $(find "$root/src/kmod" \
	"$root/include/mapdirect" "$KDIR/.config" -newer "$ko") ]]; then
	echo "$ko"
	exit
fi

# kbuild writes next to the sources: give it a directory of links to them.
find "$dir" -maxdepth 1 -xtype l -delete
for source in "$root"/src/kmod/*; do
	ln -sfn "$source" "$dir/"
done

log=$dir/.log
status=0
# BTF would need pahole.
make -C "$KDIR" M="$dir" -j2 CONFIG_DEBUG_INFO_BTF_MODULES= ${testing:+MAPDIRECT_TESTING=1} "${args[@]}" \
	modules >"$log" 2>&1 || status=$?
if ((status)); then
	cat "$log" >&2
	echo "kmod: the build failed, see above" >&2
	exit "$status"
fi
# Nothing else in the log is of interest.
grep -E '(warning|error):' "$log" >&2 || true
echo "$ko"
