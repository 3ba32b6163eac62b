/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A lease provider without a kernel: maps any file, and breaks when the test
 * says so. Thread-safe. Keeps watch that a lease is only given back when no
 * region of it is registered.
 */
#ifndef MD_TEST_FAKE_LEASE_H
#define MD_TEST_FAKE_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lease.h"

#define FAKE_FOR_EVER UINT32_MAX
#define FAKE_PID 4711
#define FAKE_COMM "breaker"

extern const struct md__lease_ops fake_lease;

void fake_lease_reset(void);

/*
 * Let the next acquires fail, or be followed by a break at once. With EAGAIN
 * they have seen that the file fits, with other errors they have not.
 */
void fake_lease_fail(unsigned int times, int error);
void fake_lease_break_next(unsigned int times);

/*
 * Acquires go through the range page by page, and call this before each page,
 * if it is not NULL, with its number and no lock held.
 */
void fake_lease_at_page(void (*call)(unsigned int page));

/* Let the next releases find foreign pins. */
void fake_lease_pin(unsigned int times);

/* Break, or revoke, every lease that is held. */
void fake_lease_break(enum md_reason reason, unsigned int deadline_ms);
void fake_lease_revoke(void);

/* Leases held; acquires that were tried; the rule broken: must stay 0. */
unsigned int fake_lease_held(void);
unsigned int fake_lease_tries(void);
unsigned int fake_lease_strays(void);

bool fake_lease_covers(const void *addr, size_t length);

#endif
