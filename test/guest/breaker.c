// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "suite.h"

struct breaker_result {
	file_op op;
	char path[128];
	atomic_bool begun;
	int err;
	uint64_t ns;
};

static void break_it(void *arg)
{
	struct breaker_result *r = arg;
	uint64_t start;

	prctl(PR_SET_NAME, BREAKER_COMM);
	atomic_store(&r->begun, true);
	start = now_ns();
	r->err = r->op(r->path) ? errno : 0;
	r->ns = now_ns() - start;
}

void breaker_start(struct breaker *b, file_op op, const char *path)
{
	b->result = shared_new(sizeof(*b->result));
	b->result->op = op;
	strncpy(b->result->path, path, sizeof(b->result->path) - 1);
	b->pid = child_start(break_it, b->result);
}

static bool has_begun(void *result)
{
	return atomic_load(&((struct breaker_result *)result)->begun);
}

bool breaker_waits(struct breaker *b, int hold_ms)
{
	struct pollfd end = { .fd = syscall(SYS_pidfd_open, b->pid, 0), .events = POLLIN };
	int ended;

	CHECK(end.fd >= 0);
	CHECK(wait_until(has_begun, b->result, SUITE_WAIT_MS));
	ended = poll(&end, 1, hold_ms);
	close(end.fd);
	return ended == 0;
}

int breaker_end(struct breaker *b, int limit_ms)
{
	int status;

	CHECK(child_wait(b->pid, limit_ms, &status));
	CHECK_EQ(status, 0);
	return b->result->err;
}

void breaker_finish(struct breaker *b, int limit_ms)
{
	CHECK_EQ(breaker_end(b, limit_ms), 0);
}

double breaker_seconds(const struct breaker *b)
{
	return b->result->ns / 1e9;
}

int truncate_to_zero(const char *path)
{
	return truncate(path, 0);
}
