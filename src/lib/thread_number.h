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
 * it ends, and its successor in it has seen what it wrote; -n if others have it, too,
 * but none has it of its own: that of the threads that find all numbers taken, or of any
 * where there is no barrier (barrier.h). 0: not taken yet.
 */
extern _Thread_local int md__thread_number_here
	__attribute__((tls_model("initial-exec"), visibility("hidden")));

/* Takes one for this thread, which has none, and returns it. */
int md__thread_number_take(void);

#endif
