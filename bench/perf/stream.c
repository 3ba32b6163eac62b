// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "stream.h"

#include "cycles.h"
#include "must.h"

/* These, too, are perftest's: so much for each completion, so large a cycle. */
#define CQ_MOD 100
#define CQ_MOD_SIZE 8192 /* larger messages complete one by one */
#define CYCLE 4096
#define CACHE_LINE 64

/* One queue pair at work. */
struct flow {
	struct ibv_qp *qp;
	struct ibv_send_wr wr;
	struct ibv_sge sge;
	uint64_t local;	 /* address of the first message */
	uint64_t remote; /* and there */
	uint32_t posted;
	uint32_t completed;
};

struct stream {
	struct perf *p;
	struct times *t;
	uint32_t size;
	uint32_t mod;	/* each so many-th is signalled, and ends a use */
	uint32_t step;	/* from one message to the next */
	uint32_t cycle; /* messages until they begin from the first address again */
	uint32_t posted;
	uint32_t completed;
	bool paused; /* a break: nothing more is posted */
	struct flow flows[PLAN_QPS];
};

static uint32_t choose_mod(const struct plan *plan, uint32_t size)
{
	if (size > CQ_MOD_SIZE)
		return 1;
	return plan->depth < CQ_MOD ? plan->depth : CQ_MOD;
}

static void init_flow(struct stream *s, uint32_t i)
{
	static const enum ibv_wr_opcode opcodes[] = {
		[OP_WRITE] = IBV_WR_RDMA_WRITE,
		[OP_READ] = IBV_WR_RDMA_READ,
		[OP_SEND] = IBV_WR_SEND,
	};
	struct perf *p = s->p;
	struct flow *f = &s->flows[i];

	f->qp = p->qps.qp[i];
	f->local = (uintptr_t)p->mem.addr + perf_own_at(p, i);
	f->remote = p->theirs.addr + perf_slot_at(p, i, 0);
	f->sge = (struct ibv_sge){ .addr = f->local, .length = s->size };
	f->wr = (struct ibv_send_wr){
		.wr_id = i,
		.sg_list = &f->sge,
		.num_sge = 1,
		.opcode = opcodes[p->plan.op],
		.wr.rdma.remote_addr = f->remote,
	};
}

/* Small messages go through a page, as perftest has it, for the CPU's sake. */
static void init_steps(struct stream *s)
{
	s->step = 0;
	s->cycle = 1;
	if (s->p->plan.latency || s->size > CYCLE / 2)
		return;
	s->step = (s->size + CACHE_LINE - 1) & ~(CACHE_LINE - 1U);
	s->cycle = CYCLE / s->step;
}

/* What is read in a use, and good until its end. */
static bool begin_use(struct stream *s, struct flow *f)
{
	if (!session_get(&s->p->session))
		return false;
	f->sge.lkey = mem_lkey(&s->p->mem);
	f->wr.wr.rdma.rkey = perf_rkey(s->p);
	return true;
}

/* False: a break has come. */
static bool post(struct stream *s, struct flow *f)
{
	const struct plan *plan = &s->p->plan;
	struct ibv_send_wr *bad;
	bool last;

	if (f->posted % s->mod == 0 && !begin_use(s, f))
		return false;
	last = f->posted % s->mod == s->mod - 1 || f->posted == plan->iters - 1;
	f->wr.send_flags = last ? IBV_SEND_SIGNALED : 0;
	if (s->t->posted)
		s->t->posted[s->posted] = cycles();
	ERRNO_MUST(ibv_post_send(f->qp, &f->wr, &bad));
	f->posted++;
	s->posted++;
	if (s->step) {
		const uint32_t at = f->posted % s->cycle * s->step;

		f->sge.addr = f->local + at;
		f->wr.wr.rdma.remote_addr = f->remote + at;
	}
	return true;
}

/*
 * A use is begun with the first message of a batch, and in a break each batch is still
 * posted to its end: so all that is under way completes, and all uses end.
 */
static void fill(struct stream *s, struct flow *f)
{
	const struct plan *plan = &s->p->plan;

	while (f->posted < plan->iters && f->posted - f->completed < plan->depth) {
		if (s->paused && f->posted % s->mod == 0)
			break;
		s->paused |= !post(s, f);
	}
}

static void complete(struct stream *s, const struct ibv_wc *wc)
{
	struct flow *f;
	uint32_t n;

	perf_check(s->p, wc);
	f = &s->flows[wc->wr_id];
	n = s->p->plan.iters - f->completed;
	if (n > s->mod)
		n = s->mod;
	f->completed += n;
	s->completed += n;
	session_put(&s->p->session);
	if (s->t->completed)
		s->t->completed[s->completed - 1] = cycles();
}

static void poll_sends(struct stream *s)
{
	struct ibv_wc wc[POLL_BATCH];
	int n = ibv_poll_cq(s->p->qps.send_cq, POLL_BATCH, wc);

	MUST(n >= 0 && "ibv_poll_cq");
	for (int i = 0; i < n; i++)
		complete(s, &wc[i]);
	if (!n)
		wire_idle(&s->p->wire);
}

void stream_client(struct perf *p, uint32_t size, struct times *t)
{
	static struct stream s;

	s = (struct stream){ .p = p, .t = t, .size = size, .mod = choose_mod(&p->plan, size) };
	init_steps(&s);
	for (uint32_t i = 0; i < p->plan.qps; i++)
		init_flow(&s, i);
	t->start = cycles();
	while (s.completed < t->count) {
		for (uint32_t i = 0; i < p->plan.qps; i++)
			fill(&s, &s.flows[i]);
		if (s.paused && s.posted == s.completed) {
			session_wait(&p->session);
			s.paused = false;
		}
		poll_sends(&s);
	}
	t->end = cycles();
}

void stream_server(struct perf *p, uint32_t size)
{
	(void)p;
	(void)size;
}
