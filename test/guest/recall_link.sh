#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Recalls of peers on another machine. Runs in both guests of test/vm/pair.sh: the
# holder in node 0, all peers in node 1.
#
#   bash test/guest/recall_link.sh PROGRAMS
#
# PROGRAMS is the guest suites' build directory. Prints "ok NAME" or "not ok NAME - why"
# for each case; those that lib_recall has, too, are named recall_link here.
set -euo pipefail

programs=$1
status=0

if ((MD_NODE)); then
	"$programs/recall_link" --peers &
	bash test/vm/ask.sh meet
	kill $!
	exit
fi
"$programs/lib_recall" --complete eight_peers_cooperate one_of_eight_stopped |
	sed -u 's/ lib_recall__/ recall_link__/' || status=$?
"$programs/recall_link" --complete || status=$?
bash test/vm/ask.sh meet
exit "$status"
