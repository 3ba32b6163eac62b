/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * One program per subject: a list of cases, run by CUnit. Each case runs in a
 * process of its own, so that what it holds goes with it, also when it fails;
 * after it, all of its processes are killed, no lease may be left, and the
 * kernel's settings are as before.
 */
#ifndef MD_TEST_GUEST_SUITE_H
#define MD_TEST_GUEST_SUITE_H

#include <errno.h>
#include <stdbool.h>

/* How long anything may take that should happen soon, in ms; TCG is slow. */
#define SUITE_WAIT_MS 20000

#define SUITE_LONG (1U << 0)  /* left out by --quick */
#define SUITE_EXTRA (1U << 1) /* run by --long, and only these are */

/* A case is named what__condition__result. */
struct suite_case {
	const char *name;
	void (*run)(const void *arg);
	const void *arg;
	unsigned int flags;
};

#define SUITE_CASE(fn)                                                                             \
	{                                                                                          \
		.name = #fn, .run = fn                                                             \
	}
#define SUITE_CASE_LONG(fn)                                                                        \
	{                                                                                          \
		.name = #fn, .run = fn, .flags = SUITE_LONG                                        \
	}

/* Directories on two DAX file systems, the second with reflink=1: $MD_PMEM, $MD_PMEM2. */
extern const char *suite_fs[2];

/*
 * Runs the cases that the arguments select by a part of their name (all
 * without one), and prints for each one line: "ok NAME", "not ok NAME - why"
 * or "skip NAME - why". Returns the exit status: 0, 1, or 77 if all were
 * skipped.
 */
int suite_main(const struct suite_case *cases, int argc, char **argv);

/*
 * Ends the process, and makes the case a failure or a skip. Any process. With
 * --complete nothing may be missing here: such a skip is a failure.
 */
void suite_fail(const char *file, int line, const char *fmt, ...)
	__attribute__((noreturn, format(printf, 3, 4)));
void suite_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* What a failure of this process is said to have happened with. */
void suite_context(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Closes all descriptors but stdio and the way to report a failure. */
void suite_close_files(void);

/* A path for a file of this case, in a directory that goes with the case. */
void suite_path(char *path, unsigned long size, const char *fs, const char *name);

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		errno = 0;                                                                         \
		if (!(cond))                                                                       \
			suite_fail(__FILE__, __LINE__, "%s", #cond);                               \
	} while (0)

#define CHECK_EQ(a, b)                                                                             \
	do {                                                                                       \
		long long a_, b_ = (b);                                                            \
		errno = 0;                                                                         \
		a_ = (a);                                                                          \
		if (a_ != b_)                                                                      \
			suite_fail(__FILE__, __LINE__, "%s is %lld, not %s (%lld)", #a, a_, #b,    \
				   b_);                                                            \
	} while (0)

/* expr must return -1 with this errno: a call that succeeds may leave any errno. */
#define CHECK_ERRNO(expr, err)                                                                     \
	do {                                                                                       \
		long r_;                                                                           \
		errno = 0;                                                                         \
		r_ = (expr);                                                                       \
		if (r_ != -1 || errno != (err))                                                    \
			suite_fail(__FILE__, __LINE__, "%s gave %ld, not %s", #expr, r_, #err);    \
	} while (0)

/* The same for what returns an object, or NULL. */
#define CHECK_NULL_ERRNO(expr, err)                                                                \
	do {                                                                                       \
		const void *r_;                                                                    \
		errno = 0;                                                                         \
		r_ = (expr);                                                                       \
		if (r_ || errno != (err))                                                          \
			suite_fail(__FILE__, __LINE__, "%s gave %p, not NULL and %s", #expr, r_,   \
				   #err);                                                          \
	} while (0)

#endif
