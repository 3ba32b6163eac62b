// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "recvs.h"

#include "must.h"
#include "renew.h"

void recvs_open(struct recvs *r, struct perf *p, uint32_t size, uint32_t limit)
{
	*r = (struct recvs){
		.p = p,
		.size = size,
		.limit = limit,
		.depth = p->mode == MODE_DURABLE ? p->slots : RECV_DEPTH,
	};
}

bool recvs_broken(const struct recvs *r)
{
	const struct perf *p = r->p;
	uint32_t i = 0;

	if (!r->size || !p->session.map || md_map_state(p->session.map) == MD_MAP_LIVE)
		return false;
	while (i < p->plan.qps && r->posted[i] == r->got[i])
		i++;
	return i < p->plan.qps;
}

/* Each is a use of its own, from here until it has completed. */
static bool post(struct recvs *r, uint32_t i)
{
	struct perf *p = r->p;
	struct ibv_sge sge = { .length = r->size };
	struct ibv_recv_wr wr = { .wr_id = i }, *bad;

	if (r->size) {
		if (!session_get_map(&p->session))
			return false;
		sge.addr = (uintptr_t)p->mem.addr + perf_slot_at(p, i, r->posted[i] % p->slots);
		sge.lkey = mem_lkey(&p->mem);
		wr.sg_list = &sge;
		wr.num_sge = 1;
	}
	ERRNO_MUST(ibv_post_recv(p->qps.qp[i], &wr, &bad));
	r->posted[i]++;
	return true;
}

void recvs_fill(struct recvs *r)
{
	for (uint32_t i = 0; i < r->p->plan.qps; i++)
		while (r->posted[i] < r->limit && r->posted[i] - r->got[i] < r->depth)
			if (!post(r, i))
				return;
}

int recvs_poll(struct recvs *r, struct ibv_wc *wc)
{
	int n = ibv_poll_cq(r->p->qps.recv_cq, POLL_BATCH, wc);

	MUST(n >= 0 && "ibv_poll_cq");
	for (int i = 0; i < n; i++) {
		if (!renew_check(r->p, &wc[i]))
			return i;
		r->got[wc[i].wr_id]++;
	}
	return n;
}

void recvs_put(struct recvs *r, int n)
{
	for (int i = 0; r->size && i < n; i++)
		session_put_map(&r->p->session);
}

void recvs_drop(struct recvs *r)
{
	for (uint32_t i = 0; i < r->p->plan.qps; i++)
		for (; r->posted[i] != r->got[i]; r->posted[i]--)
			recvs_put(r, 1);
}
