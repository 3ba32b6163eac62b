#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Install mapdirect-dkms in a guest, which has the headers of its kernel: DKMS
# builds the module, it loads, and does its work, also for the programs of the
# other packages.
#
#   bash test/dkms.sh [--kernel K]
#
# Prints "ok NAME" or "not ok NAME - why" for each case. Exit code 1 if one failed.
# An emulated CPU takes five minutes to compile it.
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

programs_install()
{
	dpkg -i build/debian/{libmapdirect0,mapdirect-tools,mapdirect-examples}_*.deb
}

# Server and client verify every byte. The client may be there too early.
ping()
{
	local server i

	/usr/bin/md_ping -s -a "$MD_ADDR" -f /mnt/pmem/buffer -S 65536 -V &
	server=$!
	for ((i = 0; i < 40; i++)); do
		if /usr/bin/md_ping -c -a "$MD_ADDR" -C 50 -S 65536 -V |
			grep -x '50 pings, 0 recalls, 0 reconnections'; then
			wait "$server"
			return
		fi
		sleep 0.5
	done
	kill "$server"
	return 1
}

removed()
{
	rmmod mapdirect && dpkg -r mapdirect-dkms && ! modinfo mapdirect &&
		[[ -z $(dkms status mapdirect) ]]
}

# In the guest.
here()
{
	# Else dpkg has all man pages of the machine indexed: minutes.
	rm -f /var/lib/man-db/auto-update
	# Nor need depmod read the modules of devices that are not there.
	(cd "/lib/modules/$(uname -r)/kernel" &&
		rm -rf sound net drivers/{[a-hj-mo-z]*,net})
	try dkms__package_installs_and_builds dpkg -i build/debian/mapdirect-dkms_*_all.deb
	try dkms__module_loads loads
	try dkms__group_and_udev_rule_are_there group_and_rule
	try dkms__leases_are_taken_and_broken build/release/test/guest/breaks
	try dkms__programs_install programs_install
	try dkms__doctor_finds_nothing_missing /usr/bin/md_doctor /mnt/pmem /mnt/pmem2
	try dkms__md_ping_verifies_every_byte ping
	try dkms__package_is_removed_without_a_trace removed
	exit "$failed"
}

[[ ${1-} != --here ]] || here

cmake --preset release >/dev/null
cmake --build build/release -j2 >/dev/null
bash test/debs.sh >/dev/null
exec bash test/vm/run.sh "$@" --no-module --time 2400 -- bash test/dkms.sh --here
