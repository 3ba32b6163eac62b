# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# What link.sh and link_log.sh share; they source it. Its functions use, besides what
# test/vm/pair.sh sets:
#   case     the name of the case
#   file     the one that is leased
#   at size  the bytes of it that change() takes away

# Outlives a power loss of the guest, as what is here does.
failed=/mnt/pmem/failed
bad=
tmp=$(mktemp -d)

ask()
{
	bash test/vm/ask.sh "$@"
}

# Unless the case has failed before.
ok()
{
	[[ $bad == "$case" ]] || echo "ok $case"
}

not_ok()
{
	bad=$case
	touch "$failed"
	sync -f "$failed"
	echo "not ok $case - $*"
}

# The status of all cases, of earlier boots, too.
status()
{
	[[ ! -e $failed ]]
}

# soon SECONDS COMMAND...: until it is true
soon()
{
	local end=$((SECONDS + $1))

	shift
	until "$@"; do
		((SECONDS < end)) || return 1
		sleep 0.2
	done
}

# gone PID: of a child
gone()
{
	! kill -0 "$1" 2>/dev/null
}

# Node 0: change the file; sets took, in ms.
change()
{
	local start

	start=$(date +%s%N)
	fallocate -p -o "$at" -l "$size" "$file"
	took=$((($(date +%s%N) - start) / 1000000))
}

# One that has to wait until the peer is fenced, and not for longer.
fenced_change()
{
	change
	((took >= 200 && took <= 5000)) || not_ok "the breaker waited for $took ms"
}
