#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Install mapdirect-dkms in a guest, which has the headers of its kernel: DKMS
# builds the module, it loads, and does its work.
#
#   bash test/dkms.sh [--kernel K]
#
# Prints "ok NAME" or "not ok NAME - why" for each case. Exit code 1 if one failed.
# An emulated CPU takes three minutes to compile it.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck source=cases.sh
source test/cases.sh

loads()
{
	modprobe mapdirect &&
		[[ $(modinfo -F filename mapdirect) == */updates/dkms/* ]] &&
		[[ -c /dev/mapdirect ]]
}

group_and_rule()
{
	getent group mapdirect && [[ -f /usr/lib/udev/rules.d/60-mapdirect.rules ]]
}

removed()
{
	rmmod mapdirect && dpkg -r mapdirect-dkms && ! modinfo mapdirect &&
		[[ -z $(dkms status mapdirect) ]]
}

# In the guest.
here()
{
	try dkms__package_installs_and_builds dpkg -i build/debian/mapdirect-dkms_*_all.deb
	try dkms__module_loads loads
	try dkms__group_and_udev_rule_are_there group_and_rule
	try dkms__leases_are_taken_and_broken build/release/test/guest/breaks
	try dkms__package_is_removed_without_a_trace removed
	exit "$failed"
}

[[ ${1-} != --here ]] || here

cmake --preset release >/dev/null
cmake --build build/release -j2 >/dev/null
bash test/debs.sh >/dev/null
exec bash test/vm/run.sh "$@" --no-module --time 800 -- bash test/dkms.sh --here
