#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Whatever the library calls outside of itself can be made to fail, or is exempt
# for a reason; and neither list has more than what it calls.
# usage: fault_syms.sh ARCHIVE FAULT_SYMS EXEMPT
set -euo pipefail

archive=$1
syms=$2
exempt=$3

called=$(comm -23 <(nm -u "$archive" | awk 'NF == 2 { print $2 }' | sort -u) \
	<(nm --defined-only "$archive" | awk 'NF == 3 { print $3 }' | sort -u))
listed=$(awk '{ print $1 }' "$syms" "$exempt" | sort)

if [[ $called != "$listed" ]]; then
	echo "fault_syms: called (<) and in $syms or $exempt (>) differ:"
	diff <(echo "$called") <(echo "$listed") || true
	exit 1
fi
if grep -vE '^[^ ]+ [^ ]' "$exempt"; then
	echo "fault_syms: exempt without a reason, see above"
	exit 1
fi
echo "fault_syms: $(wc -l <"$syms") symbols can fail, $(wc -l <"$exempt") are exempt"
