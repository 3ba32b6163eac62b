/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The guard of a map: counts its open uses and keeps new ones out in a break.
 *
 * Each thread counts in a slot of its own cache line (threads share a slot
 * only when there are more than MD__GUARD_SLOTS of them), and the gate's line
 * is written only when a break begins or ends. An open gate costs one atomic
 * addition and one load, no lock and no system call.
 *
 * Why a sum of zero can be trusted once the gate is shut:
 * - get() adds, then looks at the gate; the breaker shuts the gate, then looks
 *   at the slots; all four are sequentially consistent. Hence a get() that
 *   found the gate open has its addition in what the breaker reads.
 * - Of the uses that got in, a slot from then on only loses. A get() that lost
 *   the race adds and takes back in the same slot, so it can only make a slot
 *   look larger. Each slot read is therefore at least what is open in it when
 *   the reading ends, and so is the sum: an open use is never missed, however
 *   the reading interleaves with put().
 * - A put() may run in another thread than its get(): one slot then goes
 *   below zero, the sum stays right.
 * - No wake-up is lost: put() subtracts, then looks at the gate, the mirror
 *   image of the above. Of several last put() the one whose subtraction comes
 *   last reads a sum of zero and wakes.
 */
#ifndef MD_LIB_GUARD_H
#define MD_LIB_GUARD_H

#include <stdatomic.h>
#include <stdint.h>

#define MD__GUARD_SLOTS 64
#define MD__GUARD_LINE 64

struct md__guard_slot {
	_Alignas(MD__GUARD_LINE) _Atomic int64_t uses;
};

/*
 * What holds a guard is aligned to MD__GUARD_LINE: allocate it with
 * aligned_alloc(3) or posix_memalign(3), not malloc(3). It outlives every call
 * on it, a put() that has ended its use but not returned included.
 */
struct md__guard {
	_Alignas(MD__GUARD_LINE) _Atomic int gate; /* 0: open, else an errno */
	int wake_fd;
	struct md__guard_slot slot[MD__GUARD_SLOTS];
};

/**
 * md__guard_init - make a guard, shut with EAGAIN and without uses
 * @g:       the guard
 * @wake_fd: an eventfd(2) (EFD_NONBLOCK) that outlives the guard; it is
 *           written when the gate is shut and the last use has ended, rarely
 *           also once more than needed
 *
 * The driver shuts the gate, asks md__guard_uses(), and if that is not 0 waits
 * for @wake_fd and asks again.
 */
void md__guard_init(struct md__guard *g, int wake_fd);

/**
 * md__guard_open - let uses in
 *
 * What the caller wrote before is visible to every use that gets in.
 */
void md__guard_open(struct md__guard *g);

/**
 * md__guard_shut - let no new use in
 * @g:     the guard
 * @error: what md__guard_get() returns from now on, EAGAIN or ESTALE
 *
 * May change the errno of a gate that is shut.
 */
void md__guard_shut(struct md__guard *g, int error);

/**
 * md__guard_get - begin a use
 *
 * Returns 0, or the errno of the shut gate. Does not set errno.
 */
int md__guard_get(struct md__guard *g);

/**
 * md__guard_hold - begin a use whatever the gate says
 *
 * Not while somebody else may be asking md__guard_uses() to rely on the answer: it
 * could miss this use.
 */
void md__guard_hold(struct md__guard *g);

/**
 * md__guard_put - end a use, in any thread
 *
 * Keeps errno.
 */
void md__guard_put(struct md__guard *g);

/**
 * md__guard_uses - how many uses are open
 *
 * With the gate shut: 0 means that none is open, and that what they wrote is
 * visible here. With the gate open it is an estimate.
 */
int64_t md__guard_uses(struct md__guard *g);

#endif
