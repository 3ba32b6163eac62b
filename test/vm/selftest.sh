#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Test the guest harness itself: one "ok NAME" or "not ok NAME" line per case.
#
#   bash test/vm/selftest.sh [run.sh OPTION]...
#
# Options such as --no-module or --kernel K go to each run.sh and pair.sh. Eight
# guests are booted, up to three at once, one of them twice, and thirteen more are
# killed, or die, while they boot.
# shellcheck disable=SC2016,SC2317 # the guest expands; check() calls
set -euo pipefail

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
options=("$@")
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
# What the runs leave behind would be here.
mkdir "$tmp/left"
export TMPDIR=$tmp/left
export MD_SELFTEST="from outside"
failed=0

check()
{
	local name=$1

	shift
	if "$@"; then
		echo "ok $name"
	else
		echo "not ok $name"
		failed=1
	fi
}

has()
{
	grep -qE -e "$2" "$tmp/$1"
}

is()
{
	[[ $1 == "$2" ]]
}

# script SCRIPT NAME ARGUMENT...: its output, sentences and exit code in files.
script()
{
	local script=$1 name=$2 code=0

	shift 2
	bash "$here/$script" "${options[@]}" "$@" >"$tmp/$name.out" \
		2>"$tmp/$name.err" || code=$?
	echo "$code" >"$tmp/$name.code"
}

run()
{
	script run.sh "$@"
}

pair()
{
	script pair.sh "$@"
}

code()
{
	is "$(<"$tmp/$1.code")" "$2"
}

# Without a guest: what counts as a report in the kernel log.

log()
{
	cat >"$tmp/log"
	bash "$here/klog.sh" "$tmp/log" "$@" >"$tmp/klog.out"
}

splat='[ 1.0] ------------[ cut here ]------------
[ 1.0] WARNING: CPU: 1 PID: 9 at fs/dax.c:393 dax_entry+0x1/0x2
[ 1.0] Call Trace:
[ 1.0] ---[ end trace 0000000000000000 ]---'
hung='[ 9.0] INFO: task truncate:77 blocked for more than 120 seconds.
[ 9.0]       Tainted: G O
[ 9.0] Call Trace:'
harmless='[ 0.0] Linux version 6.1.0
[ 1.0] XFS (pmem0): DAX enabled. Warning: EXPERIMENTAL, use at your own risk
[ 1.0] rcu: RCU CPU stall warnings timeout set to 60 (rcu_cpu_stall_timeout).'

not()
{
	! "$@"
}

check klog_harmless__accepted log <<<"$harmless"
check klog_warn__found not log <<<"$splat"
check klog_warn_declared__accepted log 'WARNING: .* at fs/dax\.c:' <<<"$splat"
check klog_warn_other_declared__found not log 'at mm/gup\.c' <<<"$splat"
check klog_two_one_declared__found not log 'fs/dax\.c' <<<"$splat
$hung"
check klog_two_one_declared__other_named has klog.out 'task truncate:77'
check klog_two_both_declared__accepted log 'fs/dax\.c' 'task truncate' <<<"$splat
$hung"
check klog_declared_absent__found not log 'fs/dax\.c' <<<"$harmless"
check klog_possible_absent__accepted log '?fs/dax\.c' <<<"$harmless"
check klog_possible_present__accepted log '?fs/dax\.c' <<<"$splat"
check klog_warn_other_possible__found not log '?at mm/gup\.c' <<<"$splat"
check klog_blocked_tasks_asked_for__accepted log <<<'[ 2.0] sysrq: Show Blocked State
[ 2.0] task:cat             state:D stack:    0 pid:   77
[ 2.0] Call Trace:'
check klog_bare_trace__found not log <<<'[ 2.0] Call Trace:'

# Guests that are killed: by the clock, by ctrl-C, and with run.sh by force.

# The processes below PID.
below()
{
	local pid

	for pid in $(pgrep -P "$1" || true); do
		echo "$pid"
		below "$pid"
	done
}

gone()
{
	local i pid alive

	for ((i = 0; i < 50; i++)); do
		alive=
		for pid; do
			# A zombie of somebody else's is not running.
			! grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$pid/status" ||
				alive=1
		done
		[[ $alive ]] || return 0
		sleep 0.1
	done
	ps -o pid,args -p "$@" >&2 || true
	return 1
}

# killed NAME SIGNAL SCRIPT GUESTS: what is running when SIGNAL arrives must be
# gone soon after.
killed()
{
	local name=$1 signal=$2 script=$3 guests=$4 pid tree=() i code=0

	# A background job has SIGINT ignored unless it is given back.
	env --default-signal=INT bash "$here/$script" "${options[@]}" \
		-- sleep 100 >"$tmp/$name.out" 2>"$tmp/$name.err" &
	pid=$!
	for ((i = 0; i < 600; i++)); do
		mapfile -t tree < <(below "$pid")
		((${#tree[@]} == 0)) || (($(ps -o comm= -p "${tree[@]}" |
			grep -c '^qemu-system') < guests)) || break
		sleep 0.1
	done
	kill -"$signal" "$pid"
	wait "$pid" 2>/dev/null || code=$?
	echo "$code" >"$tmp/$name.code"
	((i < 600)) && gone "$pid" "${tree[@]}"
}

run clock --time 2 -- true
check time_limit__124 code clock 124
check time_limit__says_so has clock.err 'the time was over: 2 s'
check interrupted__nothing_runs killed int INT run.sh 1
check interrupted__130 code int 130
check killed__nothing_runs killed kill KILL run.sh 1
check pair_terminated__nothing_runs killed term TERM pair.sh 2
check pair_terminated__143 code term 143
check pair_killed__nothing_runs killed pair_kill KILL pair.sh 2

# A kernel that dies as it boots, with nothing of ours begun, gets one more try.

MD_VM_CMDLINE=rdinit=/none run dies --time 60 -- true
check kernel_dies__3 code dies 3
check kernel_dies__booted_twice is "$(grep -c 'last words' "$tmp/dies.err")" 2
MD_VM_CMDLINE=rdinit=/none pair pair_dies --time 60 -- true
check pair_kernels_die__126 code pair_dies 126
check pair_kernels_die__booted_twice is "$(grep -c 'last words' "$tmp/pair_dies.err")" 4

# Without a guest: a size that would leave part of the NVDIMM without pages.

run size --pmem-size 1000M -- true
check pmem_size_odd__125 code size 125
check pmem_size_odd__says_why has size.err 'multiple of 128 MiB'

# Two whole guests at once. A suite without the module that it is for, in one.

cmake --preset release -S "$here/../.." >/dev/null
cmake --build "$here/../../build/release" -j2 >/dev/null
run seven --out "$tmp/seven" \
	--allow-kernel-line 'WARNING: declared by the selftest' -- bash -c '
	echo "args:$1:$2:$3"
	echo "cwd:$PWD"
	echo "to stderr" >&2
	echo "stdin:$(cat)"
	echo "var:$MD_SELFTEST"
	for dir in /mnt/pmem /mnt/pmem2; do
		findmnt -n -o TARGET,FSTYPE,OPTIONS "$dir"
		xfs_info "$dir" | grep -o "reflink=."
	done
	ibv_devices
	rping -s -C 3 -a "$MD_ADDR" &
	for i in {1..20}; do
		rping -c -C 3 -v -a "$MD_ADDR" && echo rping works && break
		sleep 0.5
	done
	wait
	for flag in "" --complete; do
		bash test/guest/run-all.sh --here $flag steps
		echo "with \"$flag\": $?"
	done
	head -c 300000 /dev/urandom | tee "$OUT/bytes"
	echo "WARNING: declared by the selftest" >/dev/kmsg
	sleep 1000 &
	exit 7' 0 'a  b' "it's" '$HOME "x"' &
seven=$!
run two -- bash -c '
	echo "WARNING: not declared" >/dev/kmsg
	umount /mnt/pmem2
	xfs_db -x -c sb -c "addr rootino" -c "write core.nlinkv2 5" /dev/pmem1 >/dev/null
	mount -o dax=always /dev/pmem1 /mnt/pmem2
	echo no newline at the end | tr -d "\n"
	kill -KILL $$' &
two=$!
wait "$seven" "$two"

check exit_code__passed_on code seven 7
check no_report__nothing_said not has seven.err 'kernel log'
check arguments__unchanged has seven.out '^args:a  b:it.s:\$HOME "x"$'
check directory__project_root has seven.out "^cwd:$(realpath "$here/../..")$"
check stderr__comes_too has seven.out '^to stderr$'
check stdin__empty has seven.out '^stdin:$'
check variables__passed_on has seven.out '^var:from outside$'
check pmem__dax_without_reflink has seven.out '^/mnt/pmem +xfs .*dax=always'
check pmem2__dax has seven.out '^/mnt/pmem2 +xfs .*dax=always'
check reflink__as_promised is \
	"$(grep -ao 'reflink=.$' "$tmp/seven.out" | tr '\n' ' ')" \
	'reflink=0 reflink=1 '
check rxe__listed has seven.out 'rxe0'
check rxe__rping_works has seven.out '^rping works$'
check skip__77 has seven.out '^with "": 77$'
check skip_in_a_guest__named has seven.out '^not ok .* - the module is no test build$'
check skip_in_a_guest__1 has seven.out '^with "--complete": 1$'
check out__comes_back is "$(stat -c %s "$tmp/seven/bytes")" 300000
check output__byte_for_byte cmp -s "$tmp/seven/bytes" \
	<(tail -c 300000 "$tmp/seven.out")
check dmesg__comes_back has seven/dmesg 'Linux version'

check undeclared_report__3 code two 3
check undeclared_report__named has two.err 'kernel log: .*WARNING: not declared'
check damaged_file_system__named has two.err 'kernel log: .*pmem2 is damaged \(.*nlinks from 5'
check undeclared_report__code_told has two.err "command's exit code: 137"
check output__no_newline_added is "$(wc -l <"$tmp/two.out")" 0

# What is still on its way to the host when the kernel stops is lost.
run panic -- bash -c 'echo before; sleep 2; echo c >/proc/sysrq-trigger; sleep 100'
check panic__3 code panic 3
check panic__named has panic.err 'kernel log: .*Kernel panic'
check panic__output_until_then has panic.out '^before$'

# Two guests on a link. Node 1 has a traffic with node 0, and harms it.

pair traffic -- bash -c '
	ask() { bash test/vm/ask.sh "$@"; }
	reached() { busybox ping -c 3 -W 1 "$MD_PEER_ADDR" >/dev/null; }
	if ((MD_NODE == 0)); then
		echo "boot $MD_BOOT: $(cat /mnt/pmem/kept /mnt/pmem2/kept 2>/dev/null | tr "\n" " ")"
		if ((MD_BOOT == 2)); then
			ask meet
			exit 5
		fi
		echo first | tee /mnt/pmem/kept >/mnt/pmem2/kept
		sync /mnt/pmem/kept /mnt/pmem2/kept
		while :; do
			rping -s -a "$MD_ADDR"
		done
	fi
	pings() { wc -l <"$OUT/pings"; }
	moving() {
		local i n
		n=$(pings)
		for ((i = 0; i < 80; i++)); do
			sleep 0.25
			(($(pings) == n)) || return 0
		done
		return 1
	}
	standing() {
		local n
		# What was under way may still arrive.
		sleep 0.5
		n=$(pings)
		sleep 3
		(($(pings) == n))
	}
	: >"$OUT/pings"
	until stdbuf -oL rping -c -v -C 1000000 -a "$MD_PEER_ADDR"; do
		sleep 0.5
	done >>"$OUT/pings" 2>/dev/null &
	echo "node $MD_NODE of $MD_NODES at $MD_ADDR"
	ibv_devinfo -d rxe0 | grep -o "active_mtu:.*"
	reached && echo reached
	moving && echo rdma works
	ask link-down && standing && echo the link is cut
	reached || echo not reached while it is cut
	ask link-up && moving && echo the link is back
	reached && echo reached again
	ask link-down for 2 && moving && echo the link is back by itself
	ask freeze 0 && standing && echo node 0 is frozen
	reached || echo not reached while it is frozen
	ask thaw 0 && moving && echo node 0 is thawed
	before=$(cut -d. -f1 /proc/uptime)
	ask freeze 1 for 8 && (($(cut -d. -f1 /proc/uptime) - before < 8)) && echo no time has passed
	ask kill 0 && standing && echo node 0 is killed
	reached || echo not reached while it is off
	ask meet || echo meeting refused
	ask boot 0 && echo node 0 is booted
	reached && echo reached after the boot
	ask meet && echo met
	ask boot 0 || echo boot refused'
check pair_exit_code__passed_on code traffic 5
check pair_exit_code__node_named has traffic.err '^vm: node 0 ended with code 5$'
check pair_killed_by_request__no_failure not has traffic.err '^0: '
check pair_variables__by_node has traffic.out '^1: node 1 of 2 at 192\.0\.2\.2$'
check pair_mtu__4096 has traffic.out '^1: active_mtu:.*4096'
for said in 'reached' 'rdma works' 'the link is cut' 'not reached while it is cut' \
	'the link is back' 'reached again' 'the link is back by itself' 'node 0 is frozen' \
	'not reached while it is frozen' 'node 0 is thawed' 'no time has passed' \
	'node 0 is killed' 'not reached while it is off' 'meeting refused' \
	'node 0 is booted' 'reached after the boot' 'met' 'boot refused'; do
	check "pair__${said// /_}" has traffic.out "^1: $said\$"
done
check pair_first_boot__empty has traffic.out '^0: boot 1: $'
check pair_second_boot__nvdimms_kept has traffic.out '^0: boot 2: first first $'

# Three guests: one skips, one has a kernel report, one has another and is killed
# before it has the one that was declared.

pair three --nodes 3 --out "$tmp/three" \
	--at 0 --allow-kernel-line 'WARNING: declared by the selftest' \
	--at 2 --allow-kernel-line 'WARNING: after the kill' -- bash -c '
	((MD_NODE < 2)) || echo "WARNING: before the kill" >/dev/kmsg
	bash test/vm/ask.sh meet
	case $MD_NODE in
	0)	bash test/vm/ask.sh kill 2
		echo "WARNING: declared by the selftest" >/dev/kmsg
		busybox ping -c 1 -W 5 "$MD_PEER_ADDR" >/dev/null && echo reached
		bash test/vm/ask.sh link-down 1
		busybox ping -c 1 -W 5 "$MD_PEER_ADDR" >/dev/null || echo cut
		exit 77 ;;
	1)	echo "WARNING: not declared" >/dev/kmsg
		sleep 20 ;;
	*)	sleep 1000 ;;
	esac'
check pair_undeclared_report__3 code three 3
check pair_undeclared_report__node_named has three.err '^1: kernel log: .*WARNING: not declared'
check pair_declared_report__accepted not has three.err '^0: kernel log'
check pair_skip__told has three.err 'node 0 ended with code 77'
check pair_report_before_the_kill__named has three.err '^2: kernel log: .*WARNING: before the kill'
check pair_killed_before_a_report__not_lacking not has three.err 'declared, but not there'
check pair_three__reached has three.out '^0: reached$'
check pair_three__one_cut has three.out '^0: cut$'
check pair_dmesg__by_node has three/2/dmesg 'Linux version'

check nothing_left__no_file is "$(ls -A "$TMPDIR")" ''
exit "$failed"
