// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mapdirect/uapi.h>

#include "bare.h"
#include "clock.h"
#include "must.h"

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)
#define HUGE_SIZE ((size_t)2 << 20)
#define PAGE 4096
#define TRIES 10000

/* ---- the lease --------------------------------------------------------- */

/* Addresses where huge pages fit. */
static char *reserve(size_t length)
{
	char *p = mmap(NULL, length + HUGE_SIZE, PROT_NONE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	MUST(p != MAP_FAILED);
	return p + (-(uintptr_t)p & (HUGE_SIZE - 1));
}

static void fill(char *addr, size_t length, int flags, int fd)
{
	MUST(mmap(addr, length, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == addr);
}

/* Where pages are allocated, each fault by MAP_SYNC would wait for the journal. */
static void map_anchor(struct bare *b)
{
	size_t length = b->row->bytes;

	fill(b->anchor, length, MAP_SHARED, b->fd);
	MUST(!madvise(b->anchor, length, MADV_POPULATE_WRITE) && !fsync(b->fd));
	fill(b->anchor, length, MAP_SHARED_VALIDATE | MAP_SYNC, b->fd);
	MUST(!madvise(b->anchor, length, MADV_POPULATE_WRITE));
}

static void take_lease(struct bare *b)
{
	struct mapdirect_lease arg = {
		.fd = b->fd,
		.flags = MAPDIRECT_LEASE_ALLOCATE,
		.length = b->row->bytes,
		.addr = (uintptr_t)b->anchor,
	};

	/* The breaker has taken the last page. */
	MUST(!madvise(b->anchor + arg.length - PAGE, PAGE, MADV_POPULATE_WRITE));
	for (int tries = 1;; tries++) {
		b->lease = ioctl(b->device, MAPDIRECT_IOC_LEASE, &arg);
		if (b->lease >= 0)
			break;
		MUST((errno == EAGAIN || errno == EEXIST || errno == EBUSY) && tries < TRIES);
		usleep(1000);
	}
	fill(b->map, arg.length, MAP_SHARED, b->lease);
	MUST(!sem_post(&b->leased));
}

static void *serve(void *arg)
{
	struct bare *b = arg;

	for (;;) {
		struct pollfd p = { .events = POLLIN };

		MUST(!sem_wait(&b->leased));
		p.fd = b->lease;
		MUST(poll(&p, 1, -1) == 1);
		/* The mapping has the file open, so to close it alone would not do. */
		MUST(!ioctl(b->lease, MAPDIRECT_IOC_RELEASE));
		close(b->lease);
		MUST(!sem_post(&b->over));
	}
	return NULL;
}

void bare_open(struct bare *b, const struct row *row, struct echo *echo, int fd)
{
	pthread_t thread;

	b->row = row;
	b->fd = fd;
	b->device = open("/dev/mapdirect", O_RDWR | O_CLOEXEC);
	if (b->device < 0)
		err(EXIT_CANNOT, "/dev/mapdirect");
	qps_open(&b->qps, row->options->addr, (int)row->qps);
	b->anchor = reserve(row->bytes);
	b->map = reserve(row->bytes);
	map_anchor(b);
	MUST(!sem_init(&b->leased, 0, 0) && !sem_init(&b->over, 0, 0));
	ERRNO_MUST(pthread_create(&thread, NULL, serve, b));
	take_lease(b);
	echo_open(&b->echo, echo);
}

/* ---- regions and queue pairs ------------------------------------------- */

static void reg(struct bare *b)
{
	uint64_t n = b->row->regions, length = b->row->bytes / n & ~UINT64_C(4095);

	for (uint64_t i = 0; i < n; i++)
		MUST(b->mr[i] = ibv_reg_mr(b->qps.pd, b->map + i * length, length, ACCESS));
}

static uint64_t dereg(struct bare *b)
{
	uint64_t begin;

	reg(b);
	begin = clock_ns();
	for (uint64_t i = 0; i < b->row->regions; i++)
		ERRNO_MUST(ibv_dereg_mr(b->mr[i]));
	return clock_ns() - begin;
}

struct part {
	struct bare *b;
	uint64_t from, to;
	pthread_barrier_t *barrier;
};

static void *dereg_part(void *arg)
{
	struct part *p = arg;

	pthread_barrier_wait(p->barrier);
	for (uint64_t i = p->from; i < p->to; i++)
		ERRNO_MUST(ibv_dereg_mr(p->b->mr[i]));
	pthread_barrier_wait(p->barrier);
	return NULL;
}

/* The threads are there before it begins, as those of a pool would be. */
static uint64_t dereg_parallel(struct bare *b, unsigned int threads)
{
	struct part part[BARE_THREADS_MAX];
	pthread_t thread[BARE_THREADS_MAX];
	pthread_barrier_t barrier;
	uint64_t n = b->row->regions, begin, end;

	reg(b);
	ERRNO_MUST(pthread_barrier_init(&barrier, NULL, threads + 1));
	for (unsigned int i = 0; i < threads; i++) {
		part[i] = (struct part){ b, n * i / threads, n * (i + 1) / threads, &barrier };
		ERRNO_MUST(pthread_create(&thread[i], NULL, dereg_part, &part[i]));
	}
	/* Before the barrier: who leaves it last need not be we. */
	begin = clock_ns();
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	end = clock_ns();
	for (unsigned int i = 0; i < threads; i++)
		ERRNO_MUST(pthread_join(thread[i], NULL));
	pthread_barrier_destroy(&barrier);
	return end - begin;
}

static uint64_t modify(struct bare *b, int count)
{
	uint64_t begin;

	for (int i = 0; i < count; i++)
		qps_join(&b->qps, i, b->qps.qp[i]->qp_num);
	begin = clock_ns();
	for (int i = 0; i < count; i++)
		qps_fail(&b->qps, i);
	return count ? clock_ns() - begin : 0;
}

void bare_round(struct bare *b, struct breaker *breaker, int which, int fenced,
		struct bare_round *out)
{
	*out = (struct bare_round){ 0 };
	if (b->row->axis == AXIS_REGIONS) {
		for (unsigned int threads = 2; threads <= BARE_THREADS_MAX; threads *= 2)
			out->dereg_parallel[threads] = dereg_parallel(b, threads);
	}
	out->echo = echo_once(&b->echo);
	out->modify = modify(b, fenced);
	out->dereg = dereg(b);
	usleep(b->row->options->apart_ms * 1000);
	breaker_go(breaker, which);
	breaker_report(breaker, &out->breaker);
	MUST(!sem_wait(&b->over));
	take_lease(b);
}
