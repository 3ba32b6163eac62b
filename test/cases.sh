# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# For scripts that are lists of cases; sourced. Sets failed when one was not ok.
failed=0

# try NAME COMMAND...: one case; its output is shown when it failed
try()
{
	local name=$1 log status=0

	shift
	log=$("$@" 2>&1) || status=$?
	if ((status == 0)); then
		echo "ok $name"
	else
		echo "not ok $name - $(tail -n 1 <<<"$log")"
		sed 's/^/    /' <<<"$log"
		failed=1
	fi
}
