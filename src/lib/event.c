// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "event.h"
#include "service.h"

void md__slot_init(struct md__slot *slot, struct md_context *ctx, uint64_t *last_fetched)
{
	*slot = (struct md__slot){ .ctx = ctx, .last_fetched = last_fetched };
}

void md__event_say(struct md_event *event, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(event->message, sizeof(event->message), fmt, args);
	va_end(args);
}

/*
 * By its number: one that waited for its slot comes before what came later. Most are
 * the last, however many there are: from the end.
 */
static void enqueue(struct md__slot *slot)
{
	struct md_context *ctx = slot->ctx;
	struct md__slot *before;

	if (TAILQ_EMPTY(&ctx->events)) {
		if (md__service_is_me(ctx))
			atomic_store(&ctx->untold, true);
		else
			md__fd_raise(ctx->fd[MD__FD_EVENT]);
	}
	TAILQ_FOREACH_REVERSE(before, &ctx->events, md__slots, queue) {
		if (before->number < slot->number)
			break;
	}
	if (before)
		TAILQ_INSERT_AFTER(&ctx->events, before, slot, queue);
	else
		TAILQ_INSERT_HEAD(&ctx->events, slot, queue);
	slot->queued = true;
}

static void dequeue(struct md__slot *slot)
{
	struct md_context *ctx = slot->ctx;

	TAILQ_REMOVE(&ctx->events, slot, queue);
	slot->queued = false;
	if (!TAILQ_EMPTY(&ctx->events))
		return;
	atomic_store(&ctx->untold, false);
	md__fd_lower(ctx->fd[MD__FD_EVENT]);
}

void md__events_tell(struct md_context *ctx)
{
	if (!atomic_load(&ctx->untold))
		return;
	pthread_mutex_lock(&ctx->event_lock);
	if (atomic_exchange(&ctx->untold, false))
		md__fd_raise(ctx->fd[MD__FD_EVENT]);
	pthread_mutex_unlock(&ctx->event_lock);
}

void md__slot_post(struct md__slot *slot, const struct md_event *event)
{
	struct md_context *ctx = slot->ctx;
	uint32_t count;

	pthread_mutex_lock(&ctx->event_lock);
	count = slot->in.count + 1;
	slot->in = *event;
	slot->in.count = count;
	slot->number = ++ctx->events_posted;
	if (slot->queued)
		dequeue(slot);
	if (!slot->lent)
		enqueue(slot);
	pthread_mutex_unlock(&ctx->event_lock);
}

bool md__slot_idle(struct md__slot *slot)
{
	bool idle;

	pthread_mutex_lock(&slot->ctx->event_lock);
	idle = !slot->lent && !slot->in.count;
	pthread_mutex_unlock(&slot->ctx->event_lock);
	return idle;
}

static bool any_lent(const struct md__slot *slots, int count)
{
	bool lent = false;

	for (int i = 0; i < count; i++)
		lent |= slots[i].lent;
	return lent;
}

static void forget(struct md__slot *slots, int count)
{
	for (int i = 0; i < count; i++) {
		if (slots[i].queued)
			dequeue(&slots[i]);
		slots[i].in.count = 0;
	}
}

bool md__slots_drop(struct md__slot *slots, int count)
{
	struct md_context *ctx = slots->ctx;
	bool lent;

	pthread_mutex_lock(&ctx->event_lock);
	lent = any_lent(slots, count);
	if (!lent)
		forget(slots, count);
	pthread_mutex_unlock(&ctx->event_lock);
	return !lent;
}

void md__slots_forget(struct md__slot *slots, int count)
{
	struct md_context *ctx = slots->ctx;

	pthread_mutex_lock(&ctx->event_lock);
	forget(slots, count);
	pthread_mutex_unlock(&ctx->event_lock);
}

bool md__slots_lent(const struct md__slot *slots, int count)
{
	struct md_context *ctx = slots->ctx;
	bool lent;

	pthread_mutex_lock(&ctx->event_lock);
	lent = any_lent(slots, count);
	pthread_mutex_unlock(&ctx->event_lock);
	return lent;
}

static bool tells_state(enum md_event_type type)
{
	switch (type) {
	case MD_EVENT_QP_FENCED:
	case MD_EVENT_LATE:
	case MD_EVENT_POPULATE:
	case MD_EVENT_REMOTE_FENCED:
	case MD_EVENT_PERSISTED:
		return false;
	default:
		return true;
	}
}

static struct md_event *fetch(struct md_context *ctx)
{
	struct md_event *event = NULL;
	struct md__slot *slot;

	pthread_mutex_lock(&ctx->event_lock);
	slot = TAILQ_FIRST(&ctx->events);
	if (slot) {
		dequeue(slot);
		slot->out = slot->in;
		slot->in.count = 0;
		slot->lent = true;
		event = &slot->out;
		if (slot->last_fetched && tells_state(event->type))
			*slot->last_fetched = slot->number;
	}
	pthread_mutex_unlock(&ctx->event_lock);
	return event;
}

/* Milliseconds from @now to @end, rounded up, for poll(2). */
static int left_ms(uint64_t now, uint64_t end)
{
	return now < end ? (int)((end - now + MD__MSEC - 1) / MD__MSEC) : 0;
}

int md_get_event(struct md_context *ctx, struct md_event **event, int timeout_ms)
{
	uint64_t end = md__now() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0) * MD__MSEC;
	int wait = timeout_ms;

	if (!ctx || !event)
		return md__fail(EINVAL, "md_get_event: no %s",
				ctx ? "place for the event" : "context");
	if (ctx->forked)
		return md__fail_forked();
	for (;;) {
		struct pollfd pfd = { .fd = md_fd(ctx), .events = POLLIN };

		*event = fetch(ctx);
		if (*event)
			return 0;
		if (!wait)
			return md__fail(EAGAIN, "no event");
		if (poll(&pfd, 1, wait) < 0)
			return md__fail(errno, "waiting for an event: %s", strerror(errno));
		if (ctx->flags & MD_OPEN_NO_THREAD)
			md_process(ctx);
		if (timeout_ms > 0)
			wait = left_ms(md__now(), end);
	}
}

void md_ack_event(struct md_event *event)
{
	struct md__slot *slot = (struct md__slot *)event;
	struct md_context *ctx;
	bool is_break;

	if (!slot || slot->ctx->forked)
		return;
	ctx = slot->ctx;
	is_break = event->type == MD_EVENT_BREAK;
	pthread_mutex_lock(&ctx->event_lock);
	slot->lent = false;
	if (slot->last_fetched && slot->number < *slot->last_fetched)
		slot->in.count = 0;
	if (slot->in.count)
		enqueue(slot);
	/* Still locked: the slot's map may be gone as soon as it is not lent. */
	if (is_break)
		md__service_wake(ctx);
	pthread_mutex_unlock(&ctx->event_lock);
}
