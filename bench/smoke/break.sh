#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# md_break on each axis and with each kind of peer, and md_guard; see cases.sh.
# shellcheck disable=SC2154 # of cases.sh
set -uo pipefail

# shellcheck source=bench/smoke/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/cases.sh"
file=$pmem/smoke_break
budget=60

# break_row NAME ROWS OPTION...: a run with so many rows, all of them in numbers
break_row()
{
	local name=$1 rows=$2
	shift 2
	rm -f "$tmp/samples"
	if ! timeout 90 "$build/bench/md_break" --file="$file" --count=2 --budget="$budget" \
		--samples="$tmp/samples" "$@" >"$tmp/out" 2>"$tmp/err"; then
		not_ok "$name" "$(tail -n 1 "$tmp/err")"
		return 1
	fi
	if ! awk -v rows="$rows" '
		NR == 1 { columns = NF; next }
		NF != columns { bad = 1 }
		{ for (i = 4; i <= 14; i++) if ($i !~ /^[0-9]+$/ || (i > 8 && !$i)) bad = 1 }
		END { exit bad || NR != rows + 1 }' "$tmp/out"; then
		not_ok "$name" "not $rows rows of numbers: $(tail -n 1 "$tmp/out")"
		return 1
	fi
}

# values NAME: of the samples of that name
values()
{
	sed -n "s|^{\"name\": \"$1\", \"value\": \([-0-9.e+]*\), \"unit\": \"us\"}\$|\1|p" \
		"$tmp/samples"
}

# has NAME VALUE...: each value has samples of the library and of the floor
has()
{
	local name=$1 axis=$2 kind=$3 value
	shift 3
	for value; do
		if (($(values "break/$axis/$value/$kind" | wc -l) != 2 ||
			$(values "floor/$axis/$value/$kind" | wc -l) != 2 ||
			$(values "break/$axis/$value/$kind/released" | wc -l) != 2)); then
			not_ok "$name" "samples of $axis/$value are missing"
			return 1
		fi
	done
}

axis()
{
	local name=axis_$1
	break_row "$name" 2 --"$1=$2,$3" && has "$name" "$1" cooperating "$4" "$5" && ok "$name"
}

peer()
{
	local name=peer_$1
	break_row "$name" 1 --peer="$1" && has "$name" regions "$1" 1 || return
	if [[ ${2-} == fenced ]]; then
		if values "break/regions/1/$1" | awk -v least=$((budget * 1000)) '
			$1 < least { bad = 1 } END { exit !bad }'; then
			not_ok "$name" "it was not waited for"
			return
		fi
		if (($(values "break/regions/1/$1/fenced" | wc -l) != 2)) ||
			values "floor/regions/1/$1/modify" | grep -qx 0; then
			not_ok "$name" "it was not fenced"
			return
		fi
	fi
	ok "$name"
}

breaker()
{
	break_row "breaker_$1" 1 --breaker="$1" && ok "breaker_$1"
}

guard()
{
	if ! timeout 90 "$build/bench/md_guard" --file="$file" --threads=1,2 --rounds=3 \
		--pairs=20000 --samples="$tmp/guard" >"$tmp/out" 2>"$tmp/err"; then
		not_ok guard "$(tail -n 1 "$tmp/err")"
	elif ! awk 'NR > 1 && ($3 <= 0 || $4 <= 0) { bad = 1 } END { exit bad || NR != 3 }' "$tmp/out"; then
		not_ok guard "not 2 rows of numbers: $(tail -n 1 "$tmp/out")"
	elif (($(grep -c '"guard/\(pair\|rmw2\)/[12]"' "$tmp/guard") != 12)); then
		not_ok guard "not 12 samples"
	else
		ok guard
	fi
}

# refused NAME PROGRAM OPTION...
refused()
{
	local name=refused_$1 program=$2 code=0
	shift 2
	"$build/bench/$program" "$@" >"$tmp/out" 2>&1 || code=$?
	if ((code == 2)); then
		ok "$name"
	else
		not_ok "$name" "exit code $code instead of 2"
	fi
}

axis regions 1 64 1 64
axis qps 1 4 1 4
axis peers 0 2 0 2
axis bytes 1M 2M 1048576 2097152
peer cooperating
peer idle
peer silent fenced
peer dead fenced
breaker write
breaker truncate
guard
refused no_file md_break
refused no_such_option md_break --file="$file" --nonsense
refused no_regions md_break --file="$file" --regions=0
refused too_many_qps md_break --file="$file" --qps=129
refused too_many_peers md_break --file="$file" --peers=1,17
refused small md_break --file="$file" --bytes=1K
refused no_such_peer md_break --file="$file" --peer=lazy
refused an_argument md_break --file="$file" more
refused guard_no_file md_guard
refused guard_threads md_guard --file="$file" --threads=1,0
exit "$failed"
