#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Install the packages by apt in a clean Debian 12, use them there, purge them; then
# build the module there as README.md says for those who have no packages.
#
#   bash test/clean.sh [--kernel=K]...
#
# --kernel=K  a kernel to build it for (test/vm/kernel.sh)
#
# The clean root is debootstrap's minbase, from the machine's own package sources,
# without recommended packages and without a kernel's headers. It is kept in the
# cache (test/debian.sh), as is what apt downloads; removing debian-12 there makes
# it anew. Needs root or sudo. All of it happens in memory, in a mount namespace
# that ends with this script; what sysfs would say of this machine is not in it.
#
# Prints "ok NAME" or "not ok NAME - why" for each case. Exit code 1 if one
# failed, 77 if it cannot be done here.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=cases.sh
source test/cases.sh
# shellcheck source=debian.sh
source test/debian.sh
kept=$cache/debian-12

skip()
{
	echo "skip clean - $*"
	exit 77
}

kernels=()
here=
for argument; do
	case $argument in
	--kernel=*)	kernels+=("${argument#*=}") ;;
	--here)		here=1 ;;
	*)		echo "clean: unknown option $argument" >&2; exit 2 ;;
	esac
done

if [[ ! $here ]]; then
	enter=(unshare --mount --pid --fork --kill-child)
	if ((EUID)); then
		command -v sudo >/dev/null || skip "not root, and there is no sudo"
		enter=(sudo "${enter[@]}")
	fi
	"${enter[@]}" true || skip "no mount namespace can be made"
	bash test/debs.sh >/dev/null
	cmake --preset release >/dev/null
	cmake --build --preset release >/dev/null
	rm -rf build/installed
	DESTDIR=$PWD/build/installed cmake --install build/release >/dev/null
	for kernel in "${kernels[@]}"; do
		bash test/vm/kernel.sh --kernel "$kernel" >/dev/null
	done
	exec "${enter[@]}" env MAPDIRECT_CACHE="$cache" \
		bash test/clean.sh --here "$@"
fi

work=$(mktemp -d)
trap 'umount -R "$work" && rmdir "$work"' EXIT
mount -t tmpfs -o mode=755 clean "$work"
root=$work/root

in_root()
{
	chroot "$root" env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 HOME=/root \
		DEBIAN_FRONTEND=noninteractive "$@"
}

apt()
{
	in_root apt-get -q -y --no-install-recommends "$@" </dev/null
}

make_archive()
{
	local new=$work/new uri

	uri=$(configured | sed -n 's/^bookworm //p' | head -n 1)
	if [[ ! $uri ]]; then
		echo "clean: no package source of this machine has the suite bookworm"
		return 1
	fi
	debootstrap --variant=minbase --include=ca-certificates bookworm \
		"$new" "$uri" || return 1
	configured | sort -u | sed -nE \
		's/^(bookworm(-updates|-security)?) (.*)/deb \3 \1 main/p' \
		>"$new/etc/apt/sources.list"
	# How to get there, too: proxies and the like.
	apt-config dump Acquire >"$new/etc/apt/apt.conf.d/90machine"
	mkdir -p "$kept/archives/partial"
	mv "$new"/var/cache/apt/archives/*.deb "$kept/archives"
	tar -C "$new" -cf "$kept/root.tar.new" . &&
		mv "$kept/root.tar.new" "$kept/root.tar" || return 1
	rm -rf "$new"
}

set_up()
{
	[[ -s $kept/root.tar ]] || make_archive || return 1
	mkdir "$root" && tar -C "$root" -xpf "$kept/root.tar" &&
		mount -t proc proc "$root/proc" &&
		mount --bind "$kept/archives" "$root/var/cache/apt/archives" &&
		cp -L /etc/resolv.conf "$root/etc/resolv.conf" &&
		mkdir "$root/debs" && cp build/debian/*.deb "$root/debs" || return 1
	# Without the network, what is in the cache may do.
	apt update || true
}

# says STATUS FILE [OPTION]: what md_doctor says, with that exit status
says()
{
	local want=$1 to=$2 status=0

	shift 2
	in_root md_doctor "$@" >"$to" || status=$?
	cat "$to"
	((status == want))
}

doctor()
{
	local line

	says 1 "$work/said" || return 1
	for line in "module: not installed for $(uname -r)" \
		"mount: no XFS in DAX mode is mounted" \
		"RDMA device: there is none"; do
		grep -qx "missing  $line" "$work/said" || {
			echo "it does not say: $line"
			return 1
		}
	done
	tail -n 1 "$work/said" | grep -qx "not ready: $(grep -c ^missing "$work/said") things are missing"
}

# The same findings, line by line.
doctor_json()
{
	says 1 "$work/json" --json || return 1
	perl -MJSON::PP -0777 -e '
		binmode STDOUT, ":utf8";
		my $page = decode_json(<STDIN>);
		for (@{$page->{findings}}) {
			printf "%-8s %s%s: %s\n", $_->{status}, $_->{check},
				defined $_->{subject} ? " $_->{subject}" : "", $_->{found};
			print "         -> $_->{remedy}\n" if defined $_->{remedy};
		}
		printf "%s: %d things are missing\n",
			$page->{ready} ? "ready" : "not ready", $page->{missing};
	' <"$work/json" | diff - "$work/said"
}

# Every program finds its libraries, and says how it is called.
programs()
{
	local file

	for file in $(in_root dpkg -L mapdirect-tools mapdirect-examples |
		grep '^/usr/bin/.'); do
		grep "^usage: ${file##*/} " <<<"$(in_root "$file" --help 2>&1)" ||
			return 1
	done
}

# There is no kernel that it could be built for: that is no failure.
dkms_knows()
{
	in_root dkms status mapdirect | grep -x 'mapdirect/[0-9.]*: added' &&
		in_root getent group mapdirect
}

again()
{
	apt --reinstall install "${debs[@]}" && dkms_knows
}

# What a developer has, and the -dev package need not bring; libelf1 comes with a
# kernel's headers.
compilers()
{
	apt install g++ libc6-dev make pkgconf cmake libelf1 || return 1
	mkdir "$root/test"
	cp -r test/cases.sh test/install "$root/test"
}

# The group stays, as groups of packages do: files may be theirs.
purged()
{
	local left

	apt purge "${packages[@]}" || return 1
	left=$(in_root find / -xdev -path /debs -prune -o -path /test -prune -o \
		-name '*mapdirect*' -print
		in_root dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
			"${packages[@]}" 2>/dev/null)
	echo "left: $left"
	[[ ! $left ]] && in_root dpkg --audit
}

# How README.md has DKMS find what "cmake --install" installed.
source_builds()
{
	local assignments line

	assignments=$(bash test/vm/kernel.sh --kernel "$1") || return 1
	eval "$assignments"
	line=$(sed -n 's/.*\(dkms install [^ ]*\).*/\1/p' README.md)
	# What the build for another kernel left.
	rm -rf "$root"/usr/src/mapdirect-* "$root/var/lib/dkms/mapdirect"
	cp -r build/installed/usr/local/src "$root/usr/local" &&
		mkdir -p "$root$KCACHE" "$root/lib/modules/$KVER" &&
		mount --bind "$KCACHE" "$root$KCACHE" &&
		ln -s "$KDIR" "$root/lib/modules/$KVER/build" || return 1
	in_root sh -c "${line:?} -k $KVER" && # it has a pattern in it
		[[ -s $root/lib/modules/$KVER/updates/dkms/mapdirect.ko ]]
}

try clean__root_is_made set_up
((!failed)) || exit 1
debs=()
packages=()
for deb in build/debian/*.deb; do
	debs+=("/debs/${deb##*/}")
	packages+=("$(dpkg-deb -f "$deb" Package)")
done
mapfile -t tools < <(printf '%s\n' "${debs[@]}" | grep -E '/(libmapdirect0|mapdirect-tools)_')

try clean__apt_installs_tools apt install "${tools[@]}"
try clean__doctor_says_what_is_missing doctor
try clean__doctor_says_the_same_as_json doctor_json
try clean__apt_installs_all apt install "${debs[@]}"
try clean__programs_start programs
try clean__dkms_without_headers dkms_knows
try clean__apt_installs_again again
try clean__compilers_are_there compilers
in_root bash /test/install/consume.sh clean || failed=1
try clean__purged_without_a_trace purged
for kernel in "${kernels[@]}"; do
	try "clean__source_builds_for_$kernel" source_builds "$kernel"
done
# With sudo, the cache stays the user's.
chown -R --reference="$cache" "$kept"
exit "$failed"
