#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Test the guest harness itself: one "ok NAME" or "not ok NAME" line per case.
#
#   bash test/vm/selftest.sh [run.sh OPTION]...
#
# Options such as --no-module or --kernel K go to each run.sh. Three guests are
# booted, two of them at once, and three more are killed while they boot.
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

# run NAME ARGUMENT...: run.sh's output, sentences and exit code in files.
run()
{
	local name=$1 code=0

	shift
	bash "$here/run.sh" "${options[@]}" "$@" >"$tmp/$name.out" \
		2>"$tmp/$name.err" || code=$?
	echo "$code" >"$tmp/$name.code"
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

# What is running when SIGNAL arrives must be gone soon after.
killed()
{
	local name=$1 signal=$2 pid tree=() i code=0

	# A background job has SIGINT ignored unless it is given back.
	env --default-signal=INT bash "$here/run.sh" "${options[@]}" \
		-- sleep 100 >"$tmp/$name.out" 2>"$tmp/$name.err" &
	pid=$!
	for ((i = 0; i < 600; i++)); do
		mapfile -t tree < <(below "$pid")
		((${#tree[@]} == 0)) || ! ps -o comm= -p "${tree[@]}" |
			grep -q '^qemu-system' || break
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
check interrupted__nothing_runs killed int INT
check interrupted__130 code int 130
check killed__nothing_runs killed kill KILL

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

run panic -- bash -c 'echo before; echo c >/proc/sysrq-trigger; sleep 100'
check panic__3 code panic 3
check panic__named has panic.err 'kernel log: .*Kernel panic'
check panic__output_until_then has panic.out '^before$'

check nothing_left__no_file is "$(ls -A "$TMPDIR")" ''
exit "$failed"
