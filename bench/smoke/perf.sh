#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# md_bw and md_lat with each operation and each kind of memory, a few messages of each;
# see cases.sh.
# shellcheck disable=SC2154 # of cases.sh
set -uo pipefail

# shellcheck source=bench/smoke/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/cases.sh"
bin=$build/bench

# pair TOOL SERVER-OPTION... -- CLIENT-OPTION...; sets $client and $server, their exit
# codes. What they said is in $tmp.
pair()
{
	local tool=$1 options=() pid
	shift
	while [[ $1 != -- ]]; do
		options+=("$1")
		shift
	done
	shift
	timeout -k 1 60 "$bin/$tool" "${options[@]}" >"$tmp/server" 2>&1 &
	pid=$!
	timeout -k 1 60 "$bin/$tool" "$@" "$MD_ADDR" >"$tmp/client" 2>&1
	client=$?
	wait "$pid"
	server=$?
}

# The last words of whoever did not end well.
why()
{
	local side=client
	((client)) || side=server
	echo "$side: exit code ${!side}, $(tail -n 1 "$tmp/$side")"
}

# A line of figures for each size, none of them nothing.
figures()
{
	awk -v want="$1" '$1 ~ /^[0-9]+$/ && NF >= 5 { n++; if ($5 <= 0) bad = 1 }
		END { exit n != want || bad }' "$tmp/client"
}

# works NAME SIZES TOOL SERVER-OPTION... -- CLIENT-OPTION...
works()
{
	local name=$1 sizes=$2
	shift 2
	pair "$@"
	if ((client || server)); then
		not_ok "$name" "$(why)"
	elif ! figures "$sizes"; then
		not_ok "$name" "no figures for $sizes sizes: $(tail -n 1 "$tmp/client")"
	else
		ok "$name"
	fi
}

# refused NAME CODE TEXT TOOL SERVER-OPTION... -- CLIENT-OPTION...: both sides end so
refused()
{
	local name=$1 code=$2 text=$3
	shift 3
	pair "$@"
	if ((client != code || server != code)); then
		not_ok "$name" "exit codes $client and $server, not $code"
	elif ! grep -q "$text" "$tmp/client" || ! grep -q "$text" "$tmp/server"; then
		not_ok "$name" "no word of '$text': $(tail -n 1 "$tmp/client")"
	else
		ok "$name"
	fi
}

# usage NAME TEXT OPTION...: a bad option
usage()
{
	local name=$1 text=$2 code
	shift 2
	timeout 5 "$bin/md_bw" "$@" >"$tmp/client" 2>&1
	code=$?
	if ((code != 2)); then
		not_ok "$name" "exit code $code"
	elif ! grep -q -- "$text" "$tmp/client"; then
		not_ok "$name" "$(tail -n 1 "$tmp/client")"
	else
		ok "$name"
	fi
}

# with_breaks NAME TOOL OPTION...: holes are punched into the server's leased file; the
# run ends well nevertheless, and says how often. Not more holes than a few: polling
# leaves a guest of two CPUs little time for what a break needs.
with_breaks()
{
	local name=$1 tool=$2 breaker
	shift 2
	: >"$tmp/client"
	(
		until grep -q '#bytes' "$tmp/client"; do # the client is at work
			sleep 0.05
		done
		for pause in 0.05 0.2 0.3 0.4; do
			sleep "$pause"
			fallocate -p -o 0 -l 4096 "$pmem/smoke.lease" 2>/dev/null
		done
	) &
	breaker=$!
	pair "$tool" "--mem=lease:$pmem/smoke.lease" -- "$@"
	kill "$breaker" 2>/dev/null
	wait "$breaker" 2>/dev/null
	if ((client || server)); then
		not_ok "$name" "$(why)"
	elif ! figures 1; then
		not_ok "$name" "no figures: $(tail -n 1 "$tmp/client")"
	elif ! grep -q '^# breaks: [1-9]' "$tmp/client"; then
		not_ok "$name" "no break: $(tail -n 1 "$tmp/client")"
	else
		ok "$name"
	fi
}

memory()
{
	case $1 in
	devdax)	echo "devdax:$MD_DEVDAX" ;;
	anon | tmpfs) echo "$1" ;;
	*)	echo "$1:$pmem/smoke.$1" ;;
	esac
}

for tool in md_bw md_lat; do
	for op in write read send; do
		for kind in anon tmpfs devdax lease bounce; do
			works "$tool $op $kind" 2 $tool "--mem=$(memory $kind)" -- \
				--op=$op -n 10 --sizes=2,9000
		done
		works "$tool $op, lease at the client" 2 $tool -- \
			"--mem=$(memory lease)" --op=$op -n 10 --sizes=2,9000
		works "$tool $op, lease at both" 1 $tool "--mem=$(memory lease)" -- \
			"--mem=lease:$pmem/smoke.lease2" --op=$op -n 10 -s 64
	done
	for op in write send; do
		for kind in anon tmpfs devdax lease; do
			works "$tool $op $kind --persist" 2 $tool "--mem=$(memory $kind)" -- \
				--op=$op --persist -n 10 --sizes=2,9000
		done
	done
	refused "$tool odp at the server" 77 'no on-demand paging' \
		$tool "--mem=$(memory odp)" -- -n 10
	refused "$tool odp at the client" 77 'no on-demand paging' \
		$tool -- "--mem=$(memory odp)" -n 10
done
works "md_bw -a" 23 md_bw "--mem=$(memory lease)" -- -a -n 5 -t 2
works "md_bw -q 3 -t 7" 1 md_bw "--mem=$(memory lease)" -- -q 3 -t 7 -n 50 -s 256
works "md_bw --samples" 1 md_bw -- -n 10 "--samples=$tmp/samples" --name=smoke
if grep -q '^{"name": "smoke/65536", "value": [0-9.]*, "unit": "MB/s"}$' "$tmp/samples"; then
	ok "md_bw --samples, the sample"
else
	not_ok "md_bw --samples, the sample" "$(cat "$tmp/samples")"
fi

with_breaks "md_bw write over breaks" md_bw -n 500
with_breaks "md_bw read over breaks" md_bw --op=read -n 500
with_breaks "md_bw send over breaks" md_bw --op=send -n 500
with_breaks "md_bw write --persist over breaks" md_bw --persist -n 500
with_breaks "md_bw send --persist over breaks" md_bw --op=send --persist -n 500
with_breaks "md_lat write over breaks" md_lat -n 20000
with_breaks "md_lat send over breaks" md_lat --op=send -n 20000

usage "--op=atomic" "--op is write, read or send" --op=atomic
usage "--mem=paper" "--mem is anon" --mem=paper
usage "-n 0" "-n wants numbers" -n 0
usage "--persist for reads" "--persist is for write and send" --persist --op=read
usage "bounce at the client" "bounce is for the server" --mem=bounce:x localhost

exit "$failed"
