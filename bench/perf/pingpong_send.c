// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "pingpong.h"

#include "cycles.h"
#include "must.h"
#include "recvs.h"
#include "renew.h"

struct match {
	struct perf *p;
	struct recvs recvs;
	struct ibv_sge sge;
	struct ibv_send_wr wr;
	bool sending; /* the last one has not completed, its use is open */
	uint32_t sent;
	uint32_t arrived; /* of them; one less while the last is under way */
};

static void init(struct match *m, struct perf *p, uint32_t size)
{
	m->p = p;
	m->sending = false;
	m->sent = m->arrived = 0;
	m->sge = (struct ibv_sge){
		.addr = (uintptr_t)p->mem.addr + perf_own_at(p, 0),
		.length = size,
	};
	m->wr = (struct ibv_send_wr){
		.sg_list = &m->sge,
		.num_sge = 1,
		.opcode = IBV_WR_SEND,
		.send_flags = IBV_SEND_SIGNALED,
	};
	recvs_open(&m->recvs, p, size, p->plan.iters);
}

static void renew(struct match *m)
{
	uint32_t arrived[PLAN_QPS];

	renew_begin(m->p, &m->recvs);
	if (m->sending)
		session_put(&m->p->session);
	m->sending = false;
	renew_end(m->p, &m->recvs, arrived);
	m->arrived = arrived[0];
}

/* False: not in this break. Our receives would keep it from its end. */
static bool post(struct match *m, uint64_t *when)
{
	struct perf *p = m->p;
	struct ibv_send_wr *bad;

	if (!session_get(&p->session)) {
		if (recvs_broken(&m->recvs))
			renew(m);
		else
			session_wait(&p->session);
		return false;
	}
	m->sge.lkey = mem_lkey(&p->mem);
	if (when && !*when)
		*when = cycles();
	ERRNO_MUST(ibv_post_send(p->qps.qp[0], &m->wr, &bad));
	m->sending = true;
	return true;
}

/* False: the connection was renewed. */
static bool complete(struct match *m)
{
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(m->p->qps.send_cq, 1, &wc)) && !renew_wanted(m->p) &&
	       !recvs_broken(&m->recvs))
		;
	MUST(n >= 0 && "ibv_poll_cq");
	if (!n || !renew_check(m->p, &wc)) {
		renew(m);
		return false;
	}
	m->sending = false;
	session_put(&m->p->session);
	return true;
}

/* Until it is known to be there. */
static void push(struct match *m, uint64_t *when)
{
	while (m->arrived < m->sent)
		if (post(m, when) && complete(m))
			m->arrived = m->sent;
}

static void send_next(struct match *m, uint64_t *when)
{
	m->sent++;
	push(m, when);
}

static void recv_next(struct match *m)
{
	const uint32_t before = m->recvs.got[0];
	struct ibv_wc wc[POLL_BATCH];

	while (m->recvs.got[0] == before) {
		recvs_put(&m->recvs, recvs_poll(&m->recvs, wc));
		if (m->recvs.got[0] != before)
			continue;
		recvs_fill(&m->recvs); /* a break may have come before it could */
		if (!renew_wanted(m->p) && !recvs_broken(&m->recvs))
			continue;
		renew(m);
		push(m, NULL);
	}
	recvs_fill(&m->recvs);
}

void pingpong_send(struct perf *p, uint32_t size, struct times *t)
{
	static struct match m;

	init(&m, p, size);
	recvs_fill(&m.recvs);
	wire_meet(&p->wire);
	for (uint32_t n = 0; n < p->plan.iters; n++) {
		if (p->server) {
			recv_next(&m);
			send_next(&m, NULL);
		} else {
			send_next(&m, &t->posted[n]);
			recv_next(&m);
		}
	}
	if (!p->server) {
		renew_say_done(p);
		return;
	}
	while (!renew_wait_done(p)) {
		renew(&m);
		push(&m, NULL);
	}
}
