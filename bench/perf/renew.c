// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "renew.h"

#include "must.h"

#define PATIENCE_MS 1000
#define WORD_RENEW 'r'
#define WORD_DONE 'd'

static void say(struct perf *p, char word)
{
	wire_send(&p->wire, &word, 1);
}

bool renew_wanted(struct perf *p)
{
	return wire_idle(&p->wire) && p->renewable && wire_peek(&p->wire) == WORD_RENEW;
}

/* Mostly there is a better reason than that of the completion. */
bool renew_check(struct perf *p, const struct ibv_wc *wc)
{
	if (wc->status == IBV_WC_SUCCESS)
		return true;
	session_check(&p->session);
	if (p->renewable && wire_pending(&p->wire, PATIENCE_MS) &&
	    wire_peek(&p->wire) == WORD_RENEW)
		return false;
	errx(1, "a work request has failed: %s", ibv_wc_status_str(wc->status));
}

void renew_begin(struct perf *p, struct recvs *r)
{
	if (!p->session.map)
		p->session.breaks++; /* of theirs: nothing else tells us */
	say(p, WORD_RENEW);
	session_detach_qps(&p->session);
	qps_drop(&p->qps);
	if (r)
		recvs_drop(r);
}

void renew_end(struct perf *p, struct recvs *r, uint32_t *arrived)
{
	static const uint32_t none[PLAN_QPS];
	char word;

	session_wait_map(&p->session);
	qps_make(&p->qps);
	session_attach_qps(&p->session);
	qps_describe(&p->qps, &p->mine.qps);
	wire_send(&p->wire, &p->mine.qps, sizeof(p->mine.qps));
	wire_send(&p->wire, r ? r->got : none, sizeof(none));
	wire_recv(&p->wire, &word, 1); /* its WORD_RENEW */
	wire_recv(&p->wire, &p->theirs.qps, sizeof(p->theirs.qps));
	wire_recv(&p->wire, arrived, sizeof(none));
	qps_connect(&p->qps, &p->mine.qps, &p->theirs.qps);
	if (r)
		recvs_fill(r);
	wire_meet(&p->wire);
}

void renew_say_done(struct perf *p)
{
	if (p->renewable)
		say(p, WORD_DONE);
}

bool renew_wait_done(struct perf *p)
{
	char word;

	if (!p->renewable)
		return true;
	if (wire_peek(&p->wire) == WORD_RENEW)
		return false;
	wire_recv(&p->wire, &word, 1);
	return true;
}
