#!/usr/bin/env bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# md_doctor on this machine, whatever it is: exit code, last line and JSON agree,
# and each lack has a remedy.
# usage: doctor.sh MD_DOCTOR
set -euo pipefail

doctor=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

fail()
{
	echo "doctor: $*"
	exit 1
}

# run STATUS ARGUMENT...: sets out
run()
{
	local want=$1 got=0

	shift
	out=$("$doctor" "$@" 2>"$dir/err") || got=$?
	((got == want)) || fail "\"$*\" gave $got, not $want: $out"
}

run 0 --help
[[ $out == usage:* ]] || fail "no usage in --help"
run 0 --version
[[ $out =~ ^md_doctor\ [0-9]+\.[0-9]+\.[0-9]+$ ]] || fail "version \"$out\""
run 2 --unknown
[[ ! $out && $(<"$dir/err") == *usage:* ]] || fail "no usage on stderr"

# A page without DAX is never ready.
file=$dir/$'a "quoted"\nname'
: >"$file"
run 1 "$file"
lines=$(grep -cE '^missing  ' <<<"$out")
[[ $(tail -n 1 <<<"$out") =~ ^not\ ready:\ $lines\ thing(s\ are|\ is)\ missing$ ]] ||
	fail "$lines lines, but: $(tail -n 1 <<<"$out")"
! grep -A 1 -E '^missing  ' <<<"$out" | grep -E '^(ok|warn|note|not ready|missing)' |
	grep -vE '^missing' || fail "a lack without a remedy: $out"
grep -qF 'a "quoted"?name: ' <<<"$out" || fail "the name is not on one line: $out"

if [[ ! -e /sys/module/mapdirect ]]; then
	grep -qE '^missing  module: ' <<<"$out" || fail "the module is not said to be missing"
fi
if [[ ! -e /sys/class/infiniband ]]; then
	grep -qE '^missing  RDMA device: ' <<<"$out" || fail "no RDMA device: not said"
fi

# Without a path: the exit code is that of the last line.
status=0
out=$("$doctor") || status=$?
case $(tail -n 1 <<<"$out") in
ready:*)	((status == 0)) || fail "ready, but status $status" ;;
"not ready:"*)	((status == 1)) || fail "not ready, but status $status" ;;
*)		fail "no last line: $out" ;;
esac

run 1 --json "$file" $'/nowhere/\xff'
# All but this was as it should be.
if ! command -v jq >/dev/null; then
	echo "skip doctor - no jq to read the JSON with (bash test/setup.sh)"
	exit 77
fi
jq -e --arg file "$file" '
	[.findings[] | select(.status == "missing")] as $missing |
	.ready == false and .missing == ($missing | length) and
	all($missing[]; .remedy | length > 0) and
	[.findings[] | select(.check == "path") | .subject] == [$file, "/nowhere/\ufffd"]' \
	<<<"$out" >/dev/null || fail "JSON: $out"
echo "doctor: as it should be"
