#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The demo itself; runs in the guest of test/vm/run.sh, started by ../demo.sh.
#
#   play.sh PROGRAMS
#
# PROGRAMS is the directory of the demo_* programs. Leaves its logs in $OUT.
# How foreign bytes are found: before each break a reserve file is made, and all
# but little of the file system is taken by a ballast file. Right after the
# break, before the server may lease again, the canary fills the file system, so
# that what the break freed has a new owner. The reserve then makes room for what
# the server has to allocate again, and traffic goes on while the canary watches.
set -euo pipefail

PATH=$1:$PATH
fs=/mnt/pmem2
file=$fs/records
log=$OUT
mib=$((1 << 20))
file_size=$((16 * mib))
reserve_size=$((24 * mib))
spare=$((64 * mib))
# XFS keeps some free space of each allocation group to itself, and with it some
# of what a break freed; less than this in canary files would show nothing
least_reused=$mib
tmp=$(mktemp -d)
breaks=0
lost=0
torn=0
foreign=0
records=0
survived=0
qps_lost=0

say()
{
	printf '%b\n' "$*"
}

die()
{
	say "demo: $*"
	for f in server client; do
		sed "s/^/$f.log: /" "$log/$f.log" 2>/dev/null | tail -n 20
	done
	exit 1
}

# wait_for LOG COUNT PATTERN: until so many lines match
wait_for()
{
	local i

	for ((i = 0; i < 600; i++)); do
		if (($(grep -c -- "$3" "$1" || true) >= $2)); then
			return 0
		fi
		sleep 0.05
	done
	die "waited in vain for: $3"
}

count()
{
	grep -c -- "$1" "$2" || true
}

# as_mib BYTES
as_mib()
{
	printf '%d.%d MiB' $(($1 / mib)) $(($1 % mib * 10 / mib))
}

# field NAME LINE: N of "... NAME=N ..."
field()
{
	[[ $2 =~ (^|[^a-z_])$1=([0-9]+) ]]
	echo "${BASH_REMATCH[2]}"
}

# start_traffic NAME [SERVER OPTION]...: logs are NAME-*.log
start_traffic()
{
	name=$1
	shift
	rm -f "$tmp/commands"
	mkfifo "$tmp/commands"
	: >"$tmp/removed"
	demo_server "$@" "$MD_ADDR" "$file" "$log/$name-breaks.txt" \
		<"$tmp/commands" >"$log/$name-server.log" 2>&1 &
	server=$!
	exec 3>"$tmp/commands"
	wait_for "$log/$name-server.log" 1 'is leased'
	demo_client "$MD_ADDR" "$tmp/client.records" \
		>"$log/$name-client.log" 2>&1 3>&- &
	client=$!
	wait_for "$log/$name-client.log" 1 'through the file'
}

stop_traffic()
{
	echo q >&3
	exec 3>&-
	wait "$client" || die "the client failed"
	wait "$server" || die "the server failed"
	qps_lost=$((qps_lost + $(count 'client: connected' "$log/$name-client.log") - 1 +
		$(count 'is fenced' "$log/$name-server.log")))
}

# differing ARGUMENT...: sets differ, in how many bytes cmp(1) finds two files to
# differ
differing()
{
	local status=0

	cmp -l "$@" >"$tmp/differing" || status=$?
	((status < 2)) || die "cmp failed: cmp -l $*"
	differ=$(wc -l <"$tmp/differing")
}

verify()
{
	found=$(demo_verify "$file" "$tmp/client.records" "$tmp/removed")
	lost=$((lost + $(field lost "$found")))
	torn=$((torn + $(field torn "$found")))
}

# removed OFFSET LENGTH: what the timed command took out of the file
removed()
{
	read -r took stamp <"$tmp/timed"
	(($2 == 0)) || say "$1 $2 $stamp" >>"$tmp/removed"
}

# play TITLE WITNESS OFFSET LENGTH COMMAND...: COMMAND breaks the lease and
# removes the range of the file; WITNESS: canary, copy, none, or refilled: canary
# where the file gets new blocks in the same breath, often the same ones, so that
# the zeroes in the range are the proof and the canaries may get nothing
play()
{
	local title=$1 witness=$2 offset=$3 length=$4
	local seen n

	shift 4
	say "\n--- $title: $*"
	fallocate -l $reserve_size $fs/reserve
	demo_canary blocks "$file" >"$tmp/before"
	sleep 0.5
	seen=$(wc -l <"$log/traffic-server.log")
	n=$((breaks + 1))
	demo_timed "$tmp/timed" "$@" || die "the breaker failed: $*"
	wait_for "$log/traffic-server.log" $n 'breaker goes on'
	removed "$offset" "$length"
	verify
	say "$found" >"$tmp/verified"
	case $witness in
	canary | refilled)
		taken=$(demo_canary take "$file" "$tmp/before") ;;
	copy)	cp --reflink=never $fs/copy "$tmp/copy" ;;
	esac
	if ((length)); then
		# all breakers here leave zeroes behind
		differing -n "$length" "$file" /dev/zero "$offset"
		foreign=$((foreign + differ))
	fi
	truncate -s 0 $fs/reserve
	rm $fs/reserve
	echo r >&3
	wait_for "$log/traffic-server.log" $n 'restored as'
	sleep 1
	breaks=$(count '^break' "$log/traffic-server.log")
	tail -n +$((seen + 1)) "$log/traffic-server.log"
	say "  the breaker's command took $((took / 1000)).$((took % 1000 / 100)) ms"
	say "  after it, in the file: $(<"$tmp/verified")"
	((length == 0)) ||
		say "  in the range that it removed: $differ foreign bytes"
	witness "$witness"
}

# After traffic went on: is what must not be written unchanged?
witness()
{
	local n

	case $1 in
	canary | refilled)
		checked=$(demo_canary check "$file")
		n=$(field foreign "$checked")
		say "  blocks freed: $(as_mib "$(field freed "$taken")")," \
			"of them now in canary files:" \
			"$(as_mib "$(field reused "$taken")")"
		say "  canary files: $(as_mib "$(field checked "$checked")")" \
			"read back, $n foreign bytes"
		[[ $1 == refilled ]] || (($(field reused "$taken") >= least_reused)) ||
			die "too few freed blocks have a new owner: this proves nothing"
		(($(field taken "$taken") == $(field checked "$checked"))) ||
			die "canary files have changed their size"
		;;
	copy)
		differing $fs/copy "$tmp/copy"
		n=$differ
		say "  the copy, which now owns the old blocks: $n foreign bytes"
		rm $fs/copy "$tmp/copy"
		;;
	none)
		n=0 ;;
	esac
	foreign=$((foreign + n))
}

say "kernel $(uname -r), XFS with reflink on an emulated NVDIMM, soft-RoCE at" \
	"$MD_ADDR"
truncate -s $file_size "$file"
say "\nRegistering a mapping of $file for RDMA:"
demo_refuse "$file" || die "that is not what this kernel should say"

free=$(($(stat -f -c '%a * %S' $fs)))
fallocate -l $((free - spare)) $fs/ballast

say "\nA client writes records into it by RDMA, all the time. Others change the" \
	"file meanwhile. Times are from the kernel's notice of each break."
start_traffic traffic
play 'hole punch' canary $((2 * mib)) $((8 * mib)) \
	fallocate -p -o $((2 * mib)) -l $((8 * mib)) "$file"
play 'truncate and extend' canary $((4 * mib)) $((12 * mib)) \
	sh -c "truncate -s $((4 * mib)) $file && truncate -s $file_size $file"
play 'write(2)' none $((6 * mib)) $mib \
	dd if=/dev/zero of="$file" bs=1M seek=6 count=1 conv=notrunc status=none
play 'reflink copy' copy 0 0 \
	cp --reflink=always "$file" $fs/copy
play 'zero range' refilled $((4 * mib)) $((10 * mib)) \
	fallocate -z -o $((4 * mib)) -l $((10 * mib)) "$file"
stop_traffic
verify
records=$(field records "$found")
survived=$(($(field generations "$found") - 1))
say "\nat the end, in the file: $found"
say "queue pairs that were lost: $qps_lost"

say "\nTwenty more breaks, each restored at once (times in ms):"
start_traffic repeat -r
for ((i = 0; i < 20; i++)); do
	sleep 1.1 # a lease that is broken again within a second is not taken back at once
	demo_timed "$tmp/timed" fallocate -p -o $((i * mib / 2)) -l 256KiB "$file" ||
		die "fallocate failed"
	wait_for "$log/repeat-server.log" $((i + 1)) 'restored as'
	removed $((i * mib / 2)) $((mib / 4))
done
stop_traffic
verify
say "  in the file: $found"
say "  queue pairs that were lost, in all: $qps_lost"
summary=$(sort -n -k 5 "$log/repeat-breaks.txt" | awk '
	{ ms[NR] = $5 / 1000; bar = $6 / 4000; over += ms[NR] >= bar; all = all sprintf(" %.1f", ms[NR]) }
	END {
		median = NR % 2 ? ms[(NR + 1) / 2] : (ms[NR / 2] + ms[NR / 2 + 1]) / 2
		printf "  all:%s\n", all
		printf "  A live, cooperating break of 16 MiB with one QP: median of %d %.1f ms", NR, median
		printf " (min %.1f, max %.1f);\n", ms[1], ms[NR]
		printf "  a quarter of the deadline: %d ms; over=%d of=%d\n", bar, over, NR
	}')
say "$summary"
sed -n 's/^client: a pause of \([0-9]*\) us$/\1/p' "$log/repeat-client.log" | sort -n |
	awk '
	{ ms[NR] = $1 / 1000 }
	END {
		median = NR % 2 ? ms[(NR + 1) / 2] : (ms[NR / 2] + ms[NR / 2 + 1]) / 2
		printf "  The pause that the client saw, with the new lease: median of %d %.1f ms", NR, median
		printf " (min %.1f, max %.1f)\n", ms[1], ms[NR]
	}'

say
((torn == 0)) || say "demo: torn=$torn records were cut short by a lost connection"
say "demo: breaks=$breaks survived=$survived records=$records lost=$lost" \
	"foreign_bytes=$foreign qps_lost=$qps_lost"
((breaks == 5 && survived == 5 && records > 0 && lost == 0 && foreign == 0 && qps_lost == 0)) &&
	(($(field over "$summary") == 0 && $(field of "$summary") == 20))
