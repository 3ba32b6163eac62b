#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The shared library exports what the public header declares, and no more.
# usage: exports.sh LIBRARY HEADER
set -euo pipefail

library=$1
header=$2

exported=$(nm -D --defined-only "$library" | awk '$2 ~ /[TDBRVW]/ { sub(/@.*/, "", $3); print $3 }' | sort)
# A declaration begins in the first column with a type; comments do not.
declared=$(grep -E '^(struct|enum|const|void|int|size_t|off_t|uint64_t) .*\<md_[a-z_]+\(' "$header" |
	grep -oE '\<md_[a-z_]+\(' | tr -d '(' | sort)

if [[ $exported != "$declared" ]]; then
	echo "exports: exported (<) and declared (>) differ:"
	diff <(echo "$exported") <(echo "$declared") || true
	exit 1
fi
echo "exports: $(wc -l <<<"$declared") symbols, as declared"
