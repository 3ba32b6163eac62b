#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Boot two guests joined by a network, and run the same command in both.
#
#   bash test/vm/pair.sh [OPTION]... -- COMMAND [ARGUMENT]...
#
# All options of run.sh go to both guests, but:
# --nodes N     boot N guests instead of two (2 to 8)
# --at N OPTION VALUE
#               an option of run.sh for node N only, such as
#               --at 1 --allow-kernel-line 'WARNING: .*'
# --out DIR     $OUT of node N is DIR/N; the kernel log of its second boot is
#               dmesg.2, and so on
#
# In each guest it is as run.sh says, with two things changed: rxe0 is on eth0,
# whose frames reach the other guests and nothing else (MTU 4200, so that RDMA
# packets of 4096 bytes fit), and COMMAND starts when all guests are ready.
#   $MD_NODE       0 in the first guest, 1 in the second
#   $MD_NODES      how many there are
#   $MD_ADDR       the guest's own address there: 192.0.2.1 in node 0, .2 in node 1
#   $MD_PEER_ADDR  the other's (of more than two: the next one's)
#   $MD_BOOT       1, or how many times this guest was booted
# Lines of output and sentences of node N start with "N: ", and are not mixed.
#
# COMMAND may ask for faults, by test/vm/ask.sh, which returns when it is done:
#   link-down [N]  nothing passes any more, or nothing from and to node N; the
#                  guests are not told
#   link-up [N]    it passes again, as far as the same N was down
#   freeze N       node N stands still, and so does its clock
#   thaw N         and goes on; it is not told either
#   kill N         node N ends as if the power had failed, but for its NVDIMMs: what
#                  it has written there stays, flushed or not
#   boot N         a node that was killed boots, with the file systems as they were
#                  left, and runs COMMAND again; done when COMMAND starts
#   meet           is done when all nodes have asked for it, and refused when one
#                  has ended
# "for SECONDS" after link-down or freeze takes it back by itself.
#
# A reliable QP of rxe gives up after (retry_cnt + 1) * 4.096 us * 2^timeout without
# an answer, with a retry_cnt of 7 never. It has no other way to learn of a cut.
#
# Exit code: 0 if it is 0 for each node. A node's is run.sh's of its last boot, 0
# if it was killed by request, and the first that is not 0 when an earlier one was
# not. If nodes differ, the first failure counts; 77, which skips, only without one.
# Nothing outlives this script, as with run.sh.
set -euo pipefail

here=$(realpath "$(dirname "${BASH_SOURCE[0]}")")
nodes=2
out=
options=()
at=()

fail()
{
	echo "vm: $*" >&2
	exit 125
}

while (($#)); do
	case "$1" in
	--)	break ;;
	--testing | --no-module)
		options+=("$1"); shift; continue ;;
	--at)	(($# > 3)) || fail "--at needs a node, an option and a value"
		at+=("${@:2:3}"); shift 4; continue ;;
	esac
	(($# > 1)) || fail "$1 needs a value"
	case "$1" in
	--nodes)	nodes=$2 ;;
	--out)		out=$2 ;;
	*)		options+=("$1" "$2") ;;
	esac
	shift 2
done
(($# > 1)) || fail "no command; usage: pair.sh [OPTION]... -- COMMAND [ARGUMENT]..."
[[ $nodes =~ ^[2-8]$ ]] || fail "--nodes takes 2 to 8"

lists=()
for ((n = 0; n < nodes; n++)); do
	lists+=("${options[@]}")
	[[ ! $out ]] || lists+=(--out "$out/$n")
	for ((i = 0; i < ${#at[@]}; i += 3)); do
		[[ ${at[i]} != "$n" ]] || lists+=("${at[@]:i+1:2}")
	done
	lists+=(--)
done
shift
exec perl "$here/pair.pl" "$here/run.sh" "$nodes" "${lists[@]}" "$@"
