// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "stream.h"

#include "cycles.h"
#include "must.h"
#include "recvs.h"
#include "renew.h"

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
	uint32_t base;	 /* where the first batch has begun */
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

static bool is_first(const struct stream *s, const struct flow *f)
{
	return (f->posted - f->base) % s->mod == 0;
}

/* False: a break has come. */
static bool post(struct stream *s, struct flow *f)
{
	const struct plan *plan = &s->p->plan;
	struct ibv_send_wr *bad;
	bool last;

	if (is_first(s, f) && !begin_use(s, f))
		return false;
	last = f->posted == plan->iters - 1 || (f->posted - f->base) % s->mod == s->mod - 1;
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
		if (s->paused && is_first(s, f))
			break;
		s->paused |= !post(s, f);
	}
}

/* Batches that are not complete, each of them a use. */
static uint32_t uses(const struct stream *s, const struct flow *f)
{
	return (f->posted - f->base + s->mod - 1) / s->mod -
	       (f->completed - f->base + s->mod - 1) / s->mod;
}

/* The server has lost its receives in a break: from what it has got we go on. */
static void renew(struct stream *s)
{
	uint32_t arrived[PLAN_QPS];

	renew_begin(s->p, NULL);
	for (uint32_t i = 0; i < s->p->plan.qps; i++)
		for (uint32_t n = uses(s, &s->flows[i]); n; n--)
			session_put(&s->p->session);
	renew_end(s->p, NULL, arrived);
	s->posted = 0;
	for (uint32_t i = 0; i < s->p->plan.qps; i++) {
		struct flow *f = &s->flows[i];

		f->qp = s->p->qps.qp[i];
		f->base = f->posted = f->completed = arrived[i];
		s->posted += arrived[i];
	}
	s->completed = s->posted;
	s->paused = false;
}

static bool complete(struct stream *s, const struct ibv_wc *wc)
{
	struct flow *f;
	uint32_t n;

	if (!renew_check(s->p, wc))
		return false;
	f = &s->flows[wc->wr_id];
	n = s->p->plan.iters - f->completed;
	if (n > s->mod)
		n = s->mod;
	f->completed += n;
	s->completed += n;
	session_put(&s->p->session);
	if (s->t->completed)
		s->t->completed[s->completed - 1] = cycles();
	return true;
}

static void poll_sends(struct stream *s)
{
	struct ibv_wc wc[POLL_BATCH];
	int n = ibv_poll_cq(s->p->qps.send_cq, POLL_BATCH, wc);
	bool good = true;

	MUST(n >= 0 && "ibv_poll_cq");
	for (int i = 0; i < n && good; i++)
		good = complete(s, &wc[i]);
	if (!n)
		good = !renew_wanted(s->p);
	if (!good)
		renew(s);
}

static void run(struct stream *s)
{
	while (s->completed < s->t->count) {
		for (uint32_t i = 0; i < s->p->plan.qps; i++)
			fill(s, &s->flows[i]);
		if (s->paused && s->posted == s->completed) {
			session_wait(&s->p->session);
			s->paused = false;
		}
		poll_sends(s);
	}
}

void stream_client(struct perf *p, uint32_t size, struct times *t)
{
	static struct stream s;

	s = (struct stream){ .p = p, .t = t, .size = size, .mod = choose_mod(&p->plan, size) };
	init_steps(&s);
	for (uint32_t i = 0; i < p->plan.qps; i++)
		init_flow(&s, i);
	wire_meet(&p->wire);
	t->start = cycles();
	run(&s);
	t->end = cycles();
	while (!renew_wait_done(p)) {
		renew(&s);
		run(&s);
		t->end = cycles();
	}
}

/* ---- server --------------------------------------------------------------------- */

static void renew_recvs(struct recvs *r)
{
	uint32_t arrived[PLAN_QPS];

	renew_begin(r->p, r);
	renew_end(r->p, r, arrived);
}

/* Only sends need it to do anything. */
void stream_server(struct perf *p, uint32_t size)
{
	const uint32_t total = p->plan.iters * p->plan.qps;
	struct ibv_wc wc[POLL_BATCH];
	static struct recvs r;
	uint32_t got = 0;

	if (p->plan.op != OP_SEND) {
		wire_meet(&p->wire);
		return;
	}
	recvs_open(&r, p, size, p->plan.iters);
	recvs_fill(&r);
	wire_meet(&p->wire);
	while (got < total) {
		int n = recvs_poll(&r, wc);

		got += (uint32_t)n;
		recvs_put(&r, n);
		if (!n)
			wire_idle(&p->wire);
		if (recvs_broken(&r))
			renew_recvs(&r);
		recvs_fill(&r);
	}
	renew_say_done(p);
}
