// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Taking a lease, with each of its steps failing once; needs a test build. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "suite.h"

/* So many steps there are at least; more when the range has several extents. */
#define STEPS_MIN 15
#define STEPS_MAX 1000

/* A number from a line "NAME: NUMBER" or the only one of a file; or -1. */
static long number_in(const char *path, const char *name)
{
	FILE *f = fopen(path, "re");
	long number = -1;
	char line[128];

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)))
			sscanf(line + strlen(name), "%ld", &number);
	fclose(f);
	return number;
}

/* A lease that was closed counts until the worker that frees it has come by. */
static bool has_users(void *count)
{
	return number_in("/sys/module/mapdirect/refcnt", "") == *(long *)count;
}

static bool is_known(int err)
{
	return err == ENOMEM || err == ENODEV || err == EFAULT;
}

/* After the last step it takes a worker to undo the lease. */
static bool is_leased(void *arg)
{
	struct holder *h = arg;

	h->lease = holder_try_lease(h, 0);
	return h->lease >= 0;
}

/* Nothing of the lease that was not given is left. */
static void check_no_trace(const struct holder *h)
{
	long users = 1; /* who opened the device */
	struct breaker b;

	CHECK(!holder_exists(NULL));
	CHECK_EQ(number_in("/proc/self/status", "VmPin:"), 0);
	CHECK(wait_until(has_users, &users, SUITE_WAIT_MS));
	/* No lease and no pin is in the way of this, and no break is seen. */
	breaker_start(&b, truncate_to_zero, h->path);
	breaker_finish(&b, SUITE_WAIT_MS);
}

/* The file goes with its name and our descriptor: nobody else has it open. */
static void check_forgotten(struct holder *h)
{
	struct pollfd end = { .fd = inotify_init1(IN_CLOEXEC), .events = POLLIN };

	CHECK(inotify_add_watch(end.fd, h->path, IN_DELETE_SELF) >= 0);
	CHECK(!unlink(h->path));
	CHECK_EQ(poll(&end, 1, 0), 0);
	CHECK(!close(h->fd));
	CHECK_EQ(poll(&end, 1, SUITE_WAIT_MS), 1);
	CHECK(!close(end.fd));
}

/* Proves: whichever step of taking a lease fails, all before it is undone. */
static void lease__each_step_fails__no_trace(const void *unused)
{
	int step;

	(void)unused;
	if (!knob_exists(KNOB_FAIL_STEP))
		suite_skip("the module is no test build");
	holder_device();
	for (step = 1; step < STEPS_MAX; step++) {
		struct holder h;
		int err;

		suite_context("step %d", step);
		/* The last fput of a file with a wrong nrpages is a BUG. */
		holder_file(&h, suite_fs[step % 2], "leased", 64 * KIB);
		holder_anchor(&h, 0, 64 * KIB);
		knob_set(KNOB_FAIL_STEP, step);
		h.lease = holder_try_lease(&h, 0);
		err = errno;
		if (knob_get(KNOB_FAIL_STEP)) {
			CHECK(h.lease >= 0);
			break;
		}
		CHECK_EQ(h.lease, -1);
		CHECK(is_known(err));
		CHECK(wait_until(is_leased, &h, SUITE_WAIT_MS));
		CHECK_EQ(holder_release(&h), 0);
		CHECK(!close(h.lease));
		check_no_trace(&h);
		CHECK(!munmap(h.anchor, h.length));
		check_forgotten(&h);
	}
	CHECK(step > STEPS_MIN && step < STEPS_MAX);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lease__each_step_fails__no_trace),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
