#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Measure what a lease costs, and what it saves, on a Debian 12 machine that has nothing
# but git:
#
#   bash bench/run.sh [--quick] [--kernel K]...
#
# --quick     fewer rounds, sizes and breaks, no other libraries: 5 minutes, not 30
# --kernel K  in a guest with that kernel only, not with each that test/vm/kernel.sh knows
#
# Installs what is missing, builds, boots one guest after the other with persistent
# memory and soft-RoCE, and writes to bench/out:
#   report.md     all tables, what must hold and whether it does, the pictures
#   report.json   one JSON object a line: name, kernel, value (a median), unit, and of
#                 what must hold ratio, limit, holds; n, spread (of the median, 95 %)
#   *.svg         the pictures
#   KERNEL/       every sample, the tools' output, the kernel log
# Leave the machine alone meanwhile. Exit code 0 also if a limit was missed; 1 if
# something could not be measured.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
command="bash bench/run.sh${*:+ $*}"
kernels=()
quick=()
out=bench/out
failed=0

while (($#)); do
	case $1 in
	--quick)	quick=(--quick) ;;
	--kernel)	kernels+=("${2:?--kernel needs one}"); shift ;;
	*)		sed -n '3,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
	esac
	shift
done
((${#kernels[@]})) || kernels=(6.1 6.12)

bash test/setup.sh --bench
echo "building ..."
mkdir -p build
exec {lock}>build/.lock # test/run.sh may be at it
flock "$lock"
if ! { cmake --preset release && cmake --build --preset release; } >build/bench.log 2>&1; then
	tail -n 40 build/bench.log
	exit 1
fi
exec {lock}>&-

rm -rf "$out"
mkdir -p "$out/host"
echo "here: the guard, without a guest"
guard=$out/host/guard
build/release/bench/md_guard "--file=$guard" --fcntl --threads=1,2 \
	"--samples=$out/host/samples.jsonl" >"$out/host/log" 2>&1 ||
	{ tail -n 3 "$out/host/log"; failed=1; }
rm -f "$guard"
for kernel in "${kernels[@]}"; do
	echo "Linux $kernel ..."
	MD_VM_MEM=4G bash test/vm/run.sh --kernel "$kernel" --time 2400 --out "$out/$kernel" \
		--pmem-size 4G --devdax-size 2G -- \
		bash bench/guest.sh "$PWD/build/release" "${quick[@]}" || failed=1
done
perl bench/report/report.pl "$out" "$command"
echo "$out/report.md"
exit "$failed"
