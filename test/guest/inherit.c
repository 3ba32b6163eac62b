// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What forks, inherits, receives or outlives a lease, and what it keeps. */
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "knob.h"
#include "pin.h"
#include "rdma.h"
#include "suite.h"

#define LENGTH (4 * MIB)

/* Another mm has the descriptor: it may wait on it and close it, no more. */
static void check_powerless(int lease)
{
	struct mapdirect_status st;
	struct mapdirect_event ev;

	CHECK_ERRNO(ioctl(lease, MAPDIRECT_IOC_RELEASE), EPERM);
	CHECK_ERRNO(ioctl(lease, MAPDIRECT_IOC_STATUS, &st), EPERM);
	CHECK_ERRNO(read(lease, &ev, sizeof(ev)), EPERM);
	CHECK_ERRNO((long)mmap(NULL, MIB, PROT_READ, MAP_SHARED, lease, 0), EPERM);
}

static void child_of_holder(void *arg)
{
	struct holder *h = arg;

	check_powerless(h->lease);
	for (size_t i = 0; i < h->length; i += 4096)
		CHECK(!touch(h->map + i));
}

/*
 * Proves: a child can do nothing with what it inherits, also when the mapping
 * was marked for it, as libibverbs' fork support does; huge pages and small.
 */
static void fork__mapping_for_child__is_sigbus(const void *unused)
{
	static const size_t lengths[] = { LENGTH, MIB };

	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct holder h;

		suite_context("length %zu", lengths[i]);
		holder_file(&h, suite_fs[0], "leased", LENGTH);
		holder_take(&h, 0, lengths[i]);
		memset(h.map, 1, h.length / 2);
		CHECK(!madvise(h.map, h.length, MADV_DOFORK));
		child_finish(child_start_with_files(child_of_holder, &h));
		for (size_t j = 0; j < h.length; j += 4096)
			CHECK(touch(h.map + j));
		CHECK_EQ(holder_release(&h), 0);
	}
}

struct message {
	struct msghdr head;
	struct iovec data;
	char byte;
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
};

static struct cmsghdr *message_init(struct message *m)
{
	memset(m, 0, sizeof(*m));
	m->data = (struct iovec){ &m->byte, 1 };
	m->head.msg_iov = &m->data;
	m->head.msg_iovlen = 1;
	m->head.msg_control = m->control;
	m->head.msg_controllen = sizeof(m->control);
	return CMSG_FIRSTHDR(&m->head);
}

static void send_fd(int sock, int fd)
{
	struct message m;
	struct cmsghdr *c = message_init(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	CHECK_EQ(sendmsg(sock, &m.head, 0), 1);
}

static int receive_fd(int sock)
{
	struct message m;
	struct cmsghdr *c = message_init(&m);
	int fd;

	CHECK_EQ(recvmsg(sock, &m.head, MSG_CMSG_CLOEXEC), 1);
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

static void receiver(void *arg)
{
	char c = 0;
	int lease = receive_fd(*(int *)arg);

	check_powerless(lease);
	CHECK_EQ(write(*(int *)arg, &c, 1), 1);
	/* Holds it until it is killed. */
	for (;;)
		pause();
}

/*
 * Proves: who gets the descriptor over a socket can do nothing with it, and
 * does not keep the lease when the holder releases.
 */
static void socket__passes_lease_fd__receiver_is_powerless(const void *unused)
{
	struct breaker b;
	struct holder h;
	int ends[2];
	char c;

	(void)unused;
	CHECK(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	child_start_with_files(receiver, &ends[1]);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	send_fd(ends[0], h.lease);
	CHECK_EQ(read(ends[0], &c, 1), 1);
	CHECK_EQ(holder_release(&h), 0);
	breaker_start(&b, truncate_to_zero, h.path);
	breaker_finish(&b, SUITE_WAIT_MS);
}

struct scene {
	char path[128];
	atomic_bool ready;
	pid_t child;
};

static bool is_ready(void *arg)
{
	return atomic_load(&((struct scene *)arg)->ready);
}

static void linger(void *arg)
{
	struct scene *s = arg;

	atomic_store(&s->ready, true);
	for (;;)
		pause();
}

static void hold_with_child(void *arg)
{
	struct scene *s = arg;
	struct holder h;

	holder_file(&h, suite_fs[0], "leased", LENGTH);
	strcpy(s->path, h.path);
	holder_take(&h, 0, LENGTH);
	CHECK(!madvise(h.map, h.length, MADV_DOFORK));
	s->child = child_start_with_files(linger, s);
	for (;;)
		pause();
}

/* Proves: a child with all of the holder's descriptors does not keep the lease. */
static void holder__dies_before_child__lease_goes(const void *unused)
{
	struct scene *s = shared_new(sizeof(*s));
	struct breaker b;
	pid_t holder;

	(void)unused;
	holder = child_start(hold_with_child, s);
	CHECK(wait_until(is_ready, s, SUITE_WAIT_MS));
	CHECK(!kill(holder, SIGKILL));
	breaker_start(&b, truncate_to_zero, s->path);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!kill(s->child, 0));
	child_killed(holder, SIGKILL, SUITE_WAIT_MS);
}

static void hold_and_exec(void *arg)
{
	struct scene *s = arg;
	struct mapdirect_event ev;
	struct holder h;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, suite_fs[0], "leased", LENGTH);
	strcpy(s->path, h.path);
	holder_take(&h, 0, LENGTH);
	CHECK(rdma_reg(&r, h.map, h.length));
	CHECK(!fcntl(h.lease, F_SETFD, 0));
	atomic_store(&s->ready, true);
	holder_event(&h, &ev);
	execl("/bin/sleep", "sleep", "1000", NULL);
	suite_fail(__FILE__, __LINE__, "exec");
}

/*
 * Proves: exec ends the lease, though the descriptor is inherited, once the
 * region is gone with its process's descriptors.
 */
static void holder__execs_in_break__lease_goes(const void *unused)
{
	struct scene *s = shared_new(sizeof(*s));
	struct breaker b;
	pid_t holder;

	(void)unused;
	holder = child_start(hold_and_exec, s);
	CHECK(wait_until(is_ready, s, SUITE_WAIT_MS));
	breaker_start(&b, truncate_to_zero, s->path);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!kill(holder, SIGTERM));
	child_killed(holder, SIGTERM, SUITE_WAIT_MS);
}

/*
 * Proves: where exec leaves a page pinned, the new program of that process is
 * not killed at the deadline; the breaker waits, and the lease is stuck, until
 * the page is free.
 */
static void holder__execs_with_page_pinned__program_lives(const void *unused)
{
	struct breaker b;
	struct pin pin;
	pid_t holder;
	int status;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	holder = pin_start(&pin, pin_then_exec);
	breaker_start(&b, truncate_to_zero, pin.path);
	CHECK(wait_until(holder_is_stuck, NULL, SUITE_WAIT_MS));
	CHECK(!child_wait(holder, 2000, &status));
	CHECK(breaker_waits(&b, 0) && holder_is_stuck(NULL));
	CHECK(pin_intact(&pin));
	pin_drop(&pin);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!kill(holder, SIGTERM));
	child_killed(holder, SIGTERM, SUITE_WAIT_MS);
}

static unsigned long free_blocks(const char *fs)
{
	struct statvfs st;
	int fd = open(fs, O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && !syncfs(fd) && !close(fd));
	CHECK(!statvfs(fs, &st));
	return st.f_bfree;
}

struct space {
	const char *fs;
	unsigned long want;
};

static bool space_is_back(void *arg)
{
	const struct space *s = arg;

	return free_blocks(s->fs) >= s->want;
}

/* Lets go of the file in every way but the lease and a region. */
static struct ibv_mr *keep_only_lease(struct holder *h, struct rdma *r, const char *fs)
{
	struct ibv_mr *mr;

	holder_file(h, fs, "leased", LENGTH);
	holder_take(h, 0, LENGTH);
	mr = rdma_reg(r, h->map, LENGTH);
	CHECK(mr);
	CHECK(!munmap(h->anchor, LENGTH));
	CHECK(!close(h->fd));
	return mr;
}

/* Proves: the blocks of an unlinked file stay until its lease goes. */
static void unlink__while_leased__blocks_stay(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct rdma near, far;
		struct space space = { .fs = suite_fs[i] };
		struct ibv_mr *mr;
		struct holder h;
		unsigned long before;

		suite_context("on %s", suite_fs[i]);
		rdma_pair(&near, &far);
		mr = keep_only_lease(&h, &far, suite_fs[i]);
		before = free_blocks(space.fs);
		CHECK(!unlink(h.path));
		CHECK(free_blocks(space.fs) < before + LENGTH / 4096 / 2);
		CHECK_EQ(rdma_write(&near, (uintptr_t)h.map, mr->rkey, 1), IBV_WC_SUCCESS);
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		CHECK(free_blocks(space.fs) < before + LENGTH / 4096 / 2);
		holder_release_done(&h);
		space.want = before + LENGTH / 4096;
		CHECK(wait_until(space_is_back, &space, SUITE_WAIT_MS));
		rdma_close(&near);
		rdma_close(&far);
	}
}

static const struct suite_case cases[] = {
	SUITE_CASE(fork__mapping_for_child__is_sigbus),
	SUITE_CASE(socket__passes_lease_fd__receiver_is_powerless),
	SUITE_CASE(holder__dies_before_child__lease_goes),
	SUITE_CASE(holder__execs_in_break__lease_goes),
	SUITE_CASE(holder__execs_with_page_pinned__program_lives),
	SUITE_CASE(unlink__while_leased__blocks_stay),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
