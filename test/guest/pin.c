// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "child.h"
#include "pin.h"
#include "suite.h"

#define PAGE 4096UL

struct start {
	struct pin *pin;
	void (*then)(struct holder *h);
};

static void hold(void *arg)
{
	struct start *s = arg;
	struct iovec page;
	struct holder h;

	holder_file(&h, suite_fs[0], "leased", PIN_LENGTH);
	holder_take(&h, 0, PIN_LENGTH);
	memset(h.map, PIN_BYTE, PAGE);
	page = (struct iovec){ h.map, PAGE };
	CHECK_EQ(vmsplice(s->pin->pipe[1], &page, 1, 0), (ssize_t)PAGE);
	s->then(&h);
}

pid_t pin_start(struct pin *p, void (*then)(struct holder *h))
{
	struct start s = { p, then };
	pid_t holder;
	char c;

	CHECK(!pipe2(p->pipe, O_CLOEXEC));
	suite_path(p->path, sizeof(p->path), suite_fs[0], "leased");
	holder = child_start_with_files(hold, &s);
	/* A byte to read is there when the page is. */
	CHECK_EQ(read(p->pipe[0], &c, 1), 1);
	return holder;
}

void pin_then_wait(struct holder *h)
{
	(void)h;
	for (;;)
		pause();
}

void pin_then_exec(struct holder *h)
{
	struct mapdirect_event ev;

	CHECK(!fcntl(h->lease, F_SETFD, 0));
	holder_event(h, &ev);
	execl("/bin/sleep", "sleep", "1000", NULL);
	suite_fail(__FILE__, __LINE__, "exec");
}

static bool read_page(int pipe)
{
	char page[PAGE];

	CHECK_EQ(read(pipe, page, PAGE), (ssize_t)PAGE - 1);
	for (unsigned int i = 0; i < PAGE - 1; i++)
		if (page[i] != PIN_BYTE)
			return false;
	return true;
}

bool pin_intact(const struct pin *p)
{
	int other[2];
	bool intact;

	CHECK(!pipe2(other, O_CLOEXEC));
	CHECK_EQ(tee(p->pipe[0], other[1], PAGE, 0), (ssize_t)PAGE - 1);
	intact = read_page(other[0]);
	CHECK(!close(other[0]) && !close(other[1]));
	return intact;
}

void pin_drop(struct pin *p)
{
	CHECK(read_page(p->pipe[0]));
}
