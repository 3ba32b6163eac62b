#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Measure all, in a guest that run.sh has booted. Arguments: BUILD [--quick]
#
# Writes samples.jsonl and, not with --quick, refused.jsonl to $OUT. What is to be
# compared is measured one after the other, in rounds, each of which goes through it in
# the other direction than the one before. Exit code 1 if something could not be measured.
# shellcheck disable=SC2086,SC2317 # lists of words; what in_turn() calls by its name
set -euo pipefail

build=$1
quick=${2-}
samples=$OUT/samples.jsonl
log=$OUT/log
failed=0
: >"$samples"
: >"$log"

# OP SIZE ITERATIONS of bandwidth: what takes about a second, connecting included.
bandwidth=(
	"write 4096 1000" "write 65536 200" "write 1048576 15"
	"read 65536 200" "read 1048576 15"
	"send 4096 1000" "send 65536 200"
)
latency=("write 2 500" "write 4096 300" "read 2 300" "send 2 300")
durable=("write 4096 300" "write 65536 150" "write 1048576 15" "send 4096 300" "send 65536 150")
rounds=6
breaks=12
few=6
sizes=64K,256K,1M,4M,16M,64M,256M,1G
regions=1,4,16,64,256,1024,4096
qps=1,8,32,128
peers=1,2,4,8,16
bytes=1M,16M,256M,1G
leases=64M,256M,1G
if [[ $quick ]]; then
	bandwidth=("write 4096 500" "write 65536 150")
	latency=("write 2 300")
	durable=("write 65536 80")
	rounds=3
	breaks=6
	few=2
	sizes=64K,256M
	regions=1,1024
	qps=32
	peers=4
	bytes=1M,64M
	leases=64M
fi

# phase WHAT: begins now
phase()
{
	printf '%5d s  %s\n' "$SECONDS" "$*"
}

# must WHAT COMMAND...
must()
{
	local what=$1

	shift
	echo "# $*" >>"$log"
	"$@" >>"$log" 2>&1 && return
	echo "not measured: $what: $*; the end of $log:"
	tail -n 3 "$log"
	failed=1
}

# both TOOL SERVER-OPTIONS CLIENT-OPTIONS: the client's output; options as words
both()
{
	local tries=0 status=0 server

	timeout 60 $1 $2 >>"$log" 2>&1 &
	server=$!
	# perftest's client does not wait until its server listens.
	until timeout 60 $1 $3 "$MD_ADDR"; do
		if ((++tries == 20)) || ! kill -0 "$server" 2>/dev/null; then
			status=1
			kill "$server" 2>/dev/null || true
			break
		fi
		sleep 0.1
	done
	wait "$server" || status=1
	return "$status"
}

# ours KIND OP SIZE ITERATIONS NAME MEMORY [--persist]
ours()
{
	must "$5" both "$build/bench/md_$1" "--mem=$6" \
		"--op=$2 -s $3 -n $4 ${7-} --samples=$samples --name=$5"
}

# theirs KIND OP SIZE ITERATIONS NAME FILE: perftest, the average or the typical latency
theirs()
{
	local value column=4 output

	[[ $1 == bw ]] || column=5
	output=$(both "ib_$2_$1 -F -s $3 -n $4 -d rxe0" "--mmap=$6" "" 2>>"$log") || output=
	value=$(awk -v n="$column" -v size="$3" '$1 == size { print $n }' <<<"$output")
	if [[ ! $value ]]; then
		echo "not measured: $5: ib_$2_$1"
		failed=1
		return
	fi
	printf '{"name": "%s/%s", "value": %s, "unit": "%s"}\n' "$5" "$3" "$value" \
		"$([[ $1 == bw ]] && echo MB/s || echo us)" >>"$samples"
}

# Each of "$@", or from the last to the first.
in_turn()
{
	local round=$1 i

	shift
	for ((i = 1; i <= $#; i++)); do
		if ((round % 2)); then
			eval "${!i}"
		else
			local back=$(($# + 1 - i))

			eval "${!back}"
		fi
	done
}

# of_all ROUND KIND OP SIZE ITERATIONS: in each memory, by our tool and by perftest's,
# which maps two messages, and so only large ones of a device-dax, in whole huge pages
of_all()
{
	local round=$1 what="$2 $3 $4 $5" name=$2/$3
	local all=(
		"ours $what $name/devdax devdax:$MD_DEVDAX"
		"ours $what $name/lease lease:/mnt/pmem/lease"
	)

	(($4 % (1 << 20))) || all+=("theirs $what $name/perftest_devdax $MD_DEVDAX")
	[[ $2 == lat ]] || all+=("ours $what $name/tmpfs tmpfs")
	all+=("theirs $what $name/perftest_tmpfs /dev/shm/perftest")
	in_turn "$round" "${all[@]}"
}

# durably ROUND OP SIZE ITERATIONS; of latency only writes
durably()
{
	local round=$1 what="$2 $3 $4" kind

	for kind in bw lat; do
		[[ $kind/$2 != lat/send ]] || continue
		in_turn "$round" \
			"ours $kind $what durable_$kind/$2/lease lease:/mnt/pmem/lease --persist" \
			"ours $kind $what durable_$kind/$2/bounce bounce:/mnt/pmem/bounce"
	done
}

# breaks OPTION...
breaks()
{
	must breaks "$build/bench/md_break" --file=/mnt/pmem/break "--samples=$samples" "$@"
}

truncate -s 32M /dev/shm/perftest
for ((round = 1; round <= rounds; round++)); do
	phase "round $round of $rounds: bandwidth, latency"
	for point in "${bandwidth[@]}"; do
		of_all "$round" bw $point
	done
	for point in "${latency[@]}"; do
		of_all "$round" lat $point
	done
	for point in "${durable[@]}"; do
		durably "$round" $point
	done
done
rm -f /mnt/pmem/lease /mnt/pmem/bounce /dev/shm/perftest

phase breaks
breaks "--regions=$regions" "--count=$breaks"
breaks "--qps=$qps" "--count=$breaks"
breaks "--peers=$peers" "--count=$breaks"
breaks "--bytes=$bytes" "--count=$few"
breaks --peer=idle "--count=$breaks"
breaks --peer=silent "--count=$few"
breaks --peer=dead "--count=$few"
rm -f /mnt/pmem/break*

phase registration
must registration "$build/bench/md_reg" "--sizes=$sizes" "--rounds=$rounds" \
	--lease=/mnt/pmem/reg "--devdax=$MD_DEVDAX" --tmpfs "--samples=$samples"
phase "memory, guard"
must memory "$build/bench/md_reg" --memory "--sizes=$leases" "--rounds=$few" \
	--lease=/mnt/pmem/reg "--samples=$samples"
must guard "$build/bench/md_guard" --file=/mnt/pmem/guard --threads=1,2 "--rounds=$rounds" \
	"--samples=$samples"
if [[ ! $quick ]]; then
	phase "other libraries"
	must "other libraries" bash bench/refused/run.sh --fsdax=/mnt/pmem \
		"--devdax=$MD_DEVDAX" "--build=$build" "--table=$OUT/refused.jsonl"
fi
phase end
exit "$failed"
