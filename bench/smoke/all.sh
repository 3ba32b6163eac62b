#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Does each benchmark work? A little of everything, in a guest, in two minutes:
#
#   bash test/vm/run.sh --pmem-size 2G --devdax-size 1G -- bash bench/smoke/all.sh [BUILD]
#
# BUILD is where the project was built (build/release).
set -uo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
failed=0
for part in perf reg break; do
	bash "$here/$part.sh" "$@" || failed=1
done
exit "$failed"
