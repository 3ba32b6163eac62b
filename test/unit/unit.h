/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* One executable per object under test: a list of cases, run by CUnit. */
#ifndef MD_TEST_UNIT_H
#define MD_TEST_UNIT_H

#include <stdint.h>

#include <CUnit/CUnit.h>

struct unit_case {
	const char *name;
	void (*run)(void);
};

/* A case is named after its function: call__condition__result. */
#define UNIT_CASE(fn)                                                                              \
	{                                                                                          \
#fn, fn                                                                            \
	}

/**
 * unit_main - run cases and print a summary, its last line in one sentence
 * @suite: name of the object
 * @cases: ends with a case without a name
 * @setup, @teardown: around each case, may be NULL
 * @argc, @argv: from main(); words select cases whose name contains one
 *
 * Returns the exit status: 0 if all passed.
 */
int unit_main(const char *suite, const struct unit_case *cases, void (*setup)(void),
	      void (*teardown)(void), int argc, char **argv);

/* Say that nothing was run, and why. Returns the exit status for that, 77. */
int unit_skip(const char *suite, const char *why);

/* How many processors this process may run on. */
unsigned int unit_cpus(void);

/* End a child of fork(2), without what exit(3) does but with its count of lines. */
void unit_exit_child(int status) __attribute__((noreturn));

/*
 * Assertions are for the main thread only: CUnit keeps its counts without a
 * lock. Other threads report through variables.
 */

/* A number from a fixed sequence, for walks that can be repeated. */
static inline uint32_t unit_random(uint64_t *seed)
{
	uint64_t x = *seed += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
	return (uint32_t)(x >> 32);
}

#endif
