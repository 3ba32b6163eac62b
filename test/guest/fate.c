// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What becomes of a holder that does not, or cannot, answer a break. */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "ops.h"
#include "rdma.h"
#include "stream.h"
#include "suite.h"

#define LENGTH (16 * MIB)
/* The issue's own bound: a deadline of 5 s, and 2 s to kill and tear down. */
#define SHORT_BREAK 5
#define SHORT_BREAK_MAX 7.0

struct scene {
	const char *fs;
	char path[128];
	struct stream *stream;
	struct extents extents;
	atomic_bool ready;
	pthread_t first;
	pid_t company;
};

static bool is_ready(void *arg)
{
	return atomic_load(&((struct scene *)arg)->ready);
}

/* A holder with a region over all of its file. */
static struct ibv_mr *hold(const char *fs, struct holder *h, struct rdma *r)
{
	struct ibv_mr *mr;

	rdma_open(r);
	holder_file(h, fs, "leased", LENGTH);
	holder_take(h, 0, LENGTH);
	mr = rdma_reg(r, h->map, h->length);
	CHECK(mr);
	return mr;
}

/* The holder's process: serves the stream and looks at nothing else. */
static void serve(void *arg)
{
	struct scene *s = arg;
	struct holder h;
	struct rdma r;
	struct ibv_mr *mr = hold(s->fs, &h, &r);

	stream_serve(s->stream, &r, mr);
	for (;;)
		pause();
}

static pid_t serve_start(struct scene *s)
{
	pid_t pid;

	s->stream = stream_start();
	suite_path(s->path, sizeof(s->path), s->fs, "leased");
	pid = child_start(serve, s);
	stream_wait_writes(s->stream, 100);
	extents_of(&s->extents, s->path);
	return pid;
}

/* The truncate is done: its blocks must be nobody's target any more. */
static void check_no_stray_byte(struct scene *s)
{
	canary_take(s->fs, &s->extents);
	stream_wait_end(s->stream);
	CHECK_EQ(canary_changed(s->fs), 0);
}

static void stop(pid_t pid)
{
	int status;

	CHECK(!kill(pid, SIGSTOP));
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
}

/*
 * Proves: a stopped holder is killed at the deadline, the breaker goes on in
 * time, and the peer that kept writing changes no byte of who gets the blocks.
 */
static void stopped__region_in_use__killed_at_deadline(const void *unused)
{
	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, SHORT_BREAK);
	for (unsigned int i = 0; i < 2; i++) {
		struct scene s = { .fs = suite_fs[i] };
		struct breaker b;
		pid_t holder;

		suite_context("on %s", s.fs);
		holder = serve_start(&s);
		stop(holder);
		breaker_start(&b, truncate_to_zero, s.path);
		stream_wait_writes(s.stream, 10);
		breaker_finish(&b, SUITE_WAIT_MS);
		check_no_stray_byte(&s);
		child_killed(holder, SIGKILL, SUITE_WAIT_MS);
		fprintf(stderr, "stopped holder: truncate returned after %.2f s\n",
			breaker_seconds(&b));
		CHECK(breaker_seconds(&b) > SHORT_BREAK - 0.5);
		CHECK(breaker_seconds(&b) < SHORT_BREAK_MAX);
		CHECK(!unlink(s.path));
	}
}

/* Proves: after SIGKILL amid traffic the next breaker does not wait for long. */
static void killed__region_in_use__breaker_goes_on(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct scene s = { .fs = suite_fs[i] };
		struct breaker b;
		pid_t holder;

		suite_context("on %s", s.fs);
		holder = serve_start(&s);
		CHECK(!kill(holder, SIGKILL));
		breaker_start(&b, truncate_to_zero, s.path);
		breaker_finish(&b, SUITE_WAIT_MS);
		check_no_stray_byte(&s);
		child_killed(holder, SIGKILL, SUITE_WAIT_MS);
		CHECK(!unlink(s.path));
	}
}

/* Proves: SIGKILL during a break ends the break. */
static void killed__in_break__breaker_goes_on(const void *unused)
{
	struct scene s = { .fs = suite_fs[0] };
	struct breaker b;
	pid_t holder;

	(void)unused;
	holder = serve_start(&s);
	breaker_start(&b, truncate_to_zero, s.path);
	CHECK(breaker_waits(&b, 200));
	CHECK(!kill(holder, SIGKILL));
	breaker_finish(&b, SUITE_WAIT_MS);
	check_no_stray_byte(&s);
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
}

static void forget(struct holder *h)
{
	CHECK(!munmap(h->map, h->length));
	CHECK(!munmap(h->anchor, h->length));
	CHECK(!close(h->lease));
	CHECK(!close(h->fd));
}

/* Proves: a region alone holds the blocks, whatever else its owner dropped. */
static void forgotten__region_kept__breaker_waits(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct holder h;
		struct breaker b;
		struct ibv_mr *mr;
		struct rdma near, far;

		suite_context("on %s", suite_fs[i]);
		rdma_pair(&near, &far);
		holder_file(&h, suite_fs[i], "leased", LENGTH);
		holder_take(&h, 0, LENGTH);
		mr = rdma_reg(&far, h.map, h.length);
		CHECK(mr);
		forget(&h);
		breaker_start(&b, truncate_to_zero, h.path);
		CHECK(breaker_waits(&b, 500));
		CHECK_EQ(rdma_write(&near, (uintptr_t)mr->addr, mr->rkey, 1), IBV_WC_SUCCESS);
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!unlink(h.path));
	}
}

static void serve_and_forget(void *arg)
{
	struct scene *s = arg;
	struct holder h;
	struct rdma r;
	struct ibv_mr *mr = hold(s->fs, &h, &r);

	forget(&h);
	stream_serve(s->stream, &r, mr);
	for (;;)
		pause();
}

/* Proves: who dropped all but the region is killed at the deadline, too. */
static void forgotten__past_deadline__killed(const void *unused)
{
	struct scene s = { .fs = suite_fs[1] };
	struct breaker b;
	pid_t holder;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 2);
	s.stream = stream_start();
	suite_path(s.path, sizeof(s.path), s.fs, "leased");
	holder = child_start(serve_and_forget, &s);
	/* Unmapping the anchor was a break already: the clock runs. */
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	breaker_start(&b, truncate_to_zero, s.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	stream_wait_end(s.stream);
}

/*
 * Proves: a holder that registered nothing and ignores the break loses the
 * mapping at the deadline, is told so, and lives.
 */
static void ignored__no_region__revoked_at_deadline(const void *unused)
{
	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 2);
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct holder h;
		struct breaker b;

		suite_context("on %s", suite_fs[i]);
		holder_file(&h, suite_fs[i], "leased", LENGTH);
		holder_take(&h, 0, LENGTH);
		CHECK(touch(h.map));
		breaker_start(&b, truncate_to_zero, h.path);
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK(touch(h.map));
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_REVOKED);
		CHECK(now_ns() >= ev.deadline_ns);
		CHECK(!touch(h.map));
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(breaker_seconds(&b) > 1.5);
		CHECK_EQ(read(h.lease, &ev, sizeof(ev)), 0);
		CHECK_EQ(holder_release(&h), 0);
	}
}

/* A process that shares the mm of its parent, and no descriptor. */
static int share_mm(void *pid)
{
	*(pid_t *)pid = getpid();
	suite_close_files();
	for (;;)
		pause();
	return 0;
}

static void *outlive_first_thread(void *arg)
{
	struct scene *s = arg;

	pthread_join(s->first, NULL);
	atomic_store(&s->ready, true);
	for (;;)
		pause();
	return NULL;
}

/* A holder of two processes, the first without its first thread. */
static void hold_in_company(void *arg)
{
	static char stack[64 * KIB];
	struct scene *s = arg;
	pthread_t thread;
	struct holder h;
	struct rdma r;

	hold(s->fs, &h, &r);
	CHECK(clone(share_mm, stack + sizeof(stack), CLONE_VM | SIGCHLD, (void *)&s->company) > 0);
	s->first = pthread_self();
	CHECK_EQ(pthread_create(&thread, NULL, outlive_first_thread, s), 0);
	pthread_exit(NULL);
}

/*
 * Proves: at the deadline all processes of the holder's mm are killed, also
 * one whose first thread ended alone: any of them can use the region.
 */
static void late__many_processes__all_killed(const void *unused)
{
	struct scene *s = shared_new(sizeof(*s));
	struct pollfd company;
	struct breaker b;
	pid_t holder;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 2);
	s->fs = suite_fs[0];
	suite_path(s->path, sizeof(s->path), s->fs, "leased");
	holder = child_start(hold_in_company, s);
	CHECK(wait_until(is_ready, s, SUITE_WAIT_MS));
	breaker_start(&b, truncate_to_zero, s->path);
	breaker_finish(&b, SUITE_WAIT_MS);
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
	company = (struct pollfd){ syscall(SYS_pidfd_open, s->company, 0), POLLIN, 0 };
	CHECK_EQ(poll(&company, 1, SUITE_WAIT_MS), 1);
}

/* Proves: a break goes on when its breaker is killed, and ends in order. */
static void breaker__killed__holder_carries_on(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct breaker b, next;
		struct holder h;
		struct ibv_mr *mr;
		struct rdma r;

		suite_context("on %s", suite_fs[i]);
		mr = hold(suite_fs[i], &h, &r);
		breaker_start(&b, truncate_to_zero, h.path);
		holder_event(&h, &ev);
		CHECK(!kill(b.pid, SIGKILL));
		CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_BREAKING);
		holder_release_busy(&h);
		breaker_start(&next, truncate_to_zero, h.path);
		CHECK(breaker_waits(&next, 200));
		CHECK(!holder_has_event(&h));
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		holder_release_done(&h);
		child_killed(b.pid, SIGKILL, SUITE_WAIT_MS);
		breaker_finish(&next, SUITE_WAIT_MS);
	}
}

/*
 * Proves: a write(2) that waits for the lease cannot be killed before the
 * holder lets go, and by then nothing has broken loose.
 */
static void writer__killed__dies_when_holder_lets_go(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct rdma near, far;
		struct holder h;
		struct breaker b;
		struct ibv_mr *mr;

		suite_context("on %s", suite_fs[i]);
		rdma_pair(&near, &far);
		holder_file(&h, suite_fs[i], "leased", LENGTH);
		holder_take(&h, 0, LENGTH);
		mr = rdma_reg(&far, h.map, LENGTH);
		CHECK(mr);
		breaker_start(&b, write_inside, h.path);
		holder_event(&h, &ev);
		CHECK(!kill(b.pid, SIGKILL));
		CHECK(breaker_waits(&b, 1000));
		CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_BREAKING);
		CHECK_EQ(rdma_write(&near, (uintptr_t)h.map + OPS_INSIDE, mr->rkey, 1),
			 IBV_WC_SUCCESS);
		holder_release_busy(&h);
		CHECK_EQ(holder_status(&h).foreign_pages, LENGTH / 4096);
		CHECK(breaker_waits(&b, 500));
		CHECK_EQ(bytes_not(h.path, OPS_INSIDE, 4096, 1), 0);
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		CHECK(breaker_waits(&b, 0));
		holder_release_done(&h);
		child_killed(b.pid, SIGKILL, SUITE_WAIT_MS);
		CHECK(!unlink(h.path));
		rdma_close(&near);
		rdma_close(&far);
	}
}

static const struct suite_case cases[] = {
	SUITE_CASE(stopped__region_in_use__killed_at_deadline),
	SUITE_CASE(killed__region_in_use__breaker_goes_on),
	SUITE_CASE(killed__in_break__breaker_goes_on),
	SUITE_CASE(forgotten__region_kept__breaker_waits),
	SUITE_CASE(forgotten__past_deadline__killed),
	SUITE_CASE(late__many_processes__all_killed),
	SUITE_CASE(breaker__killed__holder_carries_on),
	SUITE_CASE(writer__killed__dies_when_holder_lets_go),
	SUITE_CASE(ignored__no_region__revoked_at_deadline),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
