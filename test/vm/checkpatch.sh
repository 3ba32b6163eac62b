#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Check the module's style with the kernel's own checkpatch.pl --strict.
#
#   bash test/vm/checkpatch.sh
#
# The script is taken from Debian's linux-source package (140 MB to download,
# once; three files of it are kept in the cache beside the kernel).
set -euo pipefail

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
eval "$(bash "$here/kernel.sh")"
scripts=$KCACHE/scripts

fetch()
{
	local new=$1

	echo "checkpatch: fetching linux-source-6.1 for checkpatch.pl" >&2
	(cd "$new" && apt-get -qq -o APT::Sandbox::User="$(id -un)" \
		download linux-source-6.1 >&2)
	dpkg-deb --fsys-tarfile "$new"/*.deb | tar -xO --wildcards '*.tar.xz' |
		tar -xJ -C "$new" --strip-components=2 --wildcards \
			'*/scripts/checkpatch.pl' '*/scripts/spelling.txt' \
			'*/scripts/const_structs.checkpatch'
	rm "$new"/*.deb
	mv -T "$new" "$scripts"
}

if [[ ! -d $scripts ]]; then
	new=$(mktemp -d "$KCACHE/.scripts.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	fetch "$new"
fi

cd "$root"
perl "$scripts/checkpatch.pl" --no-tree --strict --max-line-length=100 \
	--no-summary --terse -f src/kmod/*.[ch] include/mapdirect/uapi.h
