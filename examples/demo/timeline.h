/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How a break went, for people and for play.sh. */
#ifndef DEMO_TIMELINE_H
#define DEMO_TIMELINE_H

#include <stdio.h>

#include <mapdirect/mapdirect.h>

/* On MD_EVENT_BREAK: who and why. */
void timeline_broken(const struct md_event *ev, unsigned int number);

/*
 * On MD_EVENT_RELEASED: the steps; to @table one line of numbers: generation,
 * then microseconds from broken to noticed, drained, deregistered, released
 * and to the kernel's deadline.
 */
void timeline_released(const struct md_event *ev, FILE *table);

/* On MD_EVENT_RESTORED, which was asked for at @asked. */
void timeline_restored(const struct md_event *ev, uint64_t asked);

#endif
