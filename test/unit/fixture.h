/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A context over the fake provider and fake verbs, and a file to map. */
#ifndef MD_TEST_FIXTURE_H
#define MD_TEST_FIXTURE_H

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <mapdirect/mapdirect.h>

#include "fake_lease.h"
#include "fake_verbs.h"
#include "unit.h"

#define PAGE 4096
#define FILE_PAGES 4
#define RW (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)
#define FAR_MS 45000	/* a deadline that is not met in a test */
#define PATIENT_MS 5000 /* a drain budget that is not used up, as in setup */

extern struct md_context *ctx;
extern int file; /* FILE_PAGES long, named "data" */

/* Which kind of context setup makes: with a service thread or without. */
extern bool threaded;

/* Around each case; teardown checks that nothing is left and no rule broken. */
void fixture_setup(void);
void fixture_teardown(void);

/* Instead of the context of setup, one with other settings; 0: the library's. */
void fixture_reopen(uint32_t budget_ms, uint32_t limit_ms);

/* A map of the whole file, live. */
struct md_map *fixture_map(uint32_t flags);

/* Let a context without a thread do what is due; the other does it itself. */
void pump(void);

/* The next event is this one; NULL after a failed assertion. */
struct md_event *expect_event(enum md_event_type type);

/* The same, acknowledged at once. */
void pass_event(enum md_event_type type);

/* No event comes, not even in a while. */
void expect_no_event(void);

/* Wait for a state that a map gets into without an event. */
void expect_state(struct md_map *map, enum md_map_state state);

/* A break that nobody objects to, from LIVE to RELEASED. */
void break_and_release(void);

/* md_unmap(), which must work. */
void fixture_unmap(struct md_map *map);

/* Descriptors that are open in this process. */
int fixture_count_fds(void);

/* The cases with a service thread, then without. */
int fixture_main(const char *suite, const struct unit_case *cases, int argc, char **argv);

/* The last call failed like this, and its sentence has these words in it. */
#define ASSERT_FAILED(err, words)                                                                  \
	do {                                                                                       \
		CU_ASSERT_EQUAL(errno, err);                                                       \
		if (!strstr(md_errmsg(), words))                                                   \
			printf("\n    line %d: errno %d, %s ", __LINE__, errno, md_errmsg());      \
		CU_ASSERT_PTR_NOT_NULL(strstr(md_errmsg(), words));                                \
	} while (0)

#endif
