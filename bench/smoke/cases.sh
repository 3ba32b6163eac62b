# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash disable=SC2034 # for who sources it
# What the smoke tests share. Their argument is where the project was built; they run in
# a guest with a device-dax. Each case prints "ok NAME" or "not ok NAME - why"; their
# exit code is 1 if one of them failed.

bench=$(realpath "$(dirname "${BASH_SOURCE[0]}")/..")
build=${1:-$bench/../build/release}
: "${MD_ADDR:?the address of an RDMA device}" "${MD_DEVDAX:?a device-dax}"
pmem=/mnt/pmem
failed=0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp" "$pmem"/smoke*' EXIT

ok()
{
	echo "ok $1"
}

not_ok()
{
	echo "not ok $1 - $2"
	failed=1
}
