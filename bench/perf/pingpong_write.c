// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Each side writes the last byte of a message of the other's, which watches it.
 *
 * A break may take the byte away again that nobody has looked at yet: who makes a
 * break punches a hole, say. So after each break of the other side's lease the last
 * message is written once more, which does no harm if it was seen.
 */
#include "pingpong.h"

#include "cycles.h"
#include "must.h"
#include "renew.h"

#define SPINS 1000 /* looks in one use: a break waits for no more of them */
#define LINGER_MS 10

struct ball {
	struct perf *p;
	volatile unsigned char *out; /* last byte of what we write */
	volatile unsigned char *in;
	struct ibv_sge sge;
	struct ibv_send_wr wr;
	unsigned int grants; /* of the other side's memory, when we wrote */
};

/* Not 0: that is what is in a hole. */
static unsigned char value_of(uint32_t n)
{
	return 1 + n % 255;
}

static void init(struct ball *b, struct perf *p, uint32_t size)
{
	const size_t own = perf_own_at(p, 0), slot = perf_slot_at(p, 0, 0);

	b->p = p;
	b->out = (unsigned char *)p->mem.addr + own + size - 1;
	b->in = (unsigned char *)p->mem.addr + slot + size - 1;
	b->sge = (struct ibv_sge){ .addr = (uintptr_t)p->mem.addr + own, .length = size };
	b->wr = (struct ibv_send_wr){
		.sg_list = &b->sge,
		.num_sge = 1,
		.opcode = IBV_WR_RDMA_WRITE,
		.send_flags = IBV_SEND_SIGNALED,
		.wr.rdma.remote_addr = p->theirs.addr + slot,
	};
}

static void poll_send(struct ball *b)
{
	struct ibv_wc wc;
	int n;

	while (!(n = ibv_poll_cq(b->p->qps.send_cq, 1, &wc)))
		wire_idle(&b->p->wire);
	MUST(n == 1 && "ibv_poll_cq");
	renew_check(b->p, &wc);
}

static void throw(struct ball * b, uint32_t n, uint64_t *when)
{
	struct perf *p = b->p;
	struct ibv_send_wr *bad;

	while (!session_get(&p->session))
		session_wait(&p->session);
	b->grants = p->session.grants;
	b->sge.lkey = mem_lkey(&p->mem);
	b->wr.wr.rdma.rkey = perf_rkey(p);
	*b->out = value_of(n);
	if (when)
		*when = cycles();
	ERRNO_MUST(ibv_post_send(p->qps.qp[0], &b->wr, &bad));
	poll_send(b);
	session_put(&p->session);
}

static bool look(struct ball *b, unsigned char value)
{
	struct session *s = &b->p->session;
	bool seen = false;

	while (!session_get_map(s))
		session_wait_map(s);
	for (int i = 0; i < SPINS && !seen; i++)
		seen = *b->in == value;
	session_put_map(s);
	return seen;
}

static void throw_again(struct ball *b, uint32_t n)
{
	if (b->p->session.grants != b->grants)
		throw(b, n, NULL);
}

/* @thrown: our message is under way, it was the @n-th. */
static void catch (struct ball *b, unsigned char value, bool thrown, uint32_t n)
{
	while (!look(b, value)) {
		wire_idle(&b->p->wire);
		if (thrown)
			throw_again(b, n);
	}
}

/* The client's next word says that it has seen the last one. */
static void linger(struct ball *b)
{
	while (!wire_pending(&b->p->wire, LINGER_MS))
		throw_again(b, b->p->plan.iters - 1);
}

void pingpong_write(struct perf *p, uint32_t size, struct times *t)
{
	struct ball b = {};

	init(&b, p, size);
	wire_meet(&p->wire);
	for (uint32_t n = 0; n < p->plan.iters; n++) {
		if (p->server) {
			catch (&b, value_of(n), n > 0, n - 1);
			throw(&b, n, NULL);
		} else {
			throw(&b, n, &t->posted[n]);
			catch (&b, value_of(n), true, n);
		}
	}
	if (p->server)
		linger(&b);
}
