#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Boot a guest with a stock Debian kernel and run one command in it.
#
#   bash test/vm/run.sh [OPTION]... -- COMMAND [ARGUMENT]...
#
# --kernel K    which kernel (default 6.1; see kernel.sh)
# --time S      kill the guest after S seconds, boot included (default 300)
# --out DIR     what COMMAND writes to $OUT appears in DIR as it is written, and
#               the kernel log in DIR/dmesg; without it $OUT is thrown away
# --pmem-size S size of the first NVDIMM (default 1G; K, M, G or T; whole multiples
#               of 128 MiB); only what is written to it takes memory of the host
# --devdax-size S
#               a third NVDIMM of that size, as a device-dax (default: none)
# --testing     load the test build of the module
# --no-module   neither build nor load the module
# --allow-kernel-line [?]REGEX
#               COMMAND will provoke a kernel report whose first line matches
#               REGEX (see klog.sh): a failure unless it does, or unless a ?
#               says that it may not; may be repeated
# --member ...  is how pair.pl joins the guest to others
#
# COMMAND runs as root in the project's root directory, on the host's own root
# file system: it sees the host's files as they are at the start, and its
# changes go to memory and are lost. It has PATH, HOME, LANG and all MD_* of the
# caller's environment, no stdin, and:
#   /mnt/pmem     XFS on an emulated NVDIMM (--pmem-size), reflink=0, dax=always
#   /mnt/pmem2    another of 1 GiB, with reflink=1
#   $MD_DEVDAX    the device-dax, with --devdax-size
#   $MD_ADDR      the address of rxe0, a soft-RoCE device (on dummy0)
#   mapdirect     the module, freshly built from src/kmod and loaded
#   $MD_KMOD      the file that it was loaded from
#   $OUT          a directory for results
# Its stdout and stderr come to stdout, live. When it ends, whatever it left
# running is killed, the file systems are unmounted and checked by xfs_repair, and
# the module is unloaded; what is still in use then, or damaged, is reported in the
# kernel log.
#
# MD_VM_MEM (default 2G) is the memory of the guest without the NVDIMMs.
# MD_VM_ACCEL is kvm or tcg (default: what accel.sh finds to work).
# MD_VM_CMDLINE is added to the kernel's command line.
#
# A kernel that dies before anything of ours has begun is booted once more: an
# emulated CPU may come to an int3 by which the kernel is just changing its code
# (text_poke_bp()) after the kernel has done with it, and that is an oops.
#
# Exit code: COMMAND's (128+N if signal N killed it);
#   3    the kernel log has a report that was not declared, or lacks one that was
#   124  the time was over
#   125  no guest, or the guest died without a word
#   126  with --member: the kernel died before anything of ours had begun
#   137  SIGUSR1 asked for the guest's death, as pair.pl does; a report that was
#        declared may then be lacking
# Nothing outlives this script, however it ends: the guest gets a signal when
# its parent dies, and all files it needs have no name any more when it starts.
# shellcheck disable=SC2054,SC2317 # commas in QEMU's options; functions in traps
set -euo pipefail

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
root=$(realpath "$here/../..")
kernel=6.1
module=1
seconds=300
pmem_size=1G
devdax_size=0
out=
member=
testing=()
allow=()

say()
{
	echo "vm: $*" >&2
}

fail()
{
	say "$*"
	exit 125
}

arguments=("$@")
while (($#)); do
	case "$1" in
	--testing)	testing=(--testing); shift; continue ;;
	--no-module)	module=; shift; continue ;;
	--)		shift; break ;;
	--kernel | --time | --out | --pmem-size | --devdax-size | --allow-kernel-line | --member)
		(($# > 1)) || fail "$1 needs a value" ;;
	*)		fail "unknown option $1 (the command goes after --)" ;;
	esac
	case "$1" in
	--kernel)	kernel=$2 ;;
	--time)		seconds=$2 ;;
	--out)		out=$2 ;;
	--pmem-size)	pmem_size=$2 ;;
	--devdax-size)	devdax_size=$2 ;;
	--member)	member=$2 ;;
	*)		allow+=("$2") ;;
	esac
	shift 2
done
(($#)) || fail "no command; usage: run.sh [OPTION]... -- COMMAND [ARGUMENT]..."
[[ $seconds =~ ^[1-9][0-9]*$ ]] || fail "--time takes whole seconds"
# size OPTION VALUE: in bytes. The kernel adds memory in sections of 128 MiB, and puts
# no pages on the rest.
size()
{
	local bytes

	bytes=$(numfmt --from=iec "$2" 2>/dev/null) || fail "$1 takes a size such as 4G"
	((bytes % (128 << 20) == 0)) || fail "$1 takes a multiple of 128 MiB"
	echo "$bytes"
}

pmem_bytes=$(size --pmem-size "$pmem_size")
((pmem_bytes)) || fail "--pmem-size takes more than 0"
devdax_bytes=$(size --devdax-size "$devdax_size")
# The others are descriptors: sockets for frames, QMP and requests, and the
# contents of both NVDIMMs, which survive the guest.
boot=1
IFS=: read -r node nodes boot net monitor ask nvdimm nvdimm2 <<<"${member:-0:1:1:::::}"

assignments=$(bash "$here/kernel.sh" --kernel "$kernel") ||
	fail "no kernel $kernel"
eval "$assignments"
export KVER MODDIR KCACHE
initramfs=$(bash "$here/initramfs.sh") || fail "no initramfs"
kmod=
if [[ $module && ! -d $root/src/kmod ]]; then
	say "there is no src/kmod: running without the module"
elif [[ $module ]]; then
	kmod=$(bash "$here/kmod.sh" --kernel "$kernel" "${testing[@]}") ||
		fail "no module"
fi

# Names disappear at once; descriptors stay, also when this script is killed.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
exec {result}<>"$tmp/result"
if [[ $out ]]; then
	mkdir -p "$out"
	out=$(realpath "$out")
	log=$out/dmesg
	((boot == 1)) || log+=.$boot
	: >"$log"
else
	exec {logfd}<>"$tmp/log"
	log=/proc/$$/fd/$logfd
fi
rm -rf "$tmp"

quote()
{
	printf "'%s'" "${1//\'/\'\\\'\'}"
}

# The guest's busybox and bash both read it.
job()
{
	local name

	for name in PATH HOME LANG "${!MD_@}"; do
		[[ ! ${!name+x} ]] ||
			printf 'export %s=%s\n' "$name" "$(quote "${!name}")"
	done
	# shellcheck disable=SC2016 # the guest's own PATH
	printf '%s\n' 'PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin' \
		"export MD_ADDR=192.0.2.$((node + 1)) OUT=/run/out" \
		"vm_root=$(quote "$root")" \
		"vm_modules=$(quote "$MODDIR")" \
		"vm_kmod=$(quote "$kmod")" \
		"vm_out=$(quote "$out")" \
		"vm_token=$token" "vm_seconds=$seconds" "vm_boot=$boot" \
		"vm_member=$member" "vm_netdev=dummy0" \
		"vm_devdax=$devdax_bytes"
	[[ ! $member ]] || printf '%s\n' vm_netdev=eth0 \
		"export MD_NODE=$node MD_NODES=$nodes MD_BOOT=$boot" \
		"export MD_PEER_ADDR=192.0.2.$(((node + 1) % nodes + 1))"
	printf 'set --'
	for name; do
		printf ' %s' "$(quote "$name")"
	done
	echo
}

# In QEMU's option syntax a comma is written twice.
opt()
{
	printf '%s' "${1//,/,,}"
}

# memory FD: where an NVDIMM keeps its contents
memory()
{
	if [[ $1 ]]; then
		printf 'memory-backend-file,mem-path=/proc/self/fd/%s' "$1"
	else
		printf 'memory-backend-memfd'
	fi
}

token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
cmdline=(console=ttyS0 panic=-1 oops=panic mitigations=off
	printk.devkmsg=on rcupdate.rcu_cpu_stall_timeout=60
	${MD_VM_CMDLINE:+"$MD_VM_CMDLINE"})
accel=${MD_VM_ACCEL:-$(bash "$here/accel.sh" --kernel "$kernel")}
# On a busy host the emulated timer is late, and the kernel takes it for broken.
[[ $accel == kvm ]] || cmdline+=(tsc=unstable no_timer_check)
qemu=(
	qemu-system-x86_64 -nodefaults -no-user-config -no-reboot
	-machine "q35,nvdimm=on,accel=$accel" -cpu max -smp 2
	-m "${MD_VM_MEM:-2G},slots=3,maxmem=64G"
	-object "$(memory "$nvdimm"),id=mem0,share=on,size=$pmem_bytes"
	-device nvdimm,memdev=mem0,id=nv0
	-object "$(memory "$nvdimm2"),id=mem1,share=on,size=1G"
	-device nvdimm,memdev=mem1,id=nv1
	-kernel "$KIMAGE" -initrd "$initramfs"
	-append "${cmdline[*]}"
	-virtfs "local,path=/,mount_tag=host,security_model=none,readonly=on,multidevs=remap"
	-display none -nic none
	-chardev "file,id=log,path=$(opt "$log"),append=on"
	-serial chardev:log
	-device virtio-serial-pci
)
((!devdax_bytes)) || qemu+=(
	-object "memory-backend-memfd,id=mem2,share=on,size=$devdax_bytes"
	-device nvdimm,memdev=mem2,id=nv2
)
if [[ $out ]]; then
	qemu+=(-virtfs "local,path=$(opt "$out"),mount_tag=out,security_model=none,multidevs=remap")
fi
if [[ $member ]]; then
	qemu+=(
		-netdev "socket,id=net,fd=$net"
		-device "virtio-net-pci,netdev=net,romfile=,mac=$(printf '52:54:00:00:00:%02x' "$node")"
		-chardev "socket,id=monitor,fd=$monitor"
		-mon chardev=monitor,mode=control
		-chardev "socket,id=ask,fd=$ask"
		-device virtserialport,chardev=ask,nr=2
	)
fi

# "timeout" has one child: QEMU. It has nothing to put in order, so no TERM.
vm=
relay=
kill_guest()
{
	[[ ! $vm ]] || pkill -KILL -P "$vm" || kill "$vm" 2>/dev/null || true
}

stop()
{
	trap '' INT TERM HUP
	kill_guest
	# It may be waiting for a reader of the output.
	[[ ! $relay ]] || kill -KILL "$relay" 2>/dev/null || true
	{ wait; } 2>/dev/null
}

trap stop EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
killed=
# bash would say what was killed.
trap '{ killed=1; kill_guest; wait "$vm" || true; } 2>/dev/null' USR1

exec {port}> >(exec perl "$here/relay.pl" "$token" 3>&"$result")
relay=$!
exec {job}< <(job "$@")
setpriv --pdeathsig TERM timeout -k 5 "$seconds" \
	setpriv --pdeathsig KILL "${qemu[@]}" \
	-fw_cfg "name=opt/mapdirect/job,file=/proc/self/fd/$job" \
	-chardev "file,id=port,path=/proc/self/fd/$port" \
	-device virtserialport,chardev=port,nr=1 \
	</dev/null >&2 &
vm=$!
exec {port}>&- {job}<&-

# The relay ends with the command, or else with the guest.
status=0
wait "$relay" || status=$?
# SIGUSR1 interrupts it.
if ((status > 128)) && [[ $killed ]]; then
	status=0
	wait "$relay" || status=$?
fi
if ((status)); then
	say "nobody reads the output any more; the guest was killed"
	exit 125
fi
relay=
code=$(<"/proc/$$/fd/$result")
if [[ $code ]]; then
	for ((i = 0; i < 40; i++)); do
		! grep -qa 'mapdirect guest: exit code' "$log" || break
		sleep 0.05
	done
	kill_guest
fi
ended=0
{ wait "$vm" || ended=$?; } 2>/dev/null
vm=

if [[ $killed && ! $code ]]; then
	allow=("${allow[@]#\?}")
	allow=("${allow[@]/#/?}")
fi
judged=0
bash "$here/klog.sh" "$log" "${allow[@]}" >&2 || judged=3
if [[ $code ]]; then
	((judged == 0)) || say "the kernel log is not clean (the command's exit code: $code)"
	exit $((judged ? judged : code))
fi
[[ ! $killed ]] || exit $((judged ? judged : 137))
if ((ended == 124 || ended == 137)); then
	sed -n '/sysrq: Show Blocked State/,$p' "$log" | head -n 100 >&2
	say "the time was over: $seconds s; the guest was killed"
	exit 124
fi
say "the guest died before the command ended; its last words in the kernel log:"
tail -n 50 "$log" >&2
if ! grep -qa 'mapdirect guest: begins' "$log"; then
	[[ ! $member ]] || exit 126
	if [[ ! ${MD_VM_AGAIN-} ]]; then
		say "nothing of ours had begun: booting it once more"
		MD_VM_AGAIN=1 exec bash "$0" "${arguments[@]}"
	fi
fi
exit $((judged ? judged : 125))
