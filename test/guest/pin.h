/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A holder that leaves a page of its lease to a pipe, which outlives it. */
#ifndef MD_TEST_GUEST_PIN_H
#define MD_TEST_GUEST_PIN_H

#include <sys/types.h>

#include "holder.h"

#define PIN_LENGTH (4 * MIB)
#define PIN_BYTE 0x66

struct pin {
	char path[128]; /* of the leased file */
	int pipe[2];
};

/* The holder's process, once it has the lease and the pipe has the page. */
pid_t pin_start(struct pin *p, void (*then)(struct holder *h));

/* What it may do then. */
void pin_then_wait(struct holder *h);
void pin_then_exec(struct holder *h); /* sleep(1), in the first break */

/* Is the page that the pipe has, seen through another pipe, as the holder left it? */
bool pin_intact(const struct pin *p);

/* Takes the page out of the pipe. */
void pin_drop(struct pin *p);

#endif
