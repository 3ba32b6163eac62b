#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Judge a kernel log: print each report of something gone wrong that was not
# declared, and each declared one that is not there. True if none.
#
#   bash test/vm/klog.sh LOG [[?]REGEX]...
#
# A report is a line that says WARNING, BUG, Oops, hung task, stall and so on.
# What the kernel prints along with it, up to the end of its trace, belongs to
# it. REGEX is matched against the first line of the report (grep -E); all
# reports that it matches are declared, and there must be at least one, unless
# a ? stands before it.
set -euo pipefail

log=$1
shift

# Case matters: "XFS ... Warning: EXPERIMENTAL" is no report.
reports()
{
	LC_ALL=C tr -d '\r\0' <"$log" | awk '
	# A list of blocked tasks that somebody asked for is no report.
	/sysrq: Show/			{ asked = 1 }
	/Call Trace:/ && asked		{ next }
	/\[ cut here \]/		{ inside = 1; named = 0; next }
	/\[ end trace /			{ inside = 0; traces = 0; next }
	/Call Trace:/ && (inside || traces > 0) { traces = 0; next }
	/WARNING:|BUG:|BUG at|Oops|[Gg]eneral protection|UBSAN:|KASAN:/ ||
	/INFO: task .* blocked for more|INFO: rcu|detected stall|Call Trace:/ ||
	/Kernel panic|unable to handle|[Uu]nable to mount|corruption/ ||
	/refcount_t:|page allocation failure|Bad page|oom-kill|nobody cared/ ||
	/possible .* lock|inconsistent lock|scheduling while atomic/ {
		# The other lines of one splat repeat what its first one says.
		if (!(inside && named))
			print
		named = 1
		traces = 40
	}
	{ traces-- }'
}

found=$(reports)
bad=$found
status=0
for regex; do
	if [[ $regex != \?* ]] && ! grep -qE -e "$regex" <<<"$found"; then
		echo "kernel log: declared, but not there: $regex"
		status=1
	fi
	bad=$(grep -vE -e "${regex#\?}" <<<"$bad" || true)
done
if [[ $bad ]]; then
	echo "kernel log: ${bad//$'\n'/$'\n'kernel log: }"
	status=1
fi
exit "$status"
