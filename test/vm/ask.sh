#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# In a guest of pair.sh: ask for a fault, or meet the other guests. True when it
# is done.
#
#   bash test/vm/ask.sh link-down [N] [for SECONDS]
#   bash test/vm/ask.sh link-up [N]
#   bash test/vm/ask.sh freeze N [for SECONDS]
#   bash test/vm/ask.sh thaw N
#   bash test/vm/ask.sh kill N
#   bash test/vm/ask.sh boot N
#   bash test/vm/ask.sh meet
#
# pair.sh says what they do. One request at a time: a second one from the same
# guest waits for the first one's answer.
set -euo pipefail

exec {lock}>/run/ask
flock "$lock"
exec {port}<>/dev/vport*p2

# The answer to one who did not wait for it may come first.
id=$SRANDOM
echo "$id $*" >&"$port"
until read -r -u "$port" whose answer && [[ $whose == "$id" ]]; do
	:
done
if [[ $answer != ok ]]; then
	echo "ask: $*: $answer" >&2
	exit 1
fi
