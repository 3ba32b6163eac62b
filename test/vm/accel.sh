#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Print what runs a guest's CPU here: "kvm", or "tcg", which emulates it.
#
#   bash test/vm/accel.sh --kernel K
#
# A /dev/kvm is not enough: some nested ones stop at an instruction that they
# cannot emulate. So a guest that does nothing has to get through with it, once
# for each kernel and boot of this machine.
set -euo pipefail

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")

if [[ ! -r /dev/kvm || ! -w /dev/kvm ]]; then
	echo tcg
	exit
fi
eval "$(bash "$here/kernel.sh" "$@")"
known=$KCACHE/accel-$(</proc/sys/kernel/random/boot_id)
if [[ ! -s $known ]]; then
	accel=kvm
	if ! MD_VM_ACCEL=kvm bash "$here/run.sh" "$@" --no-module --time 25 \
		-- true >/dev/null 2>&1; then
		accel=tcg
		echo "vm: this machine's KVM does not run Linux $KVER to the" \
			"end: emulating the CPU" >&2
	fi
	rm -f "$KCACHE"/accel-*
	echo "$accel" >"$known"
fi
cat "$known"
