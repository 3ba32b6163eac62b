// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Names of public enumerators, for logs. */

#include <stddef.h>

#include <mapdirect/mapdirect.h>

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *find(const char *const *table, size_t count, unsigned int value)
{
	return value < count && table[value] ? table[value] : "unknown";
}

const char *md_event_str(enum md_event_type type)
{
	static const char *const name[] = {
		[MD_EVENT_BREAK] = "break",
		[MD_EVENT_QP_FENCED] = "qp-fenced",
		[MD_EVENT_RELEASED] = "released",
		[MD_EVENT_RESTORED] = "restored",
		[MD_EVENT_LOST] = "lost",
		[MD_EVENT_LATE] = "late",
		[MD_EVENT_POPULATE] = "populate",
		[MD_EVENT_PEER_REQUEST] = "peer-request",
		[MD_EVENT_PEER_UP] = "peer-up",
		[MD_EVENT_PEER_DOWN] = "peer-down",
		[MD_EVENT_PEER_CLOSED] = "peer-closed",
		[MD_EVENT_GRANTED] = "granted",
		[MD_EVENT_RECALLED] = "recalled",
		[MD_EVENT_REMOTE_FENCED] = "remote-fenced",
		[MD_EVENT_REMOTE_LOST] = "remote-lost",
		[MD_EVENT_PERSISTED] = "persisted",
	};

	return find(name, COUNT(name), type);
}

const char *md_reason_str(enum md_reason reason)
{
	static const char *const name[] = {
		[MD_REASON_NONE] = "none",	   [MD_REASON_LAYOUT] = "layout change",
		[MD_REASON_TRUNCATE] = "truncate", [MD_REASON_UNMAP] = "unmap",
		[MD_REASON_RELEASE] = "release",   [MD_REASON_REVOKED] = "revoked",
		[MD_REASON_BUDGET] = "budget",	   [MD_REASON_REQUEST] = "request",
		[MD_REASON_OPEN] = "open",	   [MD_REASON_RECALL] = "recall",
		[MD_REASON_PROTOCOL] = "protocol",
	};

	return find(name, COUNT(name), reason);
}

const char *md_state_str(enum md_map_state state)
{
	static const char *const name[] = {
		[MD_MAP_LIVE] = "live",
		[MD_MAP_BREAKING] = "breaking",
		[MD_MAP_RELEASED] = "released",
		[MD_MAP_LOST] = "lost",
	};

	return find(name, COUNT(name), state);
}
