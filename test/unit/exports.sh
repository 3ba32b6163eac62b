#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The shared library exports what the public header declares, and no more, and what
# the lists of the releases have, each symbol with the version that it came with.
# usage: exports.sh LIBRARY HEADER LIST...
set -euo pipefail

library=$1
header=$2
shift 2

versions=$(nm -D --defined-only --with-symbol-versions "$library" |
	awk '$2 ~ /[TDBRVW]/ { print $3 }' | LC_ALL=C sort)
frozen=$(LC_ALL=C sort "$@")
exported=$(nm -D --defined-only "$library" | awk '$2 ~ /[TDBRVW]/ { sub(/@.*/, "", $3); print $3 }' | sort)
# A declaration begins in the first column with a type; comments do not.
declared=$(grep -E '^(struct|enum|const|void|int|size_t|off_t|uint64_t) .*\<md_[a-z_]+\(' "$header" |
	grep -oE '\<md_[a-z_]+\(' | tr -d '(' | sort)

if [[ $exported != "$declared" ]]; then
	echo "exports: exported (<) and declared (>) differ:"
	diff <(echo "$exported") <(echo "$declared") || true
	exit 1
fi
if [[ $versions != "$frozen" ]]; then
	echo "exports: exported (<) and listed for good (>) differ:"
	diff <(echo "$versions") <(echo "$frozen") || true
	exit 1
fi
echo "exports: $(wc -l <<<"$declared") symbols, as declared"
