// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "clock.h"
#include "must.h"

#define PAGE 4096

/* Returns 0 or -1, as the system call. */
static int change(const struct breaker *b, int fd)
{
	static const char page[PAGE];
	off_t last = (off_t)b->bytes - PAGE;

	switch (b->kind) {
	case BREAKER_WRITE:
		return pwrite(fd, page, PAGE, last) == PAGE ? 0 : -1;
	case BREAKER_TRUNCATE:
		return ftruncate(fd, last);
	default:
		return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, last, PAGE);
	}
}

static void serve(void *arg)
{
	const struct breaker *b = arg;
	int fd[2], which;

	close(b->commands[1]); /* so that the end of the holder is seen */
	for (int i = 0; i < 2; i++)
		MUST((fd[i] = open(b->path[i], O_RDWR | O_CLOEXEC)) >= 0);
	while (read(b->commands[0], &which, sizeof(which)) == sizeof(which)) {
		struct breaker_report report;

		report.called = clock_ns();
		MUST(!change(b, fd[which]));
		report.returned = clock_ns();
		if (b->kind == BREAKER_TRUNCATE)
			MUST(!ftruncate(fd[which], (off_t)b->bytes));
		MUST(write(b->reports[1], &report, sizeof(report)) == sizeof(report));
	}
}

void breaker_start(struct breaker *b)
{
	MUST(!pipe2(b->commands, O_CLOEXEC) && !pipe2(b->reports, O_CLOEXEC));
	b->pid = child_start(serve, b);
	close(b->commands[0]);
	close(b->reports[1]);
}

void breaker_go(struct breaker *b, int which)
{
	MUST(write(b->commands[1], &which, sizeof(which)) == sizeof(which));
}

int breaker_fd(const struct breaker *b)
{
	return b->reports[0];
}

void breaker_report(struct breaker *b, struct breaker_report *report)
{
	if (read(b->reports[0], report, sizeof(*report)) != sizeof(*report))
		errx(1, "the breaker has ended");
}
