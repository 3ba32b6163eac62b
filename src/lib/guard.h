/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The guard of a map: counts its open uses and keeps new ones out in a break.
 *
 * Each thread counts in a slot of its own (thread_number.h) and cache line, and the
 * gate's line is written only when a break begins or ends. A use costs some loads and
 * two stores: no lock, no locked instruction, no system call. The barrier that they lack
 * is made by who shuts the gate, for all threads (barrier.h). Threads that share a slot
 * count by locked instructions, which are barriers.
 *
 * Why a sum of zero can be trusted once the gate is shut:
 * - get() adds one, then looks at the gate; the breaker shuts the gate, passes the barrier,
 *   then looks at the slots. Wherever get() is when the barrier reaches its thread, it has
 *   either added, and what the breaker reads has it, or its look comes after that
 *   and finds the gate shut. Hence a get() that found the gate open has its addition in
 *   what the breaker reads.
 * - Gets and puts only grow, and all puts are read before any get. Hence what is read
 *   of puts is at most, and of gets at least, what there was in between; and so an open
 *   use is never missed, however the reading interleaves with get() and put(), whichever
 *   thread does them. A get() that lost the race is one more get until it has put.
 * - No wake-up is lost: put() adds, then looks at the gate, the mirror image of the
 *   above. One that finds it shut passes a barrier of its own and adds up the slots: of
 *   several last put() the one whose barrier comes last finds no use open and wakes.
 *   If the other found the gate still open, none may wake; but then both puts came before
 *   the breaker's barrier ended, and its first look has them.
 */
#ifndef MD_LIB_GUARD_H
#define MD_LIB_GUARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "thread_number.h"

#define MD__GUARD_LINE 64

struct md__guard_slot {
	_Alignas(MD__GUARD_LINE) _Atomic uint64_t gets;
	_Atomic uint64_t puts;
};

/*
 * What holds a guard is aligned to MD__GUARD_LINE: allocate it with
 * aligned_alloc(3) or posix_memalign(3), not malloc(3). It outlives every call
 * on it, a put() that has ended its use but not returned included.
 */
struct md__guard {
	_Alignas(MD__GUARD_LINE) _Atomic int gate; /* 0: open, else an errno */
	int wake_fd;
	struct md__guard_slot slot[MD__THREAD_NUMBERS];
};

/**
 * md__guard_init - make a guard, shut with EAGAIN and without uses
 * @g:       the guard
 * @wake_fd: an eventfd(2) (EFD_NONBLOCK) that outlives the guard; it is
 *           written when the gate is shut and the last use has ended, rarely
 *           also once more than needed
 *
 * The driver shuts the gate, then must ask md__guard_uses(), and if that is not 0 waits
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
 * @error: what md__guard_get() returns from now on, EAGAIN or ESTALE; ECHILD in a child
 *         after fork(2), whose last put then wakes nobody
 *
 * May change the errno of a gate that is shut. Takes as long as md__barrier_all().
 */
void md__guard_shut(struct md__guard *g, int error);

/* md__guard_put() in a thread without a slot of its own. */
void md__guard_put_shared(struct md__guard *g);

/* The rest of md__guard_put() with the gate shut. */
void md__guard_wake(struct md__guard *g);

/* Only this thread writes @n; it looks at the gate next. The fence is for the compiler. */
static inline void md__guard_count(_Atomic uint64_t *n)
{
	atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
			      memory_order_release);
	atomic_signal_fence(memory_order_seq_cst);
}

/**
 * md__guard_put - end a use, in any thread
 *
 * Keeps errno.
 */
static inline void md__guard_put(struct md__guard *g)
{
	int n = md__thread_number_here;

	if (n <= 0) {
		md__guard_put_shared(g);
		return;
	}
	md__guard_count(&g->slot[n - 1].puts);
	if (atomic_load(&g->gate))
		md__guard_wake(g);
}

/**
 * md__guard_try - begin a use, if that is the usual case
 *
 * Returns false where md__guard_get() is to be called: the gate is shut, or the thread has
 * no slot of its own, or none yet. No handler of a signal may call any of get, try and put:
 * it could come between the load and the store of the same thread.
 */
static inline bool md__guard_try(struct md__guard *g)
{
	int n = md__thread_number_here;

	/* Without this look, callers that retry would keep the sum moving. */
	if (n <= 0 || atomic_load_explicit(&g->gate, memory_order_relaxed))
		return false;
	md__guard_count(&g->slot[n - 1].gets);
	if (!atomic_load(&g->gate))
		return true;
	md__guard_put(g);
	return false;
}

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
 * md__guard_uses - how many uses are open
 *
 * After md__guard_shut() has returned: 0 means that none is open, and that what they wrote
 * is visible here. Before, it is an estimate.
 */
int64_t md__guard_uses(struct md__guard *g);

#endif
