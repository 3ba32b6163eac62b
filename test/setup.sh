#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Install what the project needs on a Debian 12 machine that has nothing yet.
#
#   bash test/setup.sh [--build-only | --guest | --bench]
#
# --build-only  what compiles the library, the examples and the unit tests
# --guest       that, and what builds the module and boots the test guests
# --bench       that, and what the benchmarks compare with and draw with
# (none)        all of it, and the checkers that the full test run uses
#
# Nothing is done, or printed, when all of it is there. No daemon is needed.
set -euo pipefail

declare -A why=(
	[build]='compile the library, the examples and the unit tests'
	[guest]='build the kernel module and boot the test guests'
	[bench]='compare with others, and draw'
	[check]='run the checks of test/run.sh'
)
declare -A packages=(
	[build]='git gcc libc6-dev make cmake pkg-config libibverbs-dev
		librdmacm-dev libpmem-dev libcunit1-dev'
	# gcc-12 is the compiler that the kernel headers name; libelf1 is what
	# their objtool links to. Guests run the host's programs.
	[guest]='gcc-12 libelf1 make kmod cpio xz-utils zstd procps busybox-static
		qemu-system-x86 xfsprogs iproute2 ibverbs-providers
		ibverbs-utils rdmacm-utils'
	[bench]='perftest librpma-dev libucx-dev libfabric-dev perl gnuplot-nox'
	[check]='clang libclang-rt-14-dev clang-format sparse g++ valgrind
		dpkg-dev file dkms debootstrap jq spin'
)

case "${1-}" in
--build-only)	groups=(build) ;;
--guest)	groups=(build guest) ;;
--bench)	groups=(build guest bench) ;;
'')		groups=(build guest bench check) ;;
*)
	echo "usage: bash test/setup.sh [--build-only | --guest | --bench]" >&2
	exit 2 ;;
esac

installed()
{
	[[ $(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null) == \
		installed ]]
}

missing=()
for group in "${groups[@]}"; do
	lacking=()
	for package in ${packages[$group]}; do
		installed "$package" || lacking+=("$package")
	done
	if ((${#lacking[@]})); then
		echo "setup: to ${why[$group]}, installing: ${lacking[*]}"
		missing+=("${lacking[@]}")
	fi
done
((${#missing[@]})) || exit 0

as_root=()
if ((EUID)); then
	if ! command -v sudo >/dev/null; then
		echo "setup: not root and no sudo here; as root, run:" \
			"apt-get install ${missing[*]}" >&2
		exit 1
	fi
	as_root=(sudo)
fi

apt()
{
	"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -o Dpkg::Use-Pty=0 "$@" </dev/null
}

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# A package source that does not answer is no reason to stop: what is needed
# may come from the others.
apt update >"$log" 2>&1 || tail -n 3 "$log" >&2
if ! apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
	tail -n 30 "$log" >&2
	echo "setup: apt-get failed, see above" >&2
	exit 1
fi
