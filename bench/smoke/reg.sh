#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# md_reg and the table of who can register what; see cases.sh.
# shellcheck disable=SC2154 # of cases.sh
set -euo pipefail

# shellcheck source=bench/smoke/cases.sh
. "$(dirname "${BASH_SOURCE[0]}")/cases.sh"
reg=$build/bench/md_reg
file=$pmem/smoke_reg

# exits NAME CODE COMMAND...: what it says goes to $tmp/out
exits()
{
	local name=$1 want=$2 code=0

	shift 2
	"$@" >"$tmp/out" 2>&1 || code=$?
	if ((code != want)); then
		not_ok "$name" "exit code $code, not $want: $(tail -n 1 "$tmp/out")"
		return 1
	fi
}

# has NAME FILE PATTERN COUNT: so many lines
has()
{
	local n

	n=$(grep -c -- "$3" "$2" || true)
	((n == $4)) || not_ok "$1" "$n lines of $3, not $4" && ((n == $4))
}

samples__each_name__one_a_size()
{
	local names=(reg/map reg/map_reg reg/lease dereg/lease reg/lease_again reg/lease_raw unmap
		reg/devdax_cold reg/devdax dereg/devdax reg/tmpfs_cold reg/tmpfs dereg/tmpfs)
	local name size case=${FUNCNAME[0]}

	exits "$case" 0 "$reg" --lease="$file" --devdax="$MD_DEVDAX" --tmpfs --sizes=64K,2M \
		--rounds=1 --samples="$tmp/samples" || return 0
	for name in "${names[@]}"; do
		for size in 65536 2097152; do
			has "$case" "$tmp/samples" "\"name\": \"$name/$size\", .*\"us\"" 1 ||
				return 0
		done
	done
	has "$case" "$tmp/out" "^us \|^64 KiB \|^2 MiB " 3 || return 0
	ok "$case"
}

sizes__too_large__left_out_with_a_word()
{
	local case=${FUNCNAME[0]}

	exits "$case" 0 "$reg" --lease="$file" --devdax="$MD_DEVDAX" --sizes=64K,1024G --rounds=1 ||
		return 0
	has "$case" "$tmp/out" "no room for 1 TiB" 2 || return 0
	ok "$case"
}

memory__1M__counted_and_the_control_seen()
{
	local case=${FUNCNAME[0]}

	exits "$case" 0 "$reg" --memory --lease="$file" --sizes=1M --rounds=1 \
		--samples="$tmp/memory" || return 0
	has "$case" "$tmp/memory" '"mem/lease/1048576", "value": [1-9].*"B"' 1 || return 0
	has "$case" "$tmp/memory" '"mem/lease_pagetables/1048576"' 1 || return 0
	has "$case" "$tmp/memory" '"mem/lease_fragmented/' 1 || return 0
	ok "$case"
}

options__bad__exit_2()
{
	local case=${FUNCNAME[0]} bad

	for bad in "" "--tmpfs --sizes=5" "--tmpfs --sizes=" "--tmpfs --sizes=1X" \
		"--tmpfs --rounds=0" "--tmpfs x" "--unknown" "--memory" "--memory --tmpfs" \
		"--tmpfs --sizes=99999999999999G"; do
		# shellcheck disable=SC2086 # words
		exits "$case" 2 "$reg" $bad || return 0
	done
	exits "$case" 2 bash "$bench/refused/run.sh" --fsdax=/nowhere || return 0
	exits "$case" 2 bash "$bench/refused/run.sh" --unknown || return 0
	exits "$case" 77 "$reg" --tmpfs -d nothing || return 0
	exits "$case" 0 "$reg" -h || return 0
	ok "$case"
}

refused__each_library__a_row()
{
	local case=${FUNCNAME[0]} library

	exits "$case" 0 bash "$bench/refused/run.sh" --build="$build" --fsdax=/mnt/pmem \
		--devdax="$MD_DEVDAX" --table="$tmp/table" || return 0
	cat "$tmp/out" >&2
	for library in ibv_reg_mr perftest librpma UCX libfabric libmapdirect; do
		has "$case" "$tmp/out" "^| $library" 1 || return 0
		has "$case" "$tmp/table" "^{\"library\": \"$library.*}\$" 4 || return 0
	done
	# The reason for all this, and that the probes can also say yes.
	has "$case" "$tmp/table" '^{"library": "ibv_reg_mr.*fsdax.*EOPNOTSUPP' 2 || return 0
	has "$case" "$tmp/table" '^{"library": "libmapdirect.*fsdax MAP_SHARED", "result": "works"' 1 ||
		return 0
	has "$case" "$tmp/table" '^{"library": "ibv_reg_mr.*tmpfs", "result": "works"' 1 || return 0
	ok "$case"
}

samples__each_name__one_a_size
sizes__too_large__left_out_with_a_word
memory__1M__counted_and_the_control_seen
options__bad__exit_2
refused__each_library__a_row
exit "$failed"
