#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Run the guest suites, in as few guests as their needs allow.
#
#   bash test/guest/run-all.sh [--quick | --without PART | --long]
#                              [--kernel K | --native]
#
# --quick     without either of these parts
# --without long
#             without the cases that are marked as long, in ordinary guests
# --without large
#             without the guest with large memory, and those that are joined
# --long      and 200 runs of every breaker against a peer that writes, 400 more kills
#             of a holder, a log in 200 breaks whose sides are killed 20 times, and
#             memory over 10000 recalls
# --kernel K  which kernel to boot (test/vm/kernel.sh)
# --native    on this machine instead, as far as that harms nothing (test/run.sh
#             says what it must have)
#
# Prints "ok NAME", "not ok NAME - why" or "skip NAME - why" for each case and,
# for each guest, one for its kernel log. A guest has all that a case may need:
# only --quick skips there, any other skip is a failure. Exit code: 0, 1 if a case
# failed, 77 if all were skipped.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
programs=build/release/test/guest
options=()
with_long=
with_large=1
kernel=()
native=
passed=0
failed=0

# What needs no guest of its own; lib_* are the library's suites.
normal=(breaks campaign fate frozen storm slope overlap release ioctls refusals inherit visible)
special="lib_large lib_devdax"
for source in test/guest/lib_*.c; do
	name=$(basename "$source" .c)
	if grep -q '^int main' "$source" && [[ " $special " != *" $name "* ]]; then
		normal+=("$name")
	fi
done
# Needs persistent memory for ranges of gigabytes, and nothing of it is quick.
large=(large lib_large)
# Needs the test build of the module. What it does to blocks that are in use is
# noted by the kernel. controls_unbind comes last: if what it relies on fails, the
# guest crashes.
testing=(controls controls_break races steps controls_unbind)
# The refused swapext raises the same warning. The suites that unmount and unbind
# come last; tools_doctor makes other file systems, too.
warned=(swapext tools_doctor device lib_devdax)
# Their --long cases take a guest for themselves.
long=(campaign storm lib_log lib_cycles)
warning='WARNING: .* at fs/dax.c:[0-9]+ dax_disassociate_entry'
# Linux 6.1 miscounts who maps a block that a fault has copied (dax_mapping_set_cow()),
# and warns when it belongs to the next file. Where a file is cloned just while it is
# leased again, there are such faults.
miscounted='?WARNING: .* at fs/dax.c:[0-9]+ dax_insert_entry'
# A control has the kernel refuse to delete a lease.
refused='WARNING: .* md_break_disarm_lease'

# here [OPTION]... PROGRAM...: runs them on this machine; in a guest, this is the command.
here()
{
	local program status all=77 options=()

	while [[ $1 == --* ]]; do
		options+=("$1")
		shift
	done

	for program; do
		status=0
		"$programs/$program" "${options[@]}" || status=$?
		case $status in
		0)	((all == 1)) || all=0 ;;
		1)	all=1 ;;
		77)	# Of guests, only those that --quick leaves nothing of.
			if [[ ${options[*]} == *--complete* &&
				${options[*]} != *--quick* ]]; then
				all=1
				echo "not ok $program - nothing of it was run"
			fi ;;
		*)	all=1; echo "not ok $program - it ended with status $status" ;;
		esac
	done
	return "$all"
}

note()
{
	case $1 in
	0)	passed=1 ;;
	77)	;;
	*)	failed=1 ;;
	esac
}

# ended NAME STATUS: of a guest, or of guests that are joined
ended()
{
	local name=$1 status=$2

	case $status in
	0 | 1 | 77)	echo "ok guest__${name}__kernel_log_is_clean" ;;
	3)	echo "not ok guest__${name}__kernel_log_is_clean - see above" ;;
	124)	echo "not ok guest__${name} - the time was over" ;;
	*)	echo "not ok guest__${name} - it ended with status $status" ;;
	esac
	note "$status"
}

# boot NAME SECONDS [OPTION]... -- PROGRAM...
boot()
{
	local name=$1 seconds=$2 status=0 vm=()

	shift 2
	while [[ $1 != -- ]]; do
		vm+=("$1")
		shift
	done
	shift
	bash test/vm/run.sh "${kernel[@]}" --time "$seconds" "${vm[@]}" -- \
		bash test/guest/run-all.sh --here --complete "${options[@]}" "$@" ||
		status=$?
	ended "$name" "$status"
}

# boot_pair NAME SECONDS COMMAND...: in two guests on a link; who says it does not
# matter. One pair at a time, also of other kernels: their peers have limits of time.
boot_pair()
{
	local name=$1 seconds=$2 status=0 lock

	shift 2
	exec {lock}>build/.pair
	flock "$lock"
	bash test/vm/pair.sh "${kernel[@]}" --time "$seconds" -- "$@" |
		sed -u 's/^[0-9]: //' || status=$?
	exec {lock}>&-
	ended "$name" "$status"
}

while (($#)); do
	case $1 in
	--quick)	options=(--quick) with_large= ;;
	--without)
		case ${2-} in
		long)	options=(--quick) ;;
		large)	with_large= ;;
		*)	echo "run-all: --without long, or --without large" >&2; exit 2 ;;
		esac
		shift ;;
	--long)		with_long=1 ;;
	--native)	native=1 ;;
	--kernel)	kernel=(--kernel "${2-}"); shift || break ;;
	--here)		shift; here "$@"; exit ;;
	*)		echo "run-all: unknown option $1" >&2; exit 2 ;;
	esac
	shift
done

# Others may be at it, for another kernel.
mkdir -p build
exec {lock}>build/.lock
flock "$lock"
cmake --preset release >/dev/null
cmake --build build/release -j2 >/dev/null
exec {lock}>&-

if [[ $native ]]; then
	status=0
	here "${options[@]}" "${normal[@]}" "${large[@]}" tools_doctor "${testing[@]}" || status=$?
	note "$status"
	if [[ $with_long ]]; then
		status=0
		here --long "${long[@]}" || status=$?
		note "$status"
	fi
else
	copies=()
	if [[ ${kernel[1]-6.1} == 6.1* ]]; then
		copies=(--allow-kernel-line "$miscounted")
	fi
	boot normal 2700 "${copies[@]}" -- "${normal[@]}"
	MD_TEST_SCRATCH=/dev/pmem1 \
		boot testing 1350 "${copies[@]}" --testing --allow-kernel-line "$warning" \
		--allow-kernel-line "$refused" -- "${testing[@]}"
	MD_TEST_SCRATCH=/dev/pmem1 \
		boot warned 900 --allow-kernel-line "$warning" -- "${warned[@]}"
	if [[ $with_large ]]; then
		options=() # nothing of it is short
		boot large 1350 --pmem-size 4G -- "${large[@]}"
		boot_pair link 900 bash test/guest/link.sh build/release/examples
		boot_pair link_log 900 bash test/guest/link_log.sh build/release/examples
		boot_pair recall_link 900 bash test/guest/recall_link.sh build/release/test/guest
	fi
	if [[ $with_long ]]; then
		options=(--long)
		boot long 5400 "${copies[@]}" -- "${long[@]}"
	fi
fi
((!failed)) || exit 1
((passed)) || exit 77
