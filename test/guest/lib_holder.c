// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <string.h>

#include "lib_holder.h"
#include "suite.h"

/* Where rxe loses packets, all that a peer says is late by a multiple of 2 s. */
#define KEEPALIVE_MS 10000

struct md_context *lib_context(uint32_t flags, uint32_t drain_ms, uint32_t restore_ms)
{
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = flags,
		.drain_budget_ms = drain_ms,
		.restore_limit_ms = restore_ms,
		.keepalive_ms = KEEPALIVE_MS,
	};
	struct md_context *ctx = md_open(&attr);

	CHECK_MD(ctx);
	return ctx;
}

struct md_map *lib_try_map(struct md_context *ctx, int fd, off_t offset, size_t length,
			   uint32_t flags)
{
	const struct md_map_attr attr = { .size = sizeof(attr), .flags = flags };

	return md_map(ctx, fd, offset, length, &attr);
}

void lib_take(struct lib *l, off_t offset, size_t length, uint32_t flags)
{
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = flags,
		.provider = l->provider,
	};

	rdma_pair(&l->near, &l->far);
	l->map = md_map(l->ctx, l->file.fd, offset, length, &attr);
	CHECK_MD(l->map);
	l->mr = md_reg_mr(l->far.pd, l->map, 0, length, RDMA_ACCESS);
	CHECK_MD(l->mr);
	CHECK_MD(!md_attach_qp(l->map, l->far.qp, NULL));
}

void lib_drop(struct lib *l)
{
	CHECK_MD(!md_dereg_mr(l->mr));
	CHECK_MD(!md_detach_qp(l->map, l->far.qp));
	CHECK_MD(!md_unmap(l->map));
	CHECK_MD(!md_close(l->ctx));
	rdma_close(&l->near);
	rdma_close(&l->far);
}

bool lib_has_event(struct lib *l, int limit_ms)
{
	return l->ahead || !md_get_event(l->ctx, &l->ahead, limit_ms);
}

struct md_event *lib_fetch(struct lib *l, enum md_event_type type)
{
	struct md_event *ev;

	if (!lib_has_event(l, SUITE_WAIT_MS))
		suite_fail(__FILE__, __LINE__, "no %s came, the map is %s", md_event_str(type),
			   md_state_str(md_map_state(l->map)));
	ev = l->ahead;
	l->ahead = NULL;
	if (ev->type != type)
		suite_fail(__FILE__, __LINE__, "instead of %s came %s: %s", md_event_str(type),
			   md_event_str(ev->type), ev->message);
	CHECK(ev->peer || ev->map == l->map);
	CHECK_EQ(ev->count, 1);
	CHECK(ev->message[0]);
	return ev;
}

struct md_event lib_next(struct lib *l, enum md_event_type type)
{
	struct md_event *ev = lib_fetch(l, type), copy = *ev;

	md_ack_event(ev);
	return copy;
}

struct md_event *lib_await(struct lib *l, enum md_event_type type)
{
	for (;;) {
		struct md_event *event;

		if (!lib_has_event(l, SUITE_WAIT_MS))
			suite_fail(__FILE__, __LINE__, "no %s came", md_event_str(type));
		event = l->ahead;
		l->ahead = NULL;
		if (event->type == type)
			return event;
		md_ack_event(event);
	}
}

bool lib_broken_again(struct lib *l, struct breaker *b)
{
	while (!lib_has_event(l, 10) && breaker_waits(b, 10))
		;
	return lib_has_event(l, 0);
}

void lib_write(struct lib *l, size_t offset, char value)
{
	CHECK_MD(!md_map_get(l->map));
	CHECK_EQ(rdma_write(&l->near, (uintptr_t)l->mr->addr + offset, l->mr->rkey, value),
		 IBV_WC_SUCCESS);
	md_map_put(l->map);
}

void lib_check_timeline(const struct md_timeline *t)
{
	CHECK(t->broken);
	CHECK(t->broken <= t->noticed);
	CHECK(t->noticed <= t->told);
	CHECK(t->told <= t->drained);
	CHECK(!t->fenced || t->drained <= t->fenced);
	CHECK(t->drained <= t->deregistered);
	CHECK(!t->fenced || t->fenced <= t->deregistered);
	CHECK(t->deregistered <= t->released);
	CHECK(t->released < t->deadline);
	CHECK(!t->restored || t->released <= t->restored);
}
