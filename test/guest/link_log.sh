#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# md_log on two machines: what was acknowledged is in the file, whatever becomes of the
# lease, the link and either machine. Runs in both guests of test/vm/pair.sh: the server
# in node 0, its client in node 1.
#
#   bash test/guest/link_log.sh PROGRAMS
#
# PROGRAMS is the examples' build directory. Prints "ok NAME" or "not ok NAME - why" for
# each case, once for each side: the client's is that it goes on, the server's that the
# verifier agrees.
set -euo pipefail

md_log=$1/md_log
sides=(server client)
list_port=7300
log_size=$((32 << 20))
size=$((64 << 10))
at=$((log_size - size)) # no record gets there
super=4096
record=192
slot=256
# shellcheck source=test/guest/link_lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/link_lib.sh"

# Each case that is left would wait as long; the other side sees it when they meet.
give_up()
{
	not_ok "$@"
	exit 1
}

# ---- the two sides --------------------------------------------------------------

start_server()
{
	"$md_log" -s -a "$MD_ADDR" -f "$file" --size $log_size --record-size $record -d \
		>"$tmp/server" 2>&1 &
	server=$!
}

# Each line of its list is there after a power loss, as it would be if it were sent away.
start_client()
{
	touch "$acked"
	chattr +S "$acked"
	"$md_log" -c -a "$MD_PEER_ADDR" --record-size $record -o "$acked" -d \
		>>"$tmp/client" 2>&1 &
	client=$!
}

# resume CASE: both know what it is about
resume()
{
	case=link_log_${sides[MD_NODE]}__$1
	file=/mnt/pmem/log.$1
	acked=/mnt/pmem/acked.$1
	away=
	verdict=
}

# begin CASE: the server has its lease, and the client appends
begin()
{
	resume "$1"
	rm -f "$tmp/client"
	if ((MD_NODE == 0)); then
		start_server
		soon 60 grep -q 'has room for' "$tmp/server" ||
			give_up "the server does not start: $(tail -n 1 "$tmp/server")"
		take_all_blocks
	fi
	ask meet
	if ((MD_NODE == 1)); then
		start_client
	fi
}

# said WHAT: how often, by the server
said()
{
	grep -c "^server: $1:" "$tmp/server" || true
}

# Before there are records: theirs will be in blocks that a file system which forgets
# what came with a break does not have any more after a power loss.
take_all_blocks()
{
	local at=$super size=$((log_size - super))

	change
	soon 60 broken 1 || not_ok "the first break was not noticed"
}

# broken TIMES: so often, and leased again
broken()
{
	(($(said released) == $1 && $(said restored) == $1))
}

acknowledged()
{
	wc -l <"$acked"
}

# A client gives up after 60 s, which the server's guest may need to boot.
reached()
{
	if [[ $away ]] && gone "$client" && ((SECONDS - away >= 60)); then
		echo "$case: a new client" >&2
		start_client
	fi
	(($(acknowledged) >= goal))
}

# more COUNT: the client has had so many records acknowledged from now on, and both know
more()
{
	if ((MD_NODE == 1)); then
		goal=$(($(acknowledged) + $1))
		soon 120 reached ||
			give_up "it does not go on: $(tail -n 1 "$tmp/client")"
	fi
	ask meet
}

# ---- the proof --------------------------------------------------------------------

# verify FILE: sets verdict; true if nothing is wrong with it
verify()
{
	local found=0

	verdict=$("$md_log" --verify "$1" "$tmp/acked" 2>"$tmp/verifier") || found=$?
	((found < 2)) || not_ok "the verifier failed: $(tail -n 1 "$tmp/verifier")"
	return "$found"
}

stop_server()
{
	kill -TERM "$server"
	if ! soon 60 gone "$server"; then
		kill -KILL "$server"
		not_ok "the server does not end: $(tail -n 1 "$tmp/server")"
	elif ! wait "$server"; then
		not_ok "the server failed: $(grep -a '^md_log' "$tmp/server" | tail -n 1)"
	fi
}

# gzip's checksum tells whether the list has come whole.
offer_list()
{
	gzip -c "$acked" | busybox nc -l -p $list_port >/dev/null
}

fetch_list()
{
	gunzip <"/dev/tcp/$MD_PEER_ADDR/$list_port" >"$tmp/acked"
} 2>/dev/null

end_client()
{
	if gone "$client"; then
		not_ok "the client has ended: $(tail -n 1 "$tmp/client")"
	else
		kill -KILL "$client"
	fi
	wait "$client" 2>/dev/null || true
}

# The client ends, and the server. What is acknowledged comes to the server's machine.
finish()
{
	if ((MD_NODE == 1)); then
		end_client
		offer_list &
		ask meet
		if soon 60 gone $!; then
			echo "$case: $(grep -c 'the log ends at' "$tmp/client") sessions" >&2
			ok
		else
			not_ok "nobody wants the list"
		fi
		return
	fi
	ask meet
	stop_server
	if ! soon 60 fetch_list; then
		not_ok "the list of what was acknowledged does not come"
		return
	fi
	verify "$file" || not_ok "$(head -n 1 "$tmp/verifier")"
	[[ $verdict != *" acked=0 "* ]] || not_ok "nothing was acknowledged"
	echo "$case: $verdict, $(said released) breaks" >&2
	ok
}

# ---- cases ------------------------------------------------------------------------

# Breaks come while the other machine appends.
# Proves: each acknowledged record is in the file, in order and once.
breaks()
{
	local i

	begin breaks__acknowledged_is_in_the_file_once
	more 100
	for ((i = 2; MD_NODE == 0 && i <= 11; i++)); do
		change
		soon 60 broken $i || not_ok "break $i: $(tail -n 1 "$tmp/server")"
		sleep 0.2
	done
	ask meet
	more 100
	finish
}

# A break comes while the client cannot be reached.
# Proves: it is fenced, finds the end of the log when it is back, and goes on there.
# out_of_reach CASE FAULT SECONDS UNDO
out_of_reach()
{
	begin "$1"
	more 100
	if ((MD_NODE == 0)); then
		ask $2
		fenced_change
		sleep "$3"
		ask $4
		(($(said 'the writer is dropped') == 1)) || not_ok "the client was not fenced"
	fi
	ask meet
	more 100
	finish
}

link_cut()
{
	out_of_reach cut_for_10_s_in_a_break__goes_on link-down 10 link-up
}

client_frozen()
{
	out_of_reach frozen_in_a_break__goes_on "freeze 1" 0 "thaw 1"
}

break_often()
{
	while sleep 0.2; do
		change
	done
}

# The client's machine loses its power while breaks come.
# Proves: a new client goes on behind all that was acknowledged to the one before.
client_killed=client_killed_in_breaks__a_new_one_goes_on
client_killed()
{
	local breaker

	begin $client_killed
	more 100
	if ((MD_NODE == 1)); then
		sleep infinity # until the power is lost
	fi
	break_often &
	breaker=$!
	sleep 1.$RANDOM
	ask kill 1
	sleep 1
	kill $breaker
	ask boot 1
	client_is_back
}

client_is_back()
{
	if ((MD_NODE == 1)); then
		resume $client_killed
		(($(acknowledged) >= 100)) || not_ok "its list has not outlived the power loss"
		start_client
	fi
	more 100
	finish
}

# The server's machine loses its power while breaks come.
# Proves: what was acknowledged is in the file that its file system recovers, and the
# client goes on behind it.
server_killed=server_killed_in_breaks__the_log_is_recovered
server_killed()
{
	begin $server_killed
	more 100
	if ((MD_NODE == 0)); then
		break_often # until the power is lost
	fi
	sleep 1.$RANDOM
	away=$SECONDS
	ask kill 0
	ask boot 0
	server_is_back
}

server_is_back()
{
	if ((MD_NODE == 0)); then
		resume $server_killed
		start_server
	fi
	ask meet
	more 100
	[[ ! $away ]] || echo "$case: $((SECONDS - away)) s until it goes on" >&2
	finish
	if [[ $verdict ]]; then
		planted_errors
	fi
}

# plant FILE FROM TO: in a copy of the log, its slot TO becomes FILE's slot FROM
plant()
{
	cp "$file" "$tmp/copy"
	dd if="$1" of="$tmp/copy" bs=$slot skip="$2" seek="$3" count=1 conv=notrunc status=none
}

# seen WHAT: by the verifier
seen()
{
	if verify "$tmp/copy" || [[ $verdict == *" $1=0"* ]]; then
		not_ok "no $1: $verdict"
	fi
}

# Proves: the verifier that agreed with this file sees a loss and a duplicate in it.
planted_errors()
{
	local records first=$((super / slot))

	case=link_log_server__planted_errors__seen
	records=$(sed 's/.* records=\([0-9]*\) .*/\1/' <<<"$verdict")
	plant /dev/zero 0 $((first + records / 2))
	seen lost
	plant "$file" $((first + records / 2)) $((first + records))
	seen duplicate
	ok
}

cases=(breaks link_cut client_frozen client_killed server_killed)
# Who lost its power goes on behind that.
case $MD_NODE.$MD_BOOT in
1.2)	cases=(client_is_back server_killed) ;;
0.2)	cases=(server_is_back) ;;
esac
for run in "${cases[@]}"; do
	$run
done
status
