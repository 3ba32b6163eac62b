#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Process 1 of a test guest, on the host's root: sets up what run.sh promises,
# runs the command, checks that nothing is left of it and that the file systems are
# sound, and sends the exit code.
# shellcheck disable=SC2154 # all vm_* are in the job
set -euo pipefail

# Not ". FILE": sysfs says that its size is 0, and bash believes it.
eval "$(cat /sys/firmware/qemu_fw_cfg/by_name/opt/mapdirect/job/raw)"

exec {port}<>/dev/vport*p1 0</dev/null 1>&"$port" 2>&1

finish()
{
	printf '\0%s %d\n' "$vm_token" "$1" >&"$port"
	# The host ends the guest; it has all that it needs.
	sleep infinity
}

trap 'echo "guest: the set-up failed" >&2; finish 125' EXIT

ulimit -l unlimited
ulimit -c 0

# region SLOT: the number of the region that the NVDIMM in that slot is; they are found in
# any order.
region()
{
	local region dimm handle

	for region in /sys/bus/nd/devices/region*; do
		IFS=, read -r dimm _ <"$region/mapping0"
		handle=$(<"/sys/bus/nd/devices/$dimm/nfit/handle")
		((handle != $1 + 1)) || echo "${region##*region}"
	done
}

# claim DEVICE NAMESPACE UUID: what "ndctl create-namespace -M mem" does is a second's
# work for an emulated CPU; these writes are not.
claim()
{
	local device=/sys/bus/nd/devices/$1

	echo "$2" >/sys/bus/nd/drivers/nd_pmem/unbind
	echo ram >"$device/mode"
	echo $((2 << 20)) >"$device/align"
	echo "$3" >"$device/uuid"
	echo "$2" >"$device/namespace"
}

# pmem SLOT REFLINK DIRECTORY: a file system on a whole NVDIMM.
pmem()
{
	local reflink=$2 where=$3 n

	n=$(region "$1")
	if ((vm_boot > 1)); then
		# All is there, as the last boot has left it.
		until [[ -b /dev/pmem$n ]]; do
			sleep 0.1
		done
		mount -t xfs -o dax=always "/dev/pmem$n" "$where"
		return
	fi
	claim "pfn$n.0" "namespace$n.0" "00000000-0000-4000-8000-00000000000$n"
	echo "pfn$n.0" >/sys/bus/nd/drivers/nd_pmem/bind
	# Extents on 2 MiB boundaries allow huge pages.
	mkfs.xfs -q -f -m "reflink=$reflink" -d agcount=2,su=2m,sw=1 "/dev/pmem$n"
	mount -t xfs -o dax=always "/dev/pmem$n" "$where"
}

# devdax REGION: no file system at all.
devdax()
{
	modprobe -a dax_pmem device_dax
	claim "dax$1.0" "namespace$1.0" 00000000-0000-4000-8000-0000000000da
	echo "dax$1.0" >/sys/bus/nd/drivers/dax_pmem/bind
}

pmem 0 0 /mnt/pmem &
jobs=($!)
pmem 1 1 /mnt/pmem2 &
jobs+=($!)
rdma link add rxe0 type rxe netdev "$vm_netdev" &
jobs+=($!)
if ((vm_devdax)); then
	n=$(region 2)
	devdax "$n" &
	jobs+=($!)
	export MD_DEVDAX=/dev/dax$n.0
fi
for job in "${jobs[@]}"; do
	wait "$job"
done

if [[ $vm_kmod ]]; then
	for module in $(modinfo -F depends "$vm_kmod" | tr , ' '); do
		modprobe "$module"
	done
	insmod "$vm_kmod"
	export MD_KMOD=$vm_kmod
fi

# Says in the kernel log what is stuck when the time is about to be over.
if ((vm_seconds >= 30)); then
	(sleep $((vm_seconds - 20)) && echo w >/proc/sysrq-trigger) &
	disown
fi

cd "$vm_root"
[[ ! $vm_member ]] || bash test/vm/ask.sh ready
trap - EXIT
set +e
# Through a pipe: the port can be opened only once, so that /dev/stdout would
# not work on the port itself.
exec {pipe}> >(exec cat >&"$port")
relay=$!
# bash's own word on a signal that ends the command is not output.
{ (exec "$@" >&"$pipe" 2>&1 {port}>&- {pipe}>&-); } 2>/dev/null
code=$?
exec {pipe}>&-

# Up to 10 s, in tenths of a second.
soon()
{
	local i

	for ((i = 0; i < 100; i++)); do
		"$@" 2>/dev/null && return
		# The host sends nothing: a pause without another process.
		read -rt 0.1 -u "$port"
	done
	return 1
}

# True when no process is left but this one and the relay; kills them.
alone()
{
	local dir pid left=0

	for dir in /proc/[0-9]*; do
		pid=${dir#/proc/}
		if ((pid == 1 || pid == relay)) || [[ ! -e $dir/exe ]]; then
			continue
		fi
		kill -KILL "$pid" && left=1
	done
	return "$left"
}

# run.sh takes it for what it is: a finding in the kernel log.
complain()
{
	echo "<3>BUG: mapdirect guest: $1 after the command's end" >/dev/kmsg
}

cd /
soon alone || complain "processes cannot be killed"
soon eval "! kill -0 $relay" || complain "the output is held open"
for where in /mnt/pmem /mnt/pmem2; do
	device=$(findmnt -n -o SOURCE "$where")
	if ! soon umount "$where"; then
		complain "$where stays in use"
	elif ! found=$(xfs_repair -n "$device" 2>&1); then
		found=$(grep -vE '^(Phase|No modify| )' <<<"$found" | head -n 3)
		complain "$where is damaged (${found//$'\n'/; })"
	fi
done
if [[ $vm_kmod ]]; then
	soon rmmod mapdirect || complain "the module stays in use"
fi
# The log is complete on the host when this has arrived there.
echo "mapdirect guest: exit code $code" >/dev/kmsg
finish "$code"
