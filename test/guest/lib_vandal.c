// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "canary.h"
#include "child.h"
#include "holder.h"
#include "lib_vandal.h"
#include "suite.h"

#define PIECE (64 * KIB)
#define CANARIES 16
#define CANARY_BYTE 0x5a

int vandal_punch(int fd, off_t where)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, where, PIECE);
}

int vandal_zero(int fd, off_t where)
{
	return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, where, PIECE);
}

int vandal_write(int fd, off_t where)
{
	static char data[PIECE];

	return pwrite(fd, data, sizeof(data), where) == (ssize_t)sizeof(data) ? 0 : -1;
}

/* Has the place of canary i been taken? Then it must be what it was. */
static unsigned long drop_canary(const char *path)
{
	unsigned long changed;

	if (access(path, F_OK))
		return 0;
	changed = bytes_not(path, 0, PIECE, CANARY_BYTE);
	CHECK(!unlink(path));
	return changed;
}

static void canary_path(const struct vandal *v, char *path, size_t size, unsigned int i)
{
	char name[32];

	snprintf(name, sizeof(name), "vandal.%u", i % CANARIES);
	suite_path(path, size, v->canaries, name);
}

static void next_canary(struct vandal *v, unsigned int i)
{
	static char data[PIECE];
	char path[128];
	int fd;

	canary_path(v, path, sizeof(path), i);
	atomic_fetch_add(&v->spoiled, drop_canary(path));
	memset(data, CANARY_BYTE, sizeof(data));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CHECK(fd >= 0);
	CHECK_EQ(write(fd, data, sizeof(data)), (ssize_t)sizeof(data));
	close(fd);
}

static void drop_canaries(struct vandal *v)
{
	char path[128];

	for (unsigned int i = 0; i < CANARIES; i++) {
		canary_path(v, path, sizeof(path), i);
		atomic_fetch_add(&v->spoiled, drop_canary(path));
	}
}

static bool may_go(void *arg)
{
	return atomic_load(&((struct vandal *)arg)->go);
}

static void change_without_end(void *arg)
{
	struct vandal *v = arg;
	const struct vandal_change *c;
	int fd;

	CHECK(wait_until(may_go, v, SUITE_WAIT_MS));
	fd = open(v->path, O_RDWR | O_CLOEXEC);
	CHECK(fd >= 0);
	while (!atomic_load(&v->stop)) {
		for (c = v->list; c->change; c++) {
			CHECK(!c->change(fd, c->where));
			if (v->canaries)
				next_canary(v, atomic_load(&v->changes));
			usleep(rand() % v->pause_us);
			atomic_fetch_add(&v->changes, 1);
		}
	}
	if (v->canaries)
		drop_canaries(v);
}

struct vandal *vandal_start(const char *path, const struct vandal_change *list,
			    unsigned int pause_us, const char *canaries)
{
	struct vandal *v = shared_new(sizeof(*v));

	snprintf(v->path, sizeof(v->path), "%s", path);
	v->list = list;
	v->pause_us = pause_us;
	v->canaries = canaries;
	v->pid = child_start(change_without_end, v);
	return v;
}

void vandal_go(struct vandal *v)
{
	atomic_store(&v->go, true);
}

bool vandal_ended(struct vandal *v)
{
	int status;
	pid_t pid;

	atomic_store(&v->stop, true);
	pid = waitpid(v->pid, &status, WNOHANG);
	if (pid)
		CHECK(pid == v->pid && status == 0);
	return pid;
}
