#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Make sure that a stock Debian kernel and its headers are in the cache.
#
#   eval "$(bash test/vm/kernel.sh [--kernel K])"
#
# prints assignments: KVER (release), KIMAGE (to boot), MODDIR (what a machine
# has as /lib/modules), KDIR (for make -C KDIR M=...) and KCACHE, where more
# that belongs to this kernel may be kept. The cache is $MAPDIRECT_CACHE, or
# mapdirect in the user's cache directory. The packages are unpacked there,
# never installed; removing the directory fetches the newest again.
set -euo pipefail

# What --kernel names: the meta package that knows the newest release.
declare -A meta=(
	[6.1]=linux-image-amd64
)

kernel=6.1
while (($#)); do
	case "$1" in
	--kernel)	kernel=${2-}; shift 2 || shift ;;
	*)		echo "kernel: unknown option $1" >&2; exit 2 ;;
	esac
done
if [[ ! ${meta[$kernel]-} ]]; then
	echo "kernel: no kernel '$kernel'; there are: ${!meta[*]}" >&2
	exit 2
fi

cache=${MAPDIRECT_CACHE:-${XDG_CACHE_HOME:-~/.cache}/mapdirect}
mkdir -p "$cache"
cache=$(realpath "$cache")
dir=$cache/linux-$kernel

apt_update()
{
	local sudo=()

	((EUID == 0)) || sudo=(sudo)
	"${sudo[@]}" apt-get -qq update >&2 || true
}

# The release of the newest kernel, as its packages are named after it.
newest()
{
	apt-cache depends --no-recommends --no-suggests "${meta[$kernel]}" \
		2>/dev/null |
		sed -n "s/.*Depends: linux-image-\($kernel\..*\)/\1/p" |
		head -n 1
}

download()
{
	local release kbuild

	release=$(newest)
	[[ $release ]] || return 1
	kbuild=linux-kbuild-$kernel
	(cd "$1" && apt-get -qq -o APT::Sandbox::User="$(id -un)" download \
		"linux-image-$release" \
		"linux-headers-$release" \
		"linux-headers-${release%-amd64}-common" "$kbuild" >&2) ||
		return 1
	echo "$release" >"$1/release"
}

# The packages have absolute paths in links and makefiles; make them point into
# the place where the tree is going to be.
relocate()
{
	local root=$1 final=$2 link target

	while IFS= read -r -d '' link; do
		target=$(readlink "$link")
		[[ $target == /usr/* ]] && ln -sfn "$final$target" "$link"
	done < <(find "$root/usr" "$root/lib/modules" -type l -print0)
	grep -rlIZ --include=Makefile --include='.kernel*' '/usr/src/linux-' \
		"$root/usr/src" |
		xargs -0 sed -i "s|/usr/src/linux-|$final&|g"
}

# An emulated CPU takes seconds to decompress the kernel: do it here. The
# kernel's PVH entry lets QEMU boot the result.
decompress()
{
	local vmlinuz=$1 offset

	offset=$(LC_ALL=C grep -abom1 -P '\xfd7zXZ\x00' "$vmlinuz" |
		tr -d '\0')
	# More follows the stream: xz stops before tail does.
	xz -dc --single-stream < <(tail -c "+$((${offset%%:*} + 1))" "$vmlinuz")
}

fetch()
{
	local new=$1 deb release

	mkdir "$new/root"
	echo "kernel: fetching Linux $kernel and its headers into $dir" >&2
	if ! download "$new"; then
		# The machine's package lists may be absent or out of date.
		apt_update
		rm -f "$new"/*.deb
		if ! download "$new"; then
			echo "kernel: apt-get has no Linux $kernel; is this" \
				"Debian 12, and its mirror reachable?" >&2
			return 1
		fi
	fi
	for deb in "$new"/*.deb; do
		dpkg-deb --extract "$deb" "$new/root"
		rm "$deb"
	done
	release=$(<"$new/release")
	relocate "$new/root" "$dir/root"
	/sbin/depmod -b "$new/root" "$release"
	decompress "$new/root/boot/vmlinuz-$release" >"$new/vmlinux"
	sync -f "$new"
	mv -T "$new" "$dir"
}

exec {lock}>"$cache/.lock"
flock "$lock"
if [[ ! -d $dir ]]; then
	rm -rf "$cache"/.new.*
	new=$(mktemp -d "$cache/.new.XXXXXX")
	trap 'rm -rf "$new"' EXIT
	chmod 755 "$new"
	fetch "$new"
fi
flock -u "$lock"

release=$(<"$dir/release")
printf '%s=%q\n' \
	KVER "$release" \
	KIMAGE "$dir/vmlinux" \
	MODDIR "$dir/root/lib/modules" \
	KDIR "$dir/root/usr/src/linux-headers-$release" \
	KCACHE "$dir"
