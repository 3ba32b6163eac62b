// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "signals.h"
#include "suite.h"

void signals_set(int fd)
{
	struct f_owner_ex owner = { F_OWNER_TID, gettid() };

	CHECK(!fcntl(fd, F_SETOWN_EX, &owner));
	CHECK(!fcntl(fd, F_SETSIG, SIGRTMIN + 3));
}

void signals_get(int fd, struct signals *s)
{
	struct f_owner_ex owner;

	CHECK(!fcntl(fd, F_GETOWN_EX, &owner));
	s->type = owner.type;
	s->pid = owner.pid;
	s->number = fcntl(fd, F_GETSIG);
	CHECK(s->number >= 0);
}

bool signals_equal(const struct signals *a, const struct signals *b)
{
	return a->type == b->type && a->pid == b->pid && a->number == b->number;
}
