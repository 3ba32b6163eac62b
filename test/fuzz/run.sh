#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Fuzz what a peer sends.
#
#   bash test/fuzz/run.sh [--seconds N] [--seeds]
#
# Builds with clang in build/fuzz and runs all fuzzers at the same time, N seconds
# (60) each, beginning with test/fuzz/corpus and what earlier runs have found, in
# build/fuzz/corpus. Prints "ok fuzz__NAME" or "not ok fuzz__NAME - why" for each, and
# how far it came. An input that was too much is in build/fuzz/artifacts, the log in
# build/fuzz/NAME.log.
#
# --seeds  write test/fuzz/corpus anew instead, after a change of session.c or the
#          recorded session
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
build=build/fuzz
corpus=test/fuzz/corpus
fuzzers=(wire session)
seconds=60
seeds=

while (($#)); do
	case $1 in
	--seconds)	seconds=${2:?--seconds needs a number}; shift ;;
	--seeds)	seeds=yes ;;
	*)
		echo "usage: bash test/fuzz/run.sh [--seconds N] [--seeds]" >&2
		exit 2 ;;
	esac
	shift
done

cmake --preset fuzz >/dev/null
cmake --build "$build" -j2 >"$build/build.log" 2>&1 || {
	cat "$build/build.log"
	exit 1
}

if [[ $seeds ]]; then
	for name in "${fuzzers[@]}"; do
		rm -rf "${corpus:?}/$name"
		mkdir -p "$corpus/$name"
	done
	exec "$build/test/fuzz/fuzz_seeds" "$corpus/wire" "$corpus/session"
fi

# fuzz NAME: one input must neither take 10 seconds nor 2 GB
fuzz()
{
	mkdir -p "$build/corpus/$1" "$build/artifacts"
	"$build/test/fuzz/fuzz_$1" -max_total_time="$seconds" -max_len=2048 \
		-timeout=10 -rss_limit_mb=2048 \
		-artifact_prefix="$build/artifacts/$1-" \
		"$build/corpus/$1" "$corpus/$1" >"$build/$1.log" 2>&1
}

declare -A pid
for name in "${fuzzers[@]}"; do
	fuzz "$name" &
	pid[$name]=$!
done

failed=0
for name in "${fuzzers[@]}"; do
	if wait "${pid[$name]}"; then
		echo "ok fuzz__$name"
		grep -E '	DONE ' "$build/$name.log" | sed 's/^/    /' || true
		continue
	fi
	failed=1
	why=$(grep -m1 -oE '(SUMMARY|ERROR): .*' "$build/$name.log" || true)
	echo "not ok fuzz__$name - ${why:-see $build/$name.log}"
	tail -n 40 "$build/$name.log" | cut -c1-200 | sed 's/^/    | /'
done
exit "$failed"
