// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "durable.h"

#include <arpa/inet.h>
#include <string.h>

#include "must.h"
#include "recvs.h"
#include "renew.h"

struct settler {
	struct perf *p;
	uint32_t size;
	struct recvs recvs;
	uint32_t settled[PLAN_QPS];
	uint32_t acked[PLAN_QPS];
	uint32_t acks; /* that have not completed */
	uint32_t max_acks;
};

/*
 * What came before a break is durable after it, where the file has its blocks then. The
 * use of a receive is still open; a write has left none here.
 */
static void persist(struct settler *s, size_t at)
{
	struct session *session = &s->p->session;

	while (!s->recvs.size && !session_get_map(session))
		session_wait_map(session);
	if (mem_persist(&s->p->mem, at, s->size))
		errx(1, "cannot make it durable: %s", mem_error(&s->p->mem));
	if (!s->recvs.size)
		session_put_map(session);
}

static void settle(struct settler *s, uint32_t qp)
{
	struct perf *p = s->p;
	const size_t at = perf_slot_at(p, qp, s->settled[qp] % p->slots);

	if (p->plan.op == OP_READ)
		memcpy(p->mem.addr + at, p->mem.file + at, s->size);
	else
		persist(s, at);
	s->settled[qp]++;
}

/* ---- acknowledgements ----------------------------------------------------------- */

static void poll_acks(struct settler *s)
{
	struct ibv_wc wc[POLL_BATCH];
	int n = ibv_poll_cq(s->p->qps.send_cq, POLL_BATCH, wc);

	MUST(n >= 0 && "ibv_poll_cq");
	for (int i = 0; i < n && renew_check(s->p, &wc[i]); i++)
		s->acks--;
	if (!n)
		wire_idle(&s->p->wire);
}

static void ack(struct settler *s, uint32_t qp)
{
	struct ibv_send_wr wr = {
		.opcode = IBV_WR_SEND_WITH_IMM,
		.send_flags = IBV_SEND_SIGNALED,
		.imm_data = htonl(s->settled[qp]),
	};
	struct ibv_send_wr *bad;

	while (s->acks == s->max_acks)
		poll_acks(s);
	ERRNO_MUST(ibv_post_send(s->p->qps.qp[qp], &wr, &bad));
	s->acks++;
	s->acked[qp] = s->settled[qp];
}

static void ack_all(struct settler *s)
{
	for (uint32_t i = 0; i < s->p->plan.qps; i++)
		if (s->acked[i] != s->settled[i])
			ack(s, i);
}

/* ---- run -------------------------------------------------------------------------- */

/* All that we have got is settled; the count makes up for lost acknowledgements. */
static void renew(struct settler *s)
{
	uint32_t arrived[PLAN_QPS];

	renew_begin(s->p, &s->recvs);
	s->acks = 0;
	renew_end(s->p, &s->recvs, arrived);
	memcpy(s->acked, s->settled, sizeof(s->acked));
}

static int serve(struct settler *s)
{
	struct ibv_wc wc[POLL_BATCH];
	int n = recvs_poll(&s->recvs, wc);

	for (int i = 0; i < n; i++)
		settle(s, (uint32_t)wc[i].wr_id);
	recvs_put(&s->recvs, n);
	if (recvs_broken(&s->recvs))
		renew(s);
	recvs_fill(&s->recvs);
	ack_all(s);
	if (!n)
		wire_idle(&s->p->wire);
	return n;
}

void durable_server(struct perf *p, uint32_t size)
{
	const uint32_t total = p->plan.iters * p->plan.qps;
	static struct settler s;
	uint32_t got = 0;

	/* The send queue has more room; the completions of all have room in theirs. */
	s = (struct settler){ .p = p, .size = size, .max_acks = p->plan.depth };
	recvs_open(&s.recvs, p, p->plan.op == OP_SEND ? size : 0, p->plan.iters);
	recvs_fill(&s.recvs);
	wire_meet(&p->wire);
	while (got < total)
		got += (uint32_t)serve(&s);
	while (s.acks)
		poll_acks(&s);
}
