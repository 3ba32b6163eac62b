// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "durable.h"

#include <arpa/inet.h>

#include "cycles.h"
#include "must.h"
#include "recvs.h"
#include "renew.h"

struct lane {
	struct ibv_send_wr wr;
	struct ibv_sge sge;
	uint32_t asked; /* read: words sent; all count messages from 0 on */
	uint32_t posted;
	uint32_t completed;
	uint32_t acked;
};

struct sender {
	struct perf *p;
	struct times *t;
	uint32_t started;
	uint32_t done;
	bool paused; /* a break: nothing more is posted */
	struct lane lanes[PLAN_QPS];
};

/* Those of acknowledgements stay posted from one size to the next. */
static struct recvs acks;

static bool is_read(const struct sender *s)
{
	return s->p->plan.op == OP_READ;
}

static void init_lane(struct sender *s, uint32_t i, uint32_t size)
{
	static const enum ibv_wr_opcode opcodes[] = {
		[OP_WRITE] = IBV_WR_RDMA_WRITE_WITH_IMM,
		[OP_READ] = IBV_WR_RDMA_READ,
		[OP_SEND] = IBV_WR_SEND,
	};
	struct lane *l = &s->lanes[i];

	l->sge = (struct ibv_sge){
		.addr = (uintptr_t)s->p->mem.addr + perf_own_at(s->p, i),
		.length = size,
	};
	/* Each is signalled: a use must not wait for a message that no slot is free for. */
	l->wr = (struct ibv_send_wr){
		.wr_id = i,
		.sg_list = &l->sge,
		.num_sge = 1,
		.opcode = opcodes[s->p->plan.op],
		.send_flags = IBV_SEND_SIGNALED,
	};
}

static void note_start(struct sender *s)
{
	if (s->t->posted && !s->t->posted[s->started])
		s->t->posted[s->started] = cycles();
	s->started++;
}

static void note_done(struct sender *s)
{
	if (s->t->completed)
		s->t->completed[s->done] = cycles();
	s->done++;
}

/* False: a break has come. */
static bool post(struct sender *s, uint32_t i)
{
	struct perf *p = s->p;
	struct lane *l = &s->lanes[i];
	struct ibv_send_wr *bad;

	if (!session_get(&p->session))
		return false;
	l->sge.lkey = mem_lkey(&p->mem);
	l->wr.wr.rdma.rkey = perf_rkey(p);
	l->wr.wr.rdma.remote_addr = p->theirs.addr + perf_slot_at(p, i, l->posted % p->slots);
	if (!is_read(s))
		note_start(s);
	ERRNO_MUST(ibv_post_send(p->qps.qp[i], &l->wr, &bad));
	l->posted++;
	return true;
}

/* The read that follows tells of its completion, too. */
static void ask(struct sender *s, uint32_t i)
{
	struct ibv_send_wr wr = { .opcode = IBV_WR_SEND_WITH_IMM }, *bad;

	note_start(s);
	ERRNO_MUST(ibv_post_send(s->p->qps.qp[i], &wr, &bad));
	s->lanes[i].asked++;
}

static uint32_t free_slots(const struct sender *s, const struct lane *l)
{
	return s->p->slots - (is_read(s) ? l->asked - l->completed : l->posted - l->acked);
}

static bool may_post(const struct sender *s, const struct lane *l)
{
	if (s->paused)
		return false;
	if (is_read(s))
		return l->posted < l->acked;
	/* The acknowledgement may come before the completion. */
	return l->posted < s->p->plan.iters && free_slots(s, l) &&
	       l->posted - l->completed < s->p->plan.depth;
}

static void fill(struct sender *s, uint32_t i)
{
	struct lane *l = &s->lanes[i];

	while (is_read(s) && l->asked < s->p->plan.iters && free_slots(s, l))
		ask(s, i);
	while (may_post(s, l))
		s->paused = !post(s, i);
}

static bool complete(struct sender *s, const struct ibv_wc *wc)
{
	if (!renew_check(s->p, wc))
		return false;
	s->lanes[wc->wr_id].completed++;
	session_put(&s->p->session);
	if (is_read(s))
		note_done(s);
	return true;
}

static void take_ack(struct sender *s, const struct ibv_wc *wc)
{
	struct lane *l = &s->lanes[wc->wr_id];
	const uint32_t acked = ntohl(wc->imm_data);

	while (l->acked != acked) {
		l->acked++;
		if (!is_read(s))
			note_done(s);
	}
}

/* What has not arrived is sent again; its time began when it was sent first. */
static void renew(struct sender *s)
{
	uint32_t arrived[PLAN_QPS];

	renew_begin(s->p, &acks);
	for (uint32_t i = 0; i < s->p->plan.qps; i++)
		for (uint32_t n = s->lanes[i].posted - s->lanes[i].completed; n; n--)
			session_put(&s->p->session);
	renew_end(s->p, &acks, arrived);
	s->started = 0;
	for (uint32_t i = 0; i < s->p->plan.qps; i++) {
		struct lane *l = &s->lanes[i];

		for (; l->acked != arrived[i]; l->acked++)
			note_done(s);
		l->posted = l->completed = arrived[i];
		s->started += arrived[i];
	}
	s->paused = false;
}

static void poll_all(struct sender *s)
{
	struct ibv_wc wc[POLL_BATCH];
	int sends = ibv_poll_cq(s->p->qps.send_cq, POLL_BATCH, wc), recvs;
	bool good = true;

	MUST(sends >= 0 && "ibv_poll_cq");
	for (int i = 0; i < sends && good; i++)
		good = complete(s, &wc[i]);
	recvs = good ? recvs_poll(&acks, wc) : 0;
	for (int i = 0; i < recvs; i++)
		take_ack(s, &wc[i]);
	if (!sends && !recvs)
		good = !renew_wanted(s->p);
	if (!good)
		renew(s);
	recvs_fill(&acks);
}

static bool is_idle(const struct sender *s)
{
	for (uint32_t i = 0; i < s->p->plan.qps; i++)
		if (s->lanes[i].posted != s->lanes[i].completed)
			return false;
	return true;
}

/* The last completions may come after the last acknowledgements. */
static void run(struct sender *s)
{
	while (s->done < s->t->count || !is_idle(s)) {
		for (uint32_t i = 0; i < s->p->plan.qps; i++)
			fill(s, i);
		if (s->paused && is_idle(s)) {
			session_wait(&s->p->session);
			s->paused = false;
		}
		poll_all(s);
	}
}

void durable_client(struct perf *p, uint32_t size, struct times *t)
{
	static struct sender s;

	s = (struct sender){ .p = p, .t = t };
	for (uint32_t i = 0; i < p->plan.qps; i++)
		init_lane(&s, i, size);
	if (!acks.p)
		recvs_open(&acks, p, 0, UINT32_MAX);
	recvs_fill(&acks);
	wire_meet(&p->wire);
	t->start = cycles();
	run(&s);
	t->end = cycles();
}
