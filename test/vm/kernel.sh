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

# What --kernel names: the suite where linux-image-amd64 is that kernel. One
# that the machine has no package lists for is asked by an apt configuration of
# our own, so that the machine's stays as it is.
declare -A suites=(
	[6.1]=bookworm
	[6.12]=bookworm-backports
)

kernel=6.1
while (($#)); do
	case "$1" in
	--kernel)	kernel=${2-}; shift 2 || shift ;;
	*)		echo "kernel: unknown option $1" >&2; exit 2 ;;
	esac
done
suite=${suites[$kernel]-}
if [[ ! $suite ]]; then
	echo "kernel: no kernel '$kernel'; there are: ${!suites[*]}" >&2
	exit 2
fi

# shellcheck source=../debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/../debian.sh"
dir=$cache/linux-$kernel

own_apt=() # options that make apt use our configuration

# Have apt read the suite's lists into a directory of ours.
use_own_apt()
{
	local dir=$1/apt uri keys=/usr/share/keyrings/debian-archive-keyring.gpg

	uri=$(configured | sed -n 's/^bookworm //p' | head -n 1)
	[[ $uri ]] || return 1
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	echo "deb [signed-by=$keys] $uri $suite main" >"$dir/sources.list"
	own_apt=(-o "Dir::Etc::SourceList=$dir/sources.list"
		-o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir"
		-o Dir::State::Status=/dev/null
		-o "APT::Sandbox::User=$(id -un)")
	apt-get -qq "${own_apt[@]}" update >&2
}

# The machine's package lists may be absent or out of date.
apt_update()
{
	local sudo=()

	((${#own_apt[@]} == 0)) || return 0
	((EUID == 0)) || sudo=(sudo)
	"${sudo[@]}" apt-get -qq update >&2 || true
}

# depends PACKAGE PATTERN: the first dependency of that form
depends()
{
	apt-cache "${own_apt[@]}" depends --no-recommends --no-suggests "$1" \
		2>/dev/null | sed -n "s/.*Depends: \($2\)$/\1/p" | head -n 1
}

download()
{
	local image release kbuild

	image=$(depends linux-image-amd64 "linux-image-$kernel\..*")
	release=${image#linux-image-}
	kbuild=$(depends "linux-headers-$release" 'linux-kbuild-.*')
	[[ $release && $kbuild ]] || return 1
	(cd "$1" && apt-get -qq "${own_apt[@]}" \
		-o APT::Sandbox::User="$(id -un)" download \
		"$image" "linux-headers-$release" \
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

# field FILE OFFSET SIZE: an unsigned number in it
field()
{
	od -A n -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# An emulated CPU takes seconds to decompress the kernel: do it here. The
# kernel's PVH entry lets QEMU boot the result. Where the payload is, and that
# four bytes with its size follow it: Documentation/arch/x86/boot.rst.
decompress()
{
	local image=$1 start length tool

	start=$((($(field "$image" $((0x1f1)) 1) + 1) * 512 +
		$(field "$image" $((0x248)) 4)))
	length=$(($(field "$image" $((0x24c)) 4) - 4))
	case $(od -A n -t x1 -j "$start" -N 4 "$image" | tr -d ' ') in
	28b52ffd)	tool=zstd ;;
	fd377a58)	tool=xz ;;
	*)
		echo "kernel: $image is compressed in an unknown way" >&2
		return 1 ;;
	esac
	# More follows: head stops before tail does.
	head -c "$length" < <(tail -c "+$((start + 1))" "$image") | "$tool" -dc
}

fetch()
{
	local new=$1 deb release

	mkdir "$new/root"
	if ! configured | grep -q "^$suite " && ! use_own_apt "$new"; then
		echo "kernel: apt-get cannot read the suite $suite; is this" \
			"Debian 12, and its mirror reachable?" >&2
		return 1
	fi
	if ! download "$new"; then
		apt_update
		rm -f "$new"/*.deb
		if ! download "$new"; then
			echo "kernel: apt-get has no Linux $kernel; is this" \
				"Debian 12, and its mirror reachable?" >&2
			return 1
		fi
	fi
	rm -rf "$new/apt"
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
