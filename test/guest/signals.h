/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whom a descriptor signals, and how: F_SETOWN_EX and F_SETSIG of fcntl(2). */
#ifndef MD_TEST_GUEST_SIGNALS_H
#define MD_TEST_GUEST_SIGNALS_H

#include <stdbool.h>
#include <sys/types.h>

struct signals {
	int type; /* of pid: F_OWNER_* */
	pid_t pid;
	int number;
};

/* Not what a descriptor has by itself. */
void signals_set(int fd);

void signals_get(int fd, struct signals *s);
bool signals_equal(const struct signals *a, const struct signals *b);

#endif
