#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Who can register which memory: run here, not quoted.
#
#   bash bench/refused/run.sh --fsdax=DIR [OPTION]...
#
# --fsdax=DIR   a directory of a DAX file system
# --devdax=DEV  a device-dax, which is written to; without it that column is "none here"
# --build=DIR   where the project was built (build/release)
# --table=FILE  write one JSON object a line to FILE
# -d DEVICE     the RDMA device (the first)
# -h            this text
#
# MD_ADDR is the address of the RDMA device. Prints the table in markdown: a row for
# each library, in each cell "works" or the error as the library puts it. Exit code:
# 0, whatever they said; 2 for bad options; 77 when there is nothing to ask with.
set -euo pipefail

here=$(dirname "${BASH_SOURCE[0]}")
build=$here/../../build/release
fsdax=
devdax=
table=/dev/null
device=

usage()
{
	echo "run.sh: $*; -h tells more" >&2
	exit 2
}

while (($#)); do
	case "$1" in
	--fsdax=?*)	fsdax=${1#*=} ;;
	--devdax=?*)	devdax=${1#*=} ;;
	--build=?*)	build=${1#*=} ;;
	--table=?*)	table=${1#*=} ;;
	-d)
		(($# > 1)) || usage "-d needs a device"
		device=$2
		shift
		;;
	-h | --help)
		sed -n '3,/^set/{/^set/d; s/^# \?//; p}' "${BASH_SOURCE[0]}"
		exit 0
		;;
	*)		usage "unknown option $1" ;;
	esac
	shift
done
[[ -d $fsdax ]] || usage "--fsdax=DIR, a directory of a DAX file system"
[[ ${MD_ADDR-} ]] || usage "MD_ADDR has to be the address of the RDMA device"
if [[ ! $device ]]; then
	devices=(/sys/class/infiniband/*)
	device=${devices[0]##*/}
	[[ -e ${devices[0]} ]] || { echo "run.sh: no RDMA device" >&2; exit 77; }
fi
[[ -x $build/bench/refused/probe_verbs ]] || { echo "run.sh: no probes in $build" >&2; exit 77; }

tmp=$(mktemp -d)
files=$(mktemp -d "$fsdax/refused.XXXXXX")
shm=$(mktemp -d /dev/shm/refused.XXXXXX)
trap 'rm -rf "$tmp" "$files" "$shm"' EXIT
for file in "$files/file" "$shm/file"; do
	# Written: fallocate alone would leave what has to be converted.
	dd if=/dev/zero of="$file" bs=1M count=4 conv=fsync status=none
done

memories=("fsdax MAP_SHARED" "fsdax MAP_SYNC" "device-dax" "tmpfs")
hows=(shared sync shared shared)
paths=("$files/file" "$files/file" "$devdax" "$shm/file")
port=18600

# A probe ends: a refusal that spins must not hang the run.
limit()
{
	timeout -k 2 20 "$@"
}

# why FILE: what UCX puts beside its status, without addresses.
why()
{
	sed -n 's/.*UCX  ERROR \(ibv_reg_mr\)([^)]*) failed: \(.*\)/ (\1(): \2)/p' "$1" | head -n 1
}

# probe NAME HOW PATH: sets result
probe()
{
	local program=$build/bench/refused/probe_$1 code=0

	limit "$program" "$2" "$3" "$MD_ADDR" "$device" >"$tmp/out" 2>"$tmp/err" || code=$?
	case $code in
	0)		result=$(tail -n 1 "$tmp/out")$(why "$tmp/out") ;;
	124 | 137)	result="no answer in 20 s" ;;
	*)		result="not asked: $(tail -n 1 "$tmp/err")" ;;
	esac
}

# perftest HOW PATH: the side that is written to has its buffer in the file.
perftest()
{
	local options=(-d "$device" -F -n 5 -t 4 -s 1048576 -p $((port++))) server tries code=0

	if [[ $1 == sync ]]; then
		result="-" # it has no option for it
		return
	fi
	limit ib_write_bw "${options[@]}" --mmap="$2" >"$tmp/server" 2>&1 &
	server=$!
	# The client gives up at once when nobody listens yet.
	for ((tries = 0; tries < 10; tries++)); do
		sleep 0.5
		limit ib_write_bw "${options[@]}" "$MD_ADDR" >"$tmp/client" 2>&1 && break
		[[ $(jobs -rp) ]] || break # it has failed
	done
	wait $server || code=$?
	if ((!code)); then
		result=works
	elif ((code == 124 || code == 137)); then
		result="no answer in 20 s"
	else
		result=$(grep -m 1 -i "MR\|mmap\|fail\|error" "$tmp/server" || echo "exit code $code")
	fi
}

version_of()
{
	if [[ $1 == perftest ]]; then
		# It exits with 1.
		(limit ib_write_bw --version || true) 2>/dev/null | sed -n 's/^Version: *//p'
	else
		limit "$build/bench/refused/probe_$1" --version
	fi
}

is_there()
{
	if [[ $1 == perftest ]]; then
		command -v ib_write_bw >/dev/null
	else
		[[ -x $build/bench/refused/probe_$1 ]]
	fi
}

quote()
{
	local text=${1//\\/\\\\}

	printf '"%s"' "${text//\"/\\\"}"
}

# ask NAME LIBRARY: one row
ask()
{
	local version="" i row

	if is_there "$1"; then
		version=$(version_of "$1")
	fi
	row="| $2${version:+ $version} |"
	for i in "${!memories[@]}"; do
		if ! is_there "$1"; then
			result="not installed"
		elif [[ ! ${paths[i]} ]]; then
			result="none here"
		elif [[ $1 == mapdirect && ${hows[i]} == sync ]]; then
			result="-" # it maps the file itself
		elif [[ $1 == perftest ]]; then
			perftest "${hows[i]}" "${paths[i]}"
		else
			probe "$1" "${hows[i]}" "${paths[i]}"
		fi
		# Names that are new in each run say nothing.
		result=${result//"$files/"/}
		result=${result//"$shm/"/}
		row+=" ${result//|/\\|} |"
		printf '{"library": %s, "version": %s, "memory": %s, "result": %s}\n' \
			"$(quote "$2")" "$(quote "$version")" "$(quote "${memories[i]}")" \
			"$(quote "$result")" >>"$table"
	done
	echo "$row"
}

[[ $table == /dev/null ]] || : >"$table"
echo "| Linux $(uname -r) | ${memories[0]} | ${memories[1]} | ${memories[2]} | ${memories[3]} |"
echo "|---|---|---|---|---|"
ask verbs "ibv_reg_mr()"
ask perftest "perftest --mmap"
ask rpma "librpma rpma_mr_reg()"
ask ucx "UCX ucp_mem_map()"
ask libfabric "libfabric fi_mr_reg()"
ask mapdirect "libmapdirect md_reg_mr()"
