#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Run the unit tests of the library under valgrind: no invalid access, no jump
# on a value that was never set, nothing lost at the end.
#
#   bash test/valgrind.sh [SUITE]...
#
# Takes the programs of build/release. Prints "ok" or "not ok" for each suite;
# exit code 1 if any is not ok.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
units=build/release/test/unit
failed=0
# What does not touch the allocator (engine*, guard) has nothing to find here, and
# stress counts what threads do at the same time, which they do not here.
suites=("$@")
((${#suites[@]})) || suites=(context map mr qp event break restore persist query
	hole memory fork lease_kmod unshare lease_devdax lease_fcntl lease_fcntl_break
	lease_fcntl_rights populate faults)

log=$(mktemp)
trap 'rm -f "$log"' EXIT

for suite in "${suites[@]}"; do
	args=()
	leaks=full
	case $suite in
	# Not the case of signal masks: valgrind changes them.
	context)	args=(open__ close__ fd__ process__ errmsg__ str__) ;;
	# A child has half of what other threads were just making.
	fork)		leaks=no ;;
	esac
	status=0
	timeout 300 valgrind -q --error-exitcode=99 --child-silent-after-fork=yes \
		--leak-check="$leaks" --suppressions=test/unit/valgrind.supp \
		"$units/unit_$suite" "${args[@]}" >"$log" 2>&1 || status=$?
	if ((status == 0)); then
		echo "ok valgrind-$suite"
		continue
	fi
	failed=1
	why="exit status $status"
	((status != 99)) || why="valgrind found something"
	echo "not ok valgrind-$suite - $why"
	grep -E '^==|FAILED|^ +[0-9]+\. ' "$log" | head -n 60
done
((!failed))
