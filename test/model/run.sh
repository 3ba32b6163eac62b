#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Check the model of a recall (recall.pml) with spin.
#
#   bash test/model/run.sh [--quick]
#
# --quick  two generations, not three; one message lost or repeated, not two
#
# Three kinds of cases, of which each prints "ok model__NAME" or "not ok
# model__NAME - why":
#   NAME              a rule holds, in all states
#   finds_NAME__RULE  with the mistake NAME built in, RULE is seen to be broken
#   reaches_NAME      the model gets to where NAME is: the rules are not empty
# A search that was not complete is a failure. Logs and, for what was found, the
# trail (spin -t -p -k) are in build/model/NAME. Exit code 1 if anything failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
model=$PWD/test/model/recall.pml
build=build/model
gens=3
faults=2
# NFAIR: room for the processes in a search with fairness
safety=(-DSAFETY -DNOCLAIM)
liveness=(-DNFAIR=4)
# What is found is found soon: the compiler and a large table would take longer.
optimise=-O0
table=20

case "${1-}" in
--quick)	gens=2 faults=1 ;;
'')		;;
*)
	echo "usage: bash test/model/run.sh [--quick]" >&2
	exit 2 ;;
esac

# search NAME CLAIM OPTION...: run pan in $build/NAME; CLAIM is that of an ltl,
# or "" for assertions and end states. Its output is in the file out.
search()
{
	local dir=$build/$1 claim=$2 cc=("${safety[@]}") run=(-m1000000 "-w$table")

	shift 2
	mkdir -p "$dir"
	cd "$dir"
	if [[ $claim ]]; then
		cc=("${liveness[@]}")
		run+=(-a -f -N "$claim")
		set -- "$@" -DCLAIM
	fi
	spin "$@" -a "$model" >log 2>&1 &&
		gcc "$optimise" -w -DMEMLIM=5000 "${cc[@]}" -o pan pan.c >>log 2>&1 &&
		timeout 600 ./pan "${run[@]}" >out 2>&1 || true
}

# complete: pan has seen all states, and nothing wrong
complete()
{
	grep -q 'errors: 0$' out &&
		! grep -qE '[Nn]ot completed|too small|^(pan: )?error|out of memory' out
}

# holds NAME[,NAME]... CLAIM OPTION...: nothing is found; what was counted is shown
holds()
{
	local names=$1 name
	local dir=${names%%,*} optimise=-O2 table=25

	shift
	search "$dir" "$@"
	for name in ${names//,/ }; do
		if complete; then
			echo "ok model__$name"
		else
			echo "not ok model__$name - $(why)"
		fi
	done
	sed -nE 's/^ *([0-9.e+]+ states, stored).*/    \1/p
		s/^pan: elapsed time (.*)/    \1/p
		s/^ *([0-9.]+)\ttotal actual memory.*/    \1 MiB/p' out
}

# why: what pan or the tools have said
why()
{
	{
		grep -hE '^pan:1:|^(pan: )?error|too small|out of memory' out ||
			echo "no result: see the log"
	} 2>/dev/null | head -n 1
}

# found NAME KIND: it must be what was looked for
found()
{
	if grep -q 'errors: 1$' out && grep -qE "^pan:1: $2" out; then
		echo "ok model__$1"
	else
		echo "not ok model__$1 - not found"
	fi
}

# finds MISTAKES RULE OPTION...: RULE is the number of a rule, "end" or a claim;
# MISTAKES are names with a comma between them
finds()
{
	local what=$1 by=$2 name mistakes
	local claim='' kind='assertion violated' option="-DPROP=$2"

	shift 2
	name=finds_${what//,/_}__$by
	mistakes=(${what//,/ })
	case $by in
	[0-9])	name=finds_${what//,/_}__rule_$by ;;
	end)	kind='invalid end state' option=-DPROP=9 ;;
	*)	kind='acceptance cycle' option=-DPROP=9 claim=$by ;;
	esac
	name=${name,,}
	search "$name" "$claim" "$option" "${mistakes[@]/#/-D}" "$@"
	found "$name" "$kind"
}

# reaches NAME OPTION...
reaches()
{
	search "reaches_$1" '' -DPROP=9 "-DREACH=$1" "${@:2}"
	found "reaches_$1" 'assertion violated .*!='
}

# try COMMAND...: beside at most one other; what it prints comes in one piece
try()
{
	while (($(jobs -rp | wc -l) >= 2)); do
		wait -n || true
	done
	tries=$((tries + 1))
	{
		("$@") >"$build/$tries.lines"
		cat "$build/$tries.lines"
	} &
}

rm -rf "$build"
mkdir -p "$build"
tries=0

one=(-DPEERS=1 -DGENS=2)
two=(-DPEERS=2 -DGENS=2)

try holds no_use_after_dereg,all_settled_before_dereg,barrier_and_fence_kept \
	'' -DPEERS=2 "-DGENS=$gens"
try holds no_deadlock '' "${one[@]}" -DFAULTS=1 -DDEATHS=1
((gens == 2)) || try holds no_deadlock_of_two '' -DPEERS=2 -DGENS=1 -DFAULTS=0
try holds every_recall_ends ends "${two[@]}" -DDEATHS=1
try holds every_recall_ends_without_budget ends "${one[@]}" -DFAULTS=1 -DNO_BUDGET
try holds every_peer_is_restored restores "${one[@]}" "-DFAULTS=$faults"

try finds NO_BARRIER 1 "${two[@]}"
try finds NO_BARRIER 5 "${two[@]}"
try finds EARLY_DEREG 1 "${two[@]}"
try finds EARLY_DEREG 2 "${two[@]}"
try finds EARLY_DONE 1 "${two[@]}"
try finds EARLY_FENCED_ACK 1 "${two[@]}"
try finds GRANT_FENCED 1 "${two[@]}"
try finds GRANT_FENCED 5 "${two[@]}"
try finds STALE_DONE 1 "${two[@]}"
try finds STALE_FENCED_ACK 5 -DPEERS=2 -DGENS=3
try finds DONE_UNFENCES 5 "${two[@]}"
try finds MARK_LATE 1 "${two[@]}"
try finds MARK_LATE 2 "${two[@]}"
try finds NO_TOMBSTONE 1 "${two[@]}"
try finds FORGET 1 "${two[@]}"
try finds NO_RESEND,NO_BUDGET end "${one[@]}" -DFAULTS=1
try finds NO_RESEND,NO_BUDGET ends "${one[@]}" -DFAULTS=1
try finds NO_BUDGET ends "${two[@]}" -DDEATHS=1
try finds NO_GRANT_RESEND restores "${one[@]}" -DFAULTS=1
try finds NO_FENCED_RESEND restores "${one[@]}" -DFAULTS=1

for place in a_post a_late_grant a_use_in_recall a_use_in_fence \
	a_break_while_registering a_second_break a_break_after_dereg \
	all_done_before_budget a_fence a_fence_answered a_post_after_fence \
	a_live_beside_fenced a_stale_done; do
	try reaches "$place" "${two[@]}"
done
try reaches a_stale_fenced_ack -DPEERS=2 -DGENS=3
try reaches a_duplicate "${one[@]}" -DFAULTS=1
try reaches a_loss "${one[@]}" -DFAULTS=1
try reaches a_dead_peer_fenced "${two[@]}" -DDEATHS=1
wait

# Each has said something, and nothing that is wrong.
for ((i = 1; i <= tries; i++)); do
	grep -qE '^(not )?ok ' "$build/$i.lines" || {
		echo "not ok model__case_$i - no result"
		exit 1
	}
done
echo "$SECONDS s"
! grep -q '^not ok ' "$build"/*.lines
