#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Show it all on a Debian 12 machine that has nothing but git:
#
#   bash examples/demo.sh [--kernel K]
#
# Installs what is missing, builds, boots a guest with emulated persistent memory
# and soft-RoCE, and plays demo/play.sh in it. Logs are left in build/demo.
# K is the guest's kernel, 6.1 (Debian 12, the default) or 6.12 (Debian 13).
# Exit code 0 if all five breaks were survived without a lost or foreign byte.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p build/demo
bash test/setup.sh --guest
echo "building ..."
exec {lock}>build/.lock # test/run.sh may be at it
flock "$lock"
if ! { cmake --preset release && cmake --build --preset release; } \
	>build/demo/build.log 2>&1; then
	tail -n 40 build/demo/build.log
	exit 1
fi
exec {lock}>&-
echo "booting ..."
exec bash test/vm/run.sh "$@" --time 400 --out build/demo -- \
	bash examples/demo/play.sh "$PWD/build/release/examples"
