/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A small number for each thread: what it counts in a slot of that number, nobody
 * else writes meanwhile, and so it needs no locked instruction.
 */
#ifndef MD_LIB_THREAD_NUMBER_H
#define MD_LIB_THREAD_NUMBER_H

#define MD__THREAD_NUMBERS 64

/**
 * md__thread_numbers_prepare - to be called before the first number is asked for
 *
 * Decides whether threads get numbers of their own. Thread-safe; only the first call
 * does something.
 */
void md__thread_numbers_prepare(void);

/*
 * The number of this thread, 1 to MD__THREAD_NUMBERS: n if it is the thread's own until
 * it ends; the thread that has n next sees what this one wrote. -n if several threads have
 * n, and none has it of its own: those that find all numbers taken, or all threads where
 * there is no barrier (barrier.h). 0: not taken yet.
 */
extern _Thread_local int md__thread_number_here
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Takes one for this thread, which has none, and returns it. Keeps errno. */
int md__thread_number_take(void);

/* In the child of fork(2): the other threads are not here any more. */
void md__thread_numbers_forked(void);

#endif
