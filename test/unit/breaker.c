// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaker.h"
#include "leased_file.h"

int open_to_read(const char *name)
{
	return open(name, O_RDONLY | O_CLOEXEC);
}

int open_to_write(const char *name)
{
	return open(name, O_RDWR | O_CLOEXEC);
}

int open_and_cut(const char *name)
{
	return open(name, O_WRONLY | O_TRUNC | O_CLOEXEC);
}

int truncate_to_nothing(const char *name)
{
	return truncate(name, 0);
}

void breaker_start(struct breaker *b, int (*op)(const char *name))
{
	int through[2], go[2];
	char byte;

	CU_ASSERT_FATAL(!pipe2(through, O_CLOEXEC) && !pipe2(go, O_CLOEXEC));
	fflush(stdout);
	b->pid = fork();
	CU_ASSERT_FATAL(b->pid >= 0);
	if (!b->pid) {
		close(leased);
		close(go[1]);
		if (op(path) < 0 || write(through[1], "", 1) != 1)
			_exit(1);
		_exit(read(go[0], &byte, 1) != 0);
	}
	close(through[1]);
	close(go[0]);
	b->through = through[0];
	b->go = go[1];
}

bool breaker_is_through(struct breaker *b, int limit_ms)
{
	struct pollfd pfd = { .fd = b->through, .events = POLLIN };

	return poll(&pfd, 1, limit_ms) == 1;
}

void breaker_finish(struct breaker *b)
{
	int status;

	CU_ASSERT(breaker_is_through(b, SOON_MS));
	close(b->go);
	waitpid(b->pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	close(b->through);
}
