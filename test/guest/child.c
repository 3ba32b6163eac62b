// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <inttypes.h>
#include <poll.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "suite.h"

pid_t child_start_with_files(void (*fn)(void *arg), void *arg)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		fn(arg);
		_exit(EXIT_SUCCESS);
	}
	return pid;
}

/* A mapped queue keeps the device as open as a descriptor does. */
static bool unmap_queue(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	uintptr_t start, end;
	bool found = false;
	char line[512];

	CHECK(maps);
	while (!found && fgets(line, sizeof(line), maps))
		found = strstr(line, "/dev/infiniband/uverbs");
	fclose(maps);
	if (!found)
		return false;
	CHECK_EQ(sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end), 2);
	CHECK(!munmap((void *)start, end - start));
	return true;
}

void child_leave_device(void)
{
	suite_close_files();
	while (unmap_queue())
		;
}

struct start {
	void (*fn)(void *arg);
	void *arg;
};

static void without_device(void *arg)
{
	struct start *s = arg;

	child_leave_device();
	s->fn(s->arg);
}

pid_t child_start(void (*fn)(void *arg), void *arg)
{
	struct start s = { fn, arg };

	return child_start_with_files(without_device, &s);
}

bool child_wait(pid_t pid, int limit_ms, int *status)
{
	struct pollfd end = { .fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
	bool ended = end.fd >= 0 && poll(&end, 1, limit_ms) == 1;

	if (end.fd >= 0)
		close(end.fd);
	return ended && waitpid(pid, status, 0) == pid;
}

void child_finish(pid_t pid)
{
	int status;

	CHECK(child_wait(pid, SUITE_WAIT_MS, &status));
	CHECK_EQ(status, 0);
}

void child_killed(pid_t pid, int signal, int limit_ms)
{
	int status;

	CHECK(child_wait(pid, limit_ms, &status));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), signal);
}

void child_schedule(int policy)
{
	const struct sched_param prio = { .sched_priority = policy == SCHED_FIFO };
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CHECK(!sched_setaffinity(0, sizeof(one), &one));
	CHECK(!sched_setscheduler(0, policy | SCHED_RESET_ON_FORK, &prio));
}

bool wait_until(bool (*until)(void *arg), void *arg, int limit_ms)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	uint64_t end = now_ns() + limit_ms * 1000000ULL;

	while (!until(arg)) {
		if (now_ns() > end)
			return false;
		nanosleep(&pause, NULL);
	}
	return true;
}

void *shared_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

bool is_true(void *flag)
{
	return atomic_load((atomic_bool *)flag);
}
