#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Count the lines of the library that the unit tests run.
#
#   bash test/coverage.sh [--at-least PERCENT]
#
# Builds with gcc's counters in build/coverage, runs the unit tests, and prints
# for each file of src/lib how many of its lines were run, and which were not, by
# function; then "ok coverage". Below PERCENT (90) of all, or where a function with
# lines that were not run has no row in src/lib/ARCHITECTURE.md, which has the
# reason, "not ok coverage - why" and exit code 1.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
build=build/coverage
at_least=90

case "${1-}" in
--at-least)	at_least=${2:?--at-least needs a number} ;;
'')		;;
*)
	echo "usage: bash test/coverage.sh [--at-least PERCENT]" >&2
	exit 2 ;;
esac

cmake --preset coverage >/dev/null
cmake --build "$build" -j2 >/dev/null
find "$build" -name '*.gcda' -delete
ctest --test-dir "$build" -j3 --output-on-failure

# A header has its lines in several objects: one that ran in any of them did.
gcov --stdout "$build"/src/lib/CMakeFiles/objects.dir/*.gcda | awk \
	-v at_least="$at_least" -v root="$PWD/src/lib/" \
	-v named="$(<src/lib/ARCHITECTURE.md)" '
function flush_range()
{
	if (!from)
		return
	missed = missed (missed ? ", " : "") within "() " (from == to ? from : from "-" to)
	if (!index(named, "\n| `" file "` | `" within "()` |"))
		unnamed = unnamed " " file ":" within "()"
	from = to = 0
}
function show(    n, run, line, key)
{
	missed = ""
	for (line = 1; line <= last[file]; line++) {
		key = file SUBSEP line
		if (!(key in count))
			continue
		n++
		if (count[key]) {
			run++
			flush_range()
			continue
		}
		if (from && within != of[key])
			flush_range()
		if (!from)
			from = line
		within = of[key]
		to = line
	}
	flush_range()
	printf "%-14s %4d of %4d %5.1f %% %s\n", file, run, n, 100 * run / n,
		missed ? "  not run: " missed : ""
	sum += n
	sum_run += run
}
{
	split($0, part, ":")
	number = part[2] + 0
	source = substr($0, length(part[1]) + length(part[2]) + 3)
}
part[3] == "Source" {
	file = part[4]
	inside = index(file, root) == 1
	file = substr(file, length(root) + 1)
	if (inside && !(file in last))
		order[++files] = file
	next
}
# The line that begins a function: of its name and what comes before it.
inside && source ~ /^[a-z][a-z0-9_ *]*\(/ {
	name = source
	sub(/\(.*/, "", name)
	sub(/.*[ *]/, "", name)
}
inside && number && part[1] !~ /-$/ {
	if (number > last[file])
		last[file] = number
	count[file, number] += part[1] !~ /[#=]/
	of[file, number] = name
}
END {
	for (i = 1; i <= files; i++) {
		file = order[i]
		show()
	}
	percent = sum ? 100 * sum_run / sum : 0
	printf "%-14s %4d of %4d %5.1f %%\n", "total", sum_run, sum, percent
	if (percent >= at_least && !unnamed) {
		print "ok coverage"
		exit 0
	}
	if (unnamed) {
		print "not ok coverage - not run, and not named in ARCHITECTURE.md:" unnamed
		exit 1
	}
	printf "not ok coverage - the unit tests run %.1f %% of the lines of src/lib, not %s %%\n",
		percent, at_least
	exit 1
}'
