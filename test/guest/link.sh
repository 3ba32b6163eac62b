#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Recalls between two machines, with faults of link and machines. Runs in both guests
# of test/vm/pair.sh: the holder in node 0, its peer in node 1.
#
#   bash test/guest/link.sh PROGRAMS
#
# PROGRAMS is the examples' build directory. Prints "ok NAME" or "not ok NAME - why" for each case.
set -euo pipefail

md_ping=$1/md_ping
at=0
size=4096
sides=(holder peer)
port=7400
# shellcheck source=test/guest/link_lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/link_lib.sh"

# begin CASE COUNT [MS]: node 0 serves, with a drain budget of so many ms; node 1 pings
# so often; both are at it afterwards
begin()
{
	case=link_${sides[MD_NODE]}__$1
	port=$((port + 2))
	ask meet
	if ((MD_NODE == 0)); then
		file=/mnt/pmem/ping.$port
		"$md_ping" -s -a "$MD_ADDR" -p "$port" -f "$file" -S $size -V -d \
			--budget "${3-250}" >"$tmp/server" 2>&1 &
		server=$!
		soon 30 grep -q 'granted\|has a connection' "$tmp/server" ||
			not_ok "no peer came: $(tail -n 1 "$tmp/server")"
	else
		"$md_ping" -c -a "$MD_PEER_ADDR" -p "$port" -C "$2" -S $size -V -d \
			>"$tmp/client" 2>&1 &
		client=$!
	fi
}

# server_ends SECONDS: and is content
server_ends()
{
	if ! soon "$1" gone "$server"; then
		kill -KILL "$server"
		not_ok "the server does not end: $(tail -n 1 "$tmp/server")"
		tail -n 20 "$tmp/server" >&2
	elif ! wait "$server"; then
		not_ok "the server failed: $(grep -a '^md_ping' "$tmp/server" | tail -n 1)"
	else
		ok
	fi
}

# client_ends SECONDS: with all its pings
client_ends()
{
	if ! soon "$1" gone "$client"; then
		kill -KILL "$client"
		not_ok "the client does not end: $(tail -n 1 "$tmp/client")"
		tail -n 20 "$tmp/client" >&2
		return 1
	fi
	if ! wait "$client"; then
		not_ok "the client failed: $(grep -a '^md_ping' "$tmp/client" | tail -n 1)"
		return 1
	fi
	summary=$(grep -a ' pings, ' "$tmp/client")
	echo "$case: $summary" >&2
	reconnections=$(sed 's/.*, \([0-9]*\) reconnections/\1/' <<<"$summary")
}

# Node 0: breaks come while the other machine pings.
# Proves: its connection lives through them, and every byte is right.
begin breaks__no_connection_lost 600 12000
if ((MD_NODE == 0)); then
	until gone "$server"; do
		change
		sleep 1.2
	done
	server_ends 60
elif client_ends 120; then
	if ((reconnections)); then
		not_ok "$reconnections connections were lost"
	elif grep -q 'client: recalled' "$tmp/client"; then
		ok
	else
		not_ok "nothing was recalled"
	fi
fi

# A break comes while the peer cannot be reached.
# Proves: it takes the drain budget and not more; the peer learns that it was fenced
# when it is back, and goes on.
# out_of_reach CASE FAULT SECONDS UNDO
out_of_reach()
{
	begin "$1" 300
	if ((MD_NODE == 0)); then
		sleep 2
		ask $2
		fenced_change
		sleep "$3"
		ask $4
		server_ends 120
	elif client_ends 180; then
		if grep -q 'client: remote-fenced' "$tmp/client" && ((reconnections)); then
			ok
		else
			not_ok "not fenced, or no new connection: $summary"
		fi
	fi
}

out_of_reach cut_for_10_s_in_a_break__fenced_and_goes_on link-down 10 link-up
out_of_reach frozen_in_a_break__fenced_and_goes_on "freeze 1" 0 "thaw 1"

# Proves: a machine that dies holds a breaker for the drain budget, and its peer's
# server ends. Comes last.
begin killed_in_a_break__breaker_goes_on 100000
if ((MD_NODE == 0)); then
	sleep 2
	ask kill 1
	fenced_change
	server_ends 60
else
	wait "$client" || true # it does not come so far
fi
status
