// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What fork(2) does to a lease: nothing, and the child has no part in it. */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "knob.h"
#include "lib_holder.h"
#include "ops.h"
#include "suite.h"

static void take(struct lib *l)
{
	*l = (struct lib){ .ctx = lib_context(0, 0, 0) };
	holder_file(&l->file, suite_fs[0], "leased", OPS_FILE_SIZE);
	lib_take(l, OPS_FROM, OPS_LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
}

/* The parent's lease is as it was, and a break of it, too. */
static void check_untouched(struct lib *l, uint64_t generation)
{
	struct breaker b;

	CHECK(!lib_has_event(l, 20));
	CHECK_EQ(md_map_generation(l->map), generation);
	lib_write(l, 0, 1);
	breaker_start(&b, truncate_up, l->file.path);
	do {
		lib_next(l, MD_EVENT_BREAK);
		CHECK(!lib_next(l, MD_EVENT_RELEASED).timeline.fenced);
		lib_next(l, MD_EVENT_RESTORED);
	} while (lib_broken_again(l, &b));
	breaker_finish(&b, SUITE_WAIT_MS);
	lib_write(l, 0, 2);
	lib_drop(l);
}

static void exits(void *unused)
{
	(void)unused;
}

static void execs(void *unused)
{
	(void)unused;
	execl("/bin/true", "true", NULL);
	CHECK(false);
}

/* exit() runs destructors of the library's dependencies. */
static void exits_in_full(void *unused)
{
	(void)unused;
	exit(0);
}

static void fork__child_ends__parent_untouched(const void *arg)
{
	void (*const *end)(void *) = arg;
	struct lib l;
	uint64_t generation;

	take(&l);
	generation = md_map_generation(l.map);
	child_finish(child_start_with_files(*end, NULL));
	check_untouched(&l, generation);
}

/* None of the descriptors has anything to do with the module. */
static void check_no_lease_fd(void)
{
	for (int fd = 3; fd < 256; fd++) {
		char link[32], to[128];
		ssize_t n;

		snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
		n = readlink(link, to, sizeof(to) - 1);
		to[n < 0 ? 0 : n] = '\0';
		if (strstr(to, "mapdirect"))
			suite_fail(__FILE__, __LINE__, "descriptor %d is %s", fd, to);
	}
}

/* What the parent has is dead here; what is made here is alive. */
static void use_all_calls(void *arg)
{
	struct md_query_result q = { .size = sizeof(q) };
	struct lib *l = arg;
	struct md_event *ev;

	CHECK_ERRNO(md_map_get(l->map), ECHILD);
	md_map_put(l->map);
	CHECK_ERRNO(md_persist(l->map, 0, LIB_PAGE), ECHILD);
	CHECK_ERRNO(md_release(l->map), ECHILD);
	CHECK_ERRNO(md_restore(l->map), ECHILD);
	CHECK_ERRNO(md_unmap(l->map), ECHILD);
	CHECK_NULL_ERRNO(md_reg_mr(l->far.pd, l->map, 0, LIB_PAGE, RDMA_ACCESS), ECHILD);
	CHECK_ERRNO(md_dereg_mr(l->mr), ECHILD);
	CHECK_ERRNO(md_attach_qp(l->map, l->near.qp, NULL), ECHILD);
	CHECK_ERRNO(md_detach_qp(l->map, l->far.qp), ECHILD);
	CHECK_ERRNO(md_fence_qp(l->map, l->far.qp), ECHILD);
	CHECK_ERRNO(md_get_event(l->ctx, &ev, 0), ECHILD);
	CHECK_ERRNO(md_process(l->ctx), ECHILD);
	CHECK_ERRNO(md_fd(l->ctx), ECHILD);
	CHECK_ERRNO(md_query(l->ctx, l->file.fd, 0, LIB_PAGE, &q), ECHILD);
	CHECK_NULL_ERRNO(lib_try_map(l->ctx, l->file.fd, 0, LIB_PAGE, 0), ECHILD);
	CHECK(!touch(md_map_addr(l->map)));
	check_no_lease_fd();
	CHECK_MD(!md_close(l->ctx));
	l->ctx = lib_context(0, 0, 0);
	CHECK_MD(!md_query(l->ctx, l->file.fd, OPS_FROM, LIB_PAGE, &q));
	CHECK_EQ(q.error, 0);
	l->map = lib_try_map(l->ctx, l->file.fd, 0, LIB_PAGE, 0);
	CHECK_MD(l->map);
	CHECK_MD(!md_unmap(l->map));
	CHECK_MD(!md_close(l->ctx));
}

static void lib_fork__child_calls__echild(const void *unused)
{
	struct lib l;
	uint64_t generation;

	(void)unused;
	take(&l);
	generation = md_map_generation(l.map);
	child_finish(child_start_with_files(use_all_calls, &l));
	check_untouched(&l, generation);
}

/* ---- the parent dies, and leaves a child --------------------------------- */

struct family {
	char path[128];
	void (*live)(void *unused); /* what the child does */
	atomic_int child;
};

static void keeps_device(void *unused)
{
	(void)unused;
	for (;;)
		pause();
}

static void closes_device(void *unused)
{
	suite_close_files();
	keeps_device(unused);
}

static void leaves_device(void *unused)
{
	child_leave_device();
	keeps_device(unused);
}

static void execs_sleep(void *unused)
{
	(void)unused;
	execl("/bin/sleep", "sleep", "1000", NULL);
	CHECK(false);
}

static void hold_and_fork(void *arg)
{
	struct family *f = arg;
	struct lib l;

	take(&l);
	snprintf(f->path, sizeof(f->path), "%s", l.file.path);
	atomic_store(&f->child, child_start_with_files(f->live, NULL));
	for (;;)
		pause();
}

static bool has_child(void *arg)
{
	return atomic_load(&((struct family *)arg)->child);
}

/* The parent is dead; returns the child. */
static pid_t orphan(struct family *f, void (*live)(void *unused))
{
	pid_t parent;

	f->live = live;
	parent = child_start(hold_and_fork, f);
	CHECK(wait_until(has_child, f, SUITE_WAIT_MS));
	CHECK(!kill(parent, SIGKILL));
	child_killed(parent, SIGKILL, SUITE_WAIT_MS);
	return atomic_load(&f->child);
}

/* Proves: a child that has nothing of the verbs device keeps nothing of the lease. */
static void fork__parent_dies__released(const void *arg)
{
	void (*const *live)(void *) = arg;
	struct family *f = shared_new(sizeof(*f));
	struct breaker b;
	pid_t child;

	child = orphan(f, *live);
	breaker_start(&b, truncate_to_zero, f->path);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!kill(child, 0));
}

/*
 * Proves: a child that keeps the verbs device keeps the registration, so the
 * breaker waits, safely, also past the deadline, when the lease is listed as
 * stuck; and goes on when the child ends. To close the device is not enough:
 * the queues of its queue pairs are mapped.
 */
static void fork__parent_dies__breaker_waits_for_child(const void *arg)
{
	void (*const *live)(void *) = arg;
	struct family *f = shared_new(sizeof(*f));
	struct breaker b;
	pid_t child;

	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	child = orphan(f, *live);
	breaker_start(&b, truncate_to_zero, f->path);
	CHECK(wait_until(holder_is_stuck, NULL, SUITE_WAIT_MS));
	CHECK(breaker_waits(&b, 1000) && holder_is_stuck(NULL));
	CHECK(!kill(child, 0));
	CHECK(!kill(child, SIGKILL));
	breaker_finish(&b, SUITE_WAIT_MS);
}

#define CASE_OF(fn, text, how)                                                                     \
	{                                                                                          \
		.name = "lib_" text, .run = fn, .arg = &(void (*const)(void *))                    \
		{                                                                                  \
			how                                                                        \
		}                                                                                  \
	}
#define CHILD_ENDS(how)                                                                            \
	CASE_OF(fork__child_ends__parent_untouched, "fork__child_" #how "__parent_untouched", how)
#define CHILD_LEAVES(how)                                                                          \
	CASE_OF(fork__parent_dies__released, "fork__parent_dies_child_" #how "__released", how)
#define CHILD_LIVES(how)                                                                           \
	CASE_OF(fork__parent_dies__breaker_waits_for_child,                                        \
		"fork__parent_dies_child_" #how "__breaker_waits", how)

static const struct suite_case cases[] = {
	CHILD_ENDS(exits),
	CHILD_ENDS(exits_in_full),
	CHILD_ENDS(execs),
	SUITE_CASE(lib_fork__child_calls__echild),
	CHILD_LEAVES(execs_sleep),
	CHILD_LEAVES(leaves_device),
	CHILD_LIVES(keeps_device),
	CHILD_LIVES(closes_device),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
