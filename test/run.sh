#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Run all tests, on a Debian 12 machine that has nothing but git.
#
#   bash test/run.sh [--quick | --long] [--kernel K | --native]
#
# --quick     without what takes long: guest cases marked so, guests with large
#             memory, guests that are joined, coverage, valgrind, the largest
#             searches of the model, packages, the harness's own test, checkpatch
#             (which has to be fetched), all but one demo
# --long      and what test/guest/run-all.sh has for it, on each kernel all that
#             otherwise one of them has, and a guest that builds the module by DKMS;
#             more than an hour more
# --kernel K  boot guests with that kernel only, not with each that
#             test/vm/kernel.sh knows. Of several, only the first has the guest cases
#             marked as long, and only the last the other guests that --quick leaves out
# --native    no guests: run their suites on this machine. It has a loaded
#             mapdirect module and an RDMA device; tell by the environment
#               MD_ADDR   the address of the RDMA device's network interface
#               MD_PMEM   a directory on an XFS mounted with -o dax=always, with
#                         reflink=0, and some 100 MiB free
#               MD_PMEM2  the same with reflink=1
#             The suites change leases-enable and lease-break-time and freeze
#             both file systems for a while, and kill processes of their own.
#
# Installs what is missing, builds with gcc, clang and the sanitizers, and runs
# the unit tests, the model, the fuzzers, valgrind, the checkers, the guest suites and
# the demo. A step that has many cases prints "ok NAME", "not ok NAME - why" or
# "skip NAME - why" for each, or CUnit's summary; any other step is one case. Full
# logs are in build/logs. What failed is listed once more at the end.
#
# The last line is "N passed, N failed, N skipped". Exit code 1 if anything
# failed or nothing passed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
quick=()
long=()
native=()
kernels=(6.1 6.12)
logs=build/logs
passed=0
failed=0
skipped=0

usage()
{
	echo "usage: bash test/run.sh [--quick | --long] [--kernel K | --native]" >&2
	exit 2
}

while (($#)); do
	case $1 in
	--quick)	quick=(--quick) long=() ;;
	--long)		long=(--long) quick=() ;;
	--native)	native=(--native) ;;
	--kernel)	(($# > 1)) || usage; kernels=("$2"); shift ;;
	*)		usage ;;
	esac
	shift
done
if ((${#native[@]})); then
	: "${MD_ADDR:?--native needs it}" "${MD_PMEM:?--native needs it}" \
		"${MD_PMEM2:?--native needs it}"
fi

# run NAME COMMAND...: sets log, status and took
run()
{
	local start=$SECONDS

	log=$logs/$1.log
	shift
	status=0
	"$@" >"$log" 2>&1 </dev/null || status=$?
	took=$((SECONDS - start))
}

# report NAME PASSED FAILED SKIPPED: of what run() ran
report()
{
	passed=$((passed + $2))
	failed=$((failed + $3))
	skipped=$((skipped + $4))
	printf '%-16s %4d passed %4d failed %4d skipped %5d s\n' \
		"$1" "$2" "$3" "$4" "$took"
	grep -E '^skip ' "$log" | grep -v ' --quick was given$' | sed 's/^/    /' || true
	(($3)) || return 0
	{
		echo "$1: $3 failed"
		grep -E '^not ok |[.]{3}FAILED$' "$log" | head -n 50 | sed 's/^/    /' || true
	} >>"$logs/failed"
	echo "    the end of $log:"
	tail -n 30 "$log" | sed 's/^/    | /'
}

# step NAME COMMAND...: one case
step()
{
	run "$@"
	report_step "$1"
}

report_step()
{
	report "$1" $((status == 0)) $((status != 0 && status != 77)) \
		$((status == 77))
}

# A command that fails without a failed case, or has no case at all, is one; 77
# says that it has skipped.
report_cases()
{
	local name=$1 p=$2 f=$3 s=$4

	if ((status && status != 77 && !f)) || ((p + f + s == 0)); then
		f=1
	fi
	report "$name" "$p" "$f" "$s"
}

count()
{
	grep -cE -- "$1" "$log" || true
}

# suite NAME COMMAND...: prints a line for each case
suite()
{
	run "$@"
	report_suite "$1"
}

report_suite()
{
	report_cases "$1" "$(count '^ok [^ ]')" "$(count '^not ok ')" \
		"$(count '^skip ')"
}

# unit NAME BUILD: CUnit programs under ctest; one that could run nothing says so
unit()
{
	local p f

	run "$1" unit_tests "$2"
	read -r p f < <(sed -nE \
		's/^[0-9]+: .*: ([0-9]+) passed, ([0-9]+) failed, .*/\1 \2/p' "$log" |
		awk '{ p += $1; f += $2 } END { print p + 0, f + 0 }')
	report_cases "$1" "$p" "$f" "$(count '^skip ')"
}

unit_tests()
{
	ctest --test-dir "$1" -V -j3 | sed -E 's/^[0-9]+: (skip .* - )/\1/'
}

# build PRESET DIR [CMAKE OPTION]...
build()
{
	local preset=$1 dir=$2

	shift 2
	cmake --preset "$preset" -B "$dir" -DMAPDIRECT_WERROR=ON "$@" &&
		cmake --build "$dir" -j2
}

declare -A started

# start NAME COMMAND...: run it beside what follows
start()
{
	(
		run "$@"
		echo "$status $took" >"$logs/$1.status"
	) &
	started[$1]=$!
}

# finish KIND NAME: wait for what was started, and report it as a step or suite
finish()
{
	wait "${started[$2]}"
	log=$logs/$2.log
	read -r status took <"$logs/$2.status"
	"report_$1" "$2"
}

# start_each NAME COMMAND...: for each kernel, which takes the place of an
# argument "@"; all at the same time
start_each()
{
	local name=$1 kernel

	shift
	for kernel in "${kernels[@]}"; do
		start "$name-$kernel" "${@/#@/$kernel}"
	done
}

# finish_each KIND NAME
finish_each()
{
	local kernel

	for kernel in "${kernels[@]}"; do
		finish "$1" "$2-$kernel"
	done
}

# sparse KERNEL: no finding, and no warning of the compiler, in either build
sparse()
{
	local found build

	for build in "" --testing; do
		found=$(bash test/vm/kmod.sh --kernel "$1" $build C=2 2>&1 \
			>/dev/null) || return 1
		echo "$found"
		[[ -z $found ]] || return 1
	done
}

bash test/setup.sh
mkdir -p "$logs"
: >"$logs/failed"

step build-gcc build release build/release
if ! ((${#native[@]})); then
	start_each sparse sparse @
	finish_each step sparse
	# Guests wait a lot: most of what follows runs beside them.
	for kernel in "${kernels[@]}"; do
		depth=("${quick[@]}" "${long[@]}")
		if ((!${#depth[@]})); then
			[[ $kernel == "${kernels[0]}" ]] || depth+=(--without long)
			[[ $kernel == "${kernels[-1]}" ]] || depth+=(--without large)
		fi
		start "guest-$kernel" bash test/guest/run-all.sh --kernel "$kernel" "${depth[@]}"
	done
fi
step build-clang build release build/clang -DCMAKE_C_COMPILER=clang
step build-asan build asan build/asan
step build-tsan build tsan build/tsan
unit unit build/release
unit unit-asan build/asan
unit unit-tsan build/tsan
((${#native[@]})) || suite model bash test/model/run.sh "${quick[@]}"
if ((${#quick[@]})); then
	suite fuzz bash test/fuzz/run.sh --seconds 10
else
	suite fuzz bash test/fuzz/run.sh
fi
if ! ((${#quick[@]})); then
	suite valgrind bash test/valgrind.sh
	suite coverage bash test/coverage.sh
	grep -E '^total |  not run: ' "$log" | sed 's/^/    /' || true
fi
suite report bash bench/report/test.sh
step format cmake --build build/release --target format-check

if ((${#native[@]})); then
	suite guest bash test/guest/run-all.sh --native "${quick[@]}" "${long[@]}"
elif ((${#quick[@]})); then
	step demo bash examples/demo.sh --kernel "${kernels[0]}"
	finish_each suite guest
else
	suite install bash test/install.sh
	suite clean bash test/clean.sh "${kernels[@]/#/--kernel=}"
	step checkpatch bash test/vm/checkpatch.sh
	finish_each suite guest
	for kernel in "${kernels[@]}"; do # they write to the same place
		step "demo-$kernel" bash examples/demo.sh --kernel "$kernel"
	done
	suite vm bash test/vm/selftest.sh --kernel "${kernels[0]}"
	if ((${#long[@]})); then
		# Two that compile would more than double each other's time.
		for kernel in "${kernels[@]}"; do
			suite "dkms-$kernel" bash test/dkms.sh --kernel "$kernel"
		done
	fi
fi

echo "$SECONDS s in all"
cat "$logs/failed"
echo "$passed passed, $failed failed, $skipped skipped"
((failed == 0 && passed > 0))
