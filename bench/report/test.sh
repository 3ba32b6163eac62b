#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Test report.pl on samples whose outcome is known: "ok NAME" or "not ok NAME - why".
# shellcheck disable=SC2317 # check() calls them
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
mkdir "$out/6.1"
failed=0

# check NAME COMMAND...
check()
{
	local name=$1

	shift
	if "$@" >"$out/why" 2>&1; then
		echo "ok $name"
	else
		echo "not ok $name - $(head -n 1 "$out/why")"
		failed=1
	fi
}

# values NAME UNIT VALUE...
values()
{
	local name=$1 unit=$2 value

	shift 2
	for value; do
		echo "{\"name\": \"$name\", \"value\": $value, \"unit\": \"$unit\"}"
	done >>"$out/6.1/samples.jsonl"
}

report()
{
	perl "$here/report.pl" "$out" "a command" >"$out/said"
}

# is NAME FIELD VALUE: of the record of that name in report.json
is()
{
	local found

	found=$(jq -r --arg name "$1" "select(.name == \$name) | .$2 | tostring" "$out/report.json")
	[[ $found == "$3" ]] || { echo "$1: .$2 is '$found', not '$3'"; false; }
}

# Seven pairs: the third one is far off, and of no weight.
values bw/write/devdax/4096 MB/s 100 100 100 100 100 100 100
values bw/write/lease/4096 MB/s 98 99 10 99 101 99 99
# Missed, all of it; and missed by the median only.
values guard/pair/1 ns 13 13 14 14 13 13 13
values guard/rmw2/1 ns 10 10 10 10 10 10 10
values reg/lease_again/65536 us 104 106 107 106 106 108 106
values reg/lease_raw/65536 us 100 100 100 100 100 100 100
values reg/lease_again/4096 us 120 120 120
values reg/lease_raw/4096 us 100 100 100
# 25 values: the interval leaves seven out at each end.
# shellcheck disable=SC2046 # words
values break/regions/1/idle us $(seq 1 25)
values mem/lease/1048576 bytes 512
# 10 us for each region, and then twice as much.
values break/regions/1/cooperating us 1010 1010 1010
values break/regions/101/cooperating us 2010 2010 2010
values break/regions/201/cooperating us 4010 4010 4010
values floor/regions/1/cooperating us 600 600 500
values floor/regions/1/cooperating/echo us 400 400 500
check report__samples__made report
check median__odd_and_far_off__middle is bw/write/lease/4096 value 99
ratio="bw/write/lease/4096 to bw/write/devdax/4096"
check ratio__pairs__median_of_their_ratios is "$ratio" ratio 0.99
check ratio__within__holds is "$ratio" holds true
check ratio__above_in_all_of_the_interval__missed \
	is "guard/pair/1 to guard/rmw2/1" holds false
check ratio__above_in_the_median_only__holds \
	is "reg/lease_again/65536 to reg/lease_raw/65536" holds true
check interval__seven__all_of_them \
	is "guard/pair/1 to guard/rmw2/1" spread "[1.3,1.4]"
check interval__25__order_statistics is break/regions/1/idle spread "[8,18]"
check ratio__denominator_is_a_number__taken is "mem/lease/1048576 to 1048576" limit 0.000244140625
check ratio__above_a_number__missed is "mem/lease/1048576 to 1048576" holds false
check floor__pairs__ratio \
	is "break/regions/1/cooperating to floor/regions/1/cooperating" n 3
check ratio__to_a_sum__without_a_limit is "break/regions/1/cooperating to \
floor/regions/1/cooperating + floor/regions/1/cooperating/echo" ratio "$(jq -n 1010/1000)"
check growth__not_linear__missed \
	is "break/regions: 101 to 201 over 1 to 101" holds false
check slope__least_squares__of_medians is growth/regions/slope value 15
check json__each_line__has_all_fields jq -se 'all(.[]; has("name") and has("kernel") and
	has("value") and has("unit") and has("ratio") and has("limit") and has("holds") and
	has("n") and has("spread"))' "$out/report.json"
check short__one_of_two_missed__range_and_how_many grep -qF \
	"| 1.060 to 1.200, **missed** in 1 of 2 | at most 1.05 |" "$out/report.md"
check misses__said_on_stdout test "$(grep -c '^missed' "$out/said")" = \
	"$(jq -s 'map(select(.holds == false)) | length' "$out/report.json")"
check pictures__drawn test -s "$out/break-regions.svg"
echo 'no sample' >>"$out/6.1/samples.jsonl"
check report__broken_line__refused eval '! report'
exit "$failed"
