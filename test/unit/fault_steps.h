/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Calls of the library of which one may meet a failure (fault.h), and what is to
 * come of it: the call says so and has changed nothing, or does without for a
 * reason that is listed; in a break or restore, the map is lost with an event, or
 * it is not, as is listed too.
 */
#ifndef MD_TEST_FAULT_STEPS_H
#define MD_TEST_FAULT_STEPS_H

#include <stdbool.h>
#include <stddef.h>

#include "fixture.h"

extern struct steps {
	struct md_map *map;
	struct md_context *other; /* beside the fixture's, or NULL */
	bool lost;		  /* a map was */
} steps;

void steps_begin(void);

/* One call of the library, once more if it fails. */
void step(const char *name, bool (*call)(void));

/* The next event, which is checked and acknowledged. */
enum md_event_type next_event(void);

/* Events up to this one: true; or false if a map is lost instead. */
bool await(enum md_event_type type);

/* At the end: what was not found in a step has come of a break or a restore. */
void check_served(void);

/* The lists say no more than what was found since the program was started. */
void check_lists(void);

#endif
