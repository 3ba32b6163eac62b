/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Events. Each kind has one slot per map, peer or remote range (QP_FENCED: per
 * attachment). What happens while the application still has the last event of the slot, or has
 * not come for it yet, is folded into the next one. Events are fetched in the
 * order of what they last tell of, and one that waited for its slot is dropped
 * if a later state of the map was fetched meanwhile. So the last one fetched
 * tells the state.
 */
#ifndef MD_LIB_EVENT_H
#define MD_LIB_EVENT_H

#include <stdbool.h>
#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

/* Everything in it is protected by the context's event_lock. */
struct md__slot {
	struct md_event out; /* the application has it while @lent */
	struct md_event in;  /* to be fetched if its count is not 0 */
	struct md_context *ctx;
	uint64_t number;	/* of what @in tells of, in the order of events */
	uint64_t *last_fetched; /* its object's, of what tells a state; or NULL */
	bool lent;
	bool queued;
	TAILQ_ENTRY(md__slot) queue;
};

TAILQ_HEAD(md__slots, md__slot);

/* @last_fetched: see the struct; NULL: never dropped. */
void md__slot_init(struct md__slot *slot, struct md_context *ctx, uint64_t *last_fetched);

/* Write the event's sentence, cut if it is too long. */
void md__event_say(struct md_event *event, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Queue a copy of @event, whose count is set here. What the serving thread posts is told
 * to who polls by md__events_tell(): in a break it has more urgent things to do first.
 */
void md__slot_post(struct md__slot *slot, const struct md_event *event);

/* By the serving thread, before whatever takes long. */
void md__events_tell(struct md_context *ctx);

/* Neither fetched and not acknowledged, nor to be fetched. */
bool md__slot_idle(struct md__slot *slot);

/*
 * Forget what was not fetched of @count slots of one context. If an event of
 * one of them is lent, nothing is forgotten: false.
 */
bool md__slots_drop(struct md__slot *slots, int count);

/* The same in any case; a lent event stays valid. */
void md__slots_forget(struct md__slot *slots, int count);

/* Is an event of one of them fetched and not acknowledged? */
bool md__slots_lent(const struct md__slot *slots, int count);

#endif
