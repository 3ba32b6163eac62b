// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What thousands of recalls leave behind, here, in the peers and in the kernel. */
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "lib_crowd.h"
#include "meminfo.h"
#include "ops.h"
#include "suite.h"

#define PEERS 2
#define LENGTH (128 * KIB)
#define BUDGET_MS 3000
#define KERNEL_LEAKS 4 /* small objects for each cycle that is stood for */
#define AT_ONCE 10     /* so many cycles' leaks are in one, and it stands for them */
#define WARM_UP 200
/*
 * In all cycles together: what a busy guest's kernel keeps for a while comes to 160 KiB,
 * and in each of 600 cycles one KiB would be more than this; so would 16 bytes of a
 * heap, which take 32.
 */
#define KERNEL_MAX_KIB 500
#define ANONYMOUS_MAX_KIB 128
#define HEAP_MAX 8192
#define RESERVED_MAX_KIB 256 /* of addresses: a heap may grow once */

static const unsigned int some = 600, many = 10000; /* cycles */

struct memory {
	long kernel;	/* KiB */
	long anonymous; /* KiB of the holder and its peers */
	long reserved;	/* KiB of the holder's addresses */
	long heap;	/* bytes of the holder's */
	long heaps;	/* and of the peers' */
};

static void see_released(struct lib_crowd *c)
{
	struct md_event *event;

	lib_next(&c->l, MD_EVENT_BREAK);
	event = lib_fetch(&c->l, MD_EVENT_RELEASED);
	CHECK_EQ(event->n_peers, PEERS);
	for (int i = 0; i < PEERS; i++)
		CHECK(event->peers[i].done && !event->peers[i].fenced);
	md_ack_event(event);
}

struct goal {
	const struct lib_crowd *c;
	unsigned int writes;
};

static bool have_written(void *arg)
{
	const struct goal *g = arg;
	bool all = true;

	for (int i = 0; i < PEERS; i++)
		all &= atomic_load(&g->c->s[i].shared->writes) == g->writes;
	return all;
}

/* Recalled, released, leased, registered, granted and written to; each tenth is a break. */
static void cycle(struct lib_crowd *c, unsigned int i)
{
	struct goal goal = { c, atomic_load(&c->s[0].shared->writes) + 1 };
	struct breaker b;

	if (i % 10) {
		CHECK_MD(!md_release(c->l.map));
		see_released(c);
	} else {
		breaker_start(&b, ops_overwrite, c->l.file.path);
		see_released(c);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!munmap(b.result, 4096)); /* a file of its own, in the kernel */
	}
	CHECK_MD(!md_restore(c->l.map));
	lib_next(&c->l, MD_EVENT_RESTORED);
	CHECK(wait_until(have_written, &goal, SUITE_WAIT_MS));
}

static struct memory memory_now(const struct lib_crowd *c)
{
	struct memory m = {
		.heap = mallinfo2().uordblks,
		.anonymous = meminfo_anonymous(getpid()),
		.reserved = meminfo_virtual(),
	};

	for (int i = 0; i < PEERS; i++) {
		m.heaps += atomic_load(&c->s[i].shared->heap);
		m.anonymous += meminfo_anonymous(c->s[i].shared->pid);
	}
	m.kernel = meminfo_kernel();
	return m;
}

static void subtract(struct memory *m, const struct memory *before)
{
	m->kernel -= before->kernel;
	m->anonymous -= before->anonymous;
	m->reserved -= before->reserved;
	m->heap -= before->heap;
	m->heaps -= before->heaps;
}

/* Something small, in each of the ways. */
static void leak(void)
{
	void *volatile kept;

	for (int i = 0; i < AT_ONCE; i++)
		CHECK(kept = malloc(1));
	for (int i = 0; i < AT_ONCE * KERNEL_LEAKS; i++)
		CHECK(eventfd(0, EFD_CLOEXEC) >= 0);
}

/* What the cycles cost for good. */
static struct memory slope(unsigned int cycles, bool leaks)
{
	const rlim_t most = KERNEL_LEAKS * AT_ONCE * cycles + 100;
	const struct rlimit files = { most, most };
	struct memory before, after;
	struct lib_crowd c;
	uint64_t start;

	CHECK(!leaks || !setrlimit(RLIMIT_NOFILE, &files));
	lib_crowd_new(&c, PEERS);
	for (int i = 0; i < PEERS; i++) {
		c.s[i].shared->per_grant = 1;
		c.s[i].shared->leaks = leaks ? AT_ONCE : 0;
	}
	lib_crowd_begin(&c, LENGTH, 0, BUDGET_MS);
	for (unsigned int i = 0; i < WARM_UP; i++)
		cycle(&c, i);
	before = memory_now(&c);
	start = now_ns();
	for (unsigned int i = 0; i < cycles; i++) {
		cycle(&c, i);
		if (leaks)
			leak();
	}
	fprintf(stderr, "%.1f ms for each of %u cycles%s\n", (now_ns() - start) / 1e6 / cycles,
		cycles, leaks ? " that leak" : "");
	after = memory_now(&c);
	subtract(&after, &before);
	fprintf(stderr,
		"KiB: kernel %ld, anonymous %ld, addresses %ld; bytes: heap %ld, of peers %ld\n",
		after.kernel, after.anonymous, after.reserved, after.heap, after.heaps);
	lib_crowd_check(&c, 0);
	lib_crowd_end(&c);
	return after;
}

/*
 * Proves: recalling two peers of other processes, giving the lease back, taking it
 * again and granting again leave nothing behind, in any of the three or in the kernel.
 */
static void cycles__memory_is_flat(const void *cycles)
{
	struct memory cost = slope(*(const unsigned int *)cycles, false);

	CHECK(cost.kernel < KERNEL_MAX_KIB);
	CHECK(cost.anonymous < ANONYMOUS_MAX_KIB);
	CHECK(cost.reserved < RESERVED_MAX_KIB);
	CHECK(cost.heap < HEAP_MAX);
	CHECK(cost.heaps < HEAP_MAX);
}

/*
 * Control: it would be seen if each cycle left the smallest piece of a heap, here or
 * in the peers, or a few small objects in the kernel, here eventfds.
 */
static void lib_cycles__600_leaks__are_found_out(const void *unused)
{
	struct memory cost = slope(some / AT_ONCE, true);

	(void)unused;
	CHECK(cost.kernel > KERNEL_MAX_KIB);
	CHECK(cost.heap > HEAP_MAX);
	CHECK(cost.heaps > HEAP_MAX);
}

static const struct suite_case cases[] = {
	{ "lib_cycles__600__memory_is_flat", cycles__memory_is_flat, &some, SUITE_LONG },
	SUITE_CASE_LONG(lib_cycles__600_leaks__are_found_out),
	{ "lib_cycles__10000__memory_is_flat", cycles__memory_is_flat, &many, SUITE_EXTRA },
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
