// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What breaks a lease, and how: every way to move blocks, on both file systems. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "holder.h"
#include "knob.h"
#include "ops.h"
#include "rdma.h"
#include "suite.h"

struct way {
	file_op op;
	enum mapdirect_reason reason;
	bool reflink;
};

/*
 * The deadline is lease-break-time after the notice; a jiffy is lost in the
 * conversion, and the work item between notice and lm_break may be late.
 */
static void check_deadline(const struct mapdirect_event *ev, double seconds)
{
	double left = (double)(int64_t)(ev->deadline_ns - ev->time_ns) / 1e9;

	if (left < seconds - 0.1 || left > seconds + 2)
		suite_fail(__FILE__, __LINE__, "the deadline is %.3f s away, not %.3f", left,
			   seconds);
}

static void check_break_event(struct holder *h, struct breaker *b, enum mapdirect_reason reason)
{
	struct mapdirect_event ev;

	holder_event(h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	CHECK_EQ(ev.reason, reason);
	CHECK_EQ(ev.breaker_pid, b->pid);
	CHECK(!strcmp(ev.breaker_comm, BREAKER_COMM));
	check_deadline(&ev, knob_get(KNOB_LEASE_BREAK_TIME));
}

/* Nothing more to read: the end of the lease, and of its events. */
static void check_no_more_events(struct holder *h)
{
	struct pollfd p = { .fd = h->lease, .events = POLLIN };
	struct mapdirect_event ev;

	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLHUP);
	CHECK_EQ(read(h->lease, &ev, sizeof(ev)), 0);
}

static void break_once(const char *fs, const struct way *way)
{
	struct holder h;
	struct breaker b;
	struct ibv_mr *mr;
	struct rdma r;

	suite_context("on %s", fs);
	rdma_open(&r);
	holder_file(&h, fs, "leased", OPS_FILE_SIZE);
	holder_take(&h, OPS_FROM, OPS_LENGTH);
	mr = rdma_reg(&r, h.map, h.length);
	CHECK(mr);
	CHECK(!holder_has_event(&h));
	breaker_start(&b, way->op, h.path);
	check_break_event(&h, &b, way->reason);
	CHECK(touch(h.map));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_BREAKING);
	holder_release_busy(&h);
	CHECK(!touch(h.map));
	CHECK(!touch(h.map + h.length - 1));
	CHECK(breaker_waits(&b, 50));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASING);
	CHECK_EQ(holder_status(&h).foreign_pages, h.length / 4096);
	CHECK(!holder_has_event(&h));
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_RELEASED);
	CHECK_EQ(holder_status(&h).pages, 0);
	check_no_more_events(&h);
	CHECK(!close(h.lease));
	CHECK(!unlink(h.path));
	rdma_close(&r);
}

/*
 * Proves: this breaker is reported once, truly, and waits until the region is
 * deregistered and the lease released, then succeeds.
 */
static void break_waits(const void *arg)
{
	const struct way *way = arg;

	for (unsigned int i = way->reflink; i < 2; i++)
		break_once(suite_fs[i], way);
}

/*
 * Proves: an operation that moves no block of the file goes through without
 * waiting, and the lease stays and says nothing.
 */
static void no_break(const void *arg)
{
	const file_op *op = arg;

	for (unsigned int i = 0; i < 2; i++) {
		struct holder h;
		struct breaker b;
		struct rdma r;
		struct ibv_mr *mr;

		suite_context("on %s", suite_fs[i]);
		rdma_open(&r);
		holder_file(&h, suite_fs[i], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		mr = rdma_reg(&r, h.map, h.length);
		CHECK(mr);
		breaker_start(&b, *op, h.path);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!holder_has_event(&h));
		CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
		CHECK_EQ(holder_status(&h).reason, 0);
		CHECK(touch(h.map));
		CHECK_EQ(ibv_dereg_mr(mr), 0);
		CHECK_EQ(holder_release(&h), 0);
		rdma_close(&r);
	}
}

/* Proves: a file that never had a name is leased and broken like any other. */
static void tmpfile__leased__waits_for_release(const void *unused)
{
	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct holder h = { .fd = open(suite_fs[i], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) };
		struct breaker b;

		suite_context("on %s", suite_fs[i]);
		CHECK(h.fd >= 0);
		CHECK_EQ(posix_fallocate(h.fd, 0, OPS_FILE_SIZE), 0);
		snprintf(h.path, sizeof(h.path), "/proc/%d/fd/%d", getpid(), h.fd);
		holder_anchor(&h, OPS_FROM, OPS_LENGTH);
		CHECK(!madvise(h.anchor, h.length, MADV_POPULATE_WRITE));
		CHECK(!munmap(h.anchor, h.length));
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		breaker_start(&b, truncate_inside, h.path);
		check_break_event(&h, &b, MAPDIRECT_REASON_TRUNCATE);
		CHECK(touch(h.map));
		CHECK(breaker_waits(&b, 50));
		CHECK_EQ(holder_release(&h), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!close(h.lease) && !close(h.fd));
	}
}

struct own {
	file_op op;
	const char *path;
};

static void *break_in_thread(void *arg)
{
	const struct own *own = arg;

	return (void *)(long)own->op(own->path);
}

/* Proves: nobody is exempt, the holder may write to its own file, or cut it. */
static void break__by_thread_of_holder__is_one(const void *unused)
{
	static const file_op ops[] = { write_inside, truncate_inside, punch_inside };

	(void)unused;
	for (unsigned int i = 0; i < 3; i++) {
		struct mapdirect_event ev;
		struct holder h;
		struct own own = { ops[i], h.path };
		pthread_t thread;
		void *failed;

		suite_context("operation %u", i);
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		CHECK_EQ(pthread_create(&thread, NULL, break_in_thread, &own), 0);
		holder_event(&h, &ev);
		CHECK_EQ(ev.breaker_pid, getpid());
		CHECK_EQ(holder_release(&h), 0);
		CHECK_EQ(pthread_join(thread, &failed), 0);
		CHECK(!failed);
	}
}

/* Less than a huge page of it would be split first, which is a zap. */
#define PART (2 * MIB)

static void unmap_part(struct holder *h)
{
	CHECK(!munmap(h->anchor + h->length - PART, PART));
}

static void map_another_over_part(struct holder *h)
{
	CHECK(mmap(h->anchor, PART, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
	      h->anchor);
}

static void move_part(struct holder *h)
{
	CHECK(mremap(h->anchor, PART, PART, MREMAP_MAYMOVE | MREMAP_FIXED, h->anchor + h->length) ==
	      h->anchor + h->length);
}

static void move_all(struct holder *h)
{
	char *to = mmap(NULL, h->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(to != MAP_FAILED);
	CHECK(mremap(h->anchor, h->length, h->length, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
}

/*
 * Proves: whatever takes the anchor, or a part of it, from its place is a
 * break by the holder itself.
 */
static void anchor__taken_away__breaks(const void *unused)
{
	static void (*const ways[])(struct holder * h) = { unmap_part, map_another_over_part,
							   move_part, move_all };

	(void)unused;
	for (unsigned int i = 0; i < 4; i++) {
		struct mapdirect_event ev;
		struct holder h;

		suite_context("way %u", i);
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		ways[i](&h);
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK_EQ(ev.reason, MAPDIRECT_REASON_UNMAP);
		CHECK_EQ(ev.breaker_pid, getpid());
		check_deadline(&ev, knob_get(KNOB_LEASE_BREAK_TIME));
		CHECK_EQ(holder_release(&h), 0);
	}
}

/* Inside of a huge page of the anchor. */
#define WITHIN (MIB + 4096)

static void protect_within(struct holder *h)
{
	CHECK(!mprotect(h->anchor + WITHIN, 4096, PROT_READ));
}

static void unmap_within(struct holder *h)
{
	CHECK(!munmap(h->anchor + WITHIN, 4096));
}

static void drop_within(struct holder *h)
{
	CHECK(!madvise(h->anchor + WITHIN, 4096, MADV_DONTNEED));
}

static void drop_part(struct holder *h)
{
	CHECK(!madvise(h->anchor, PART, MADV_DONTNEED));
}

/*
 * Proves: what the holder does to its anchor that looks like a truncate is
 * reported as one, once, by the holder; nothing hangs, no byte is lost.
 */
static void anchor__split_or_dropped__looks_like_truncate(const void *unused)
{
	static void (*const ways[])(struct holder * h) = { protect_within, unmap_within,
							   drop_within, drop_part };

	(void)unused;
	for (unsigned int i = 0; i < 4; i++) {
		struct mapdirect_event ev;
		struct breaker b;
		struct holder h;

		suite_context("way %u", i);
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		memset(h.map, 1, h.length);
		ways[i](&h);
		holder_event(&h, &ev);
		CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
		CHECK_EQ(ev.reason, MAPDIRECT_REASON_TRUNCATE);
		CHECK_EQ(ev.breaker_pid, getpid());
		check_deadline(&ev, knob_get(KNOB_LEASE_BREAK_TIME));
		CHECK(touch(h.map + WITHIN));
		CHECK_EQ(holder_release(&h), 0);
		check_no_more_events(&h);
		CHECK_EQ(bytes_not(h.path, OPS_FROM, OPS_LENGTH, 1), 0);
		breaker_start(&b, truncate_inside, h.path);
		breaker_finish(&b, SUITE_WAIT_MS);
	}
}

static void *punch_by_anchor(void *arg)
{
	struct holder *h = arg;

	return (void *)(long)madvise(h->anchor + MIB, MIB, MADV_REMOVE);
}

/* Proves: MADV_REMOVE, which punches the file, waits for the lease as fallocate does. */
static void anchor__removed__waits_for_release(const void *unused)
{
	struct mapdirect_event ev;
	struct holder h;
	pthread_t thread;
	void *failed;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
	holder_take(&h, OPS_FROM, OPS_LENGTH);
	memset(h.map, 1, h.length);
	CHECK_EQ(pthread_create(&thread, NULL, punch_by_anchor, &h), 0);
	holder_event(&h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	CHECK_EQ(ev.reason, MAPDIRECT_REASON_TRUNCATE);
	CHECK_EQ(ev.breaker_pid, getpid());
	poll(NULL, 0, 300);
	CHECK_EQ(pthread_tryjoin_np(thread, &failed), EBUSY);
	CHECK_EQ(h.map[MIB], 1);
	CHECK_EQ(holder_release(&h), 0);
	CHECK_EQ(pthread_join(thread, &failed), 0);
	CHECK(!failed);
	CHECK_EQ(bytes_not(h.path, OPS_FROM + MIB, MIB, 0), 0);
	CHECK_EQ(bytes_not(h.path, OPS_FROM, MIB, 1), 0);
}

/* Proves: an anchor in several pieces, of different rights, does its service. */
static void anchor__split_by_mprotect__still_tells(const void *unused)
{
	struct holder h;
	struct breaker b;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
	holder_take(&h, OPS_FROM, OPS_LENGTH);
	CHECK(!mprotect(h.anchor, PART, PROT_READ));
	CHECK(!holder_has_event(&h));
	CHECK(!mprotect(h.anchor + PART, PART, PROT_NONE));
	CHECK(!holder_has_event(&h));
	CHECK_EQ(holder_status(&h).state, MAPDIRECT_STATE_LIVE);
	breaker_start(&b, truncate_inside, h.path);
	check_break_event(&h, &b, MAPDIRECT_REASON_TRUNCATE);
	CHECK(breaker_waits(&b, 50));
	CHECK_EQ(holder_release(&h), 0);
	breaker_finish(&b, SUITE_WAIT_MS);
}

/*
 * Proves: a break that has begun keeps its deadline when lease-break-time is
 * changed; the next one has the new.
 */
static void deadline__changed_in_a_break__is_for_the_next(const void *unused)
{
	static const unsigned int times[] = { 1, 60 };

	(void)unused;
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct holder h;
		struct breaker b;

		suite_context("from %u s", times[i]);
		knob_set(KNOB_LEASE_BREAK_TIME, times[i]);
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		breaker_start(&b, truncate_inside, h.path);
		check_break_event(&h, &b, MAPDIRECT_REASON_TRUNCATE);
		knob_set(KNOB_LEASE_BREAK_TIME, times[1 - i]);
		if (times[i] == 1) {
			holder_event(&h, &ev);
			CHECK_EQ(ev.type, MAPDIRECT_EVENT_REVOKED);
		} else {
			CHECK(breaker_waits(&b, 2500));
			CHECK(!holder_has_event(&h));
			CHECK_EQ(holder_release(&h), 0);
		}
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!close(h.lease));
		holder_file(&h, suite_fs[0], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		breaker_start(&b, truncate_inside, h.path);
		check_break_event(&h, &b, MAPDIRECT_REASON_TRUNCATE);
		CHECK_EQ(holder_release(&h), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
	}
}

/* Proves: the module's own limit rules when lease-break-time is 0 or longer. */
static void deadline__capped__is_the_cap(const void *unused)
{
	static const unsigned int times[] = { 0, 100 };

	(void)unused;
	knob_set(KNOB_BREAK_CAP, 30000);
	for (unsigned int i = 0; i < 2; i++) {
		struct mapdirect_event ev;
		struct holder h;
		struct breaker b;

		knob_set(KNOB_LEASE_BREAK_TIME, times[i]);
		holder_file(&h, suite_fs[i], "leased", OPS_FILE_SIZE);
		holder_take(&h, OPS_FROM, OPS_LENGTH);
		breaker_start(&b, write_inside, h.path);
		holder_event(&h, &ev);
		check_deadline(&ev, 30);
		CHECK_EQ(holder_release(&h), 0);
		breaker_finish(&b, SUITE_WAIT_MS);
	}
}

#define BREAKS(fn, why)                                                                            \
	{                                                                                          \
		.name = #fn "__leased__waits_for_release", .run = break_waits,                     \
		.arg = &(const struct way)                                                         \
		{                                                                                  \
			.op = fn, .reason = MAPDIRECT_REASON_##why                                 \
		}                                                                                  \
	}
#define BREAKS_REFLINK(fn)                                                                         \
	{                                                                                          \
		.name = #fn "__leased__waits_for_release", .run = break_waits,                     \
		.arg = &(const struct way)                                                         \
		{                                                                                  \
			fn, MAPDIRECT_REASON_LAYOUT, true                                          \
		}                                                                                  \
	}
#define BREAKS_NOT(fn)                                                                             \
	{                                                                                          \
		.name = #fn "__leased__does_not_break", .run = no_break, .arg = &(const file_op)   \
		{                                                                                  \
			fn                                                                         \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	BREAKS(truncate_inside, TRUNCATE),
	BREAKS(truncate_outside, TRUNCATE),
	BREAKS(truncate_up, TRUNCATE),
	BREAKS(open_trunc, TRUNCATE),
	BREAKS(punch_inside, TRUNCATE),
	BREAKS(punch_outside, TRUNCATE),
	BREAKS(zero_inside, TRUNCATE),
	BREAKS(collapse_inside, TRUNCATE),
	BREAKS(insert_inside, TRUNCATE),
	BREAKS(unshare_inside, TRUNCATE),
	BREAKS(allocate_beyond, TRUNCATE),
	BREAKS(write_inside, LAYOUT),
	BREAKS(write_outside, LAYOUT),
	BREAKS(write_beyond, LAYOUT),
	BREAKS_REFLINK(reflink_from),
	BREAKS_REFLINK(reflink_onto),
	BREAKS_REFLINK(copy_onto),
	BREAKS_REFLINK(dedupe_from),
	BREAKS_REFLINK(dedupe_onto),
	BREAKS_NOT(do_unlink),
	BREAKS_NOT(do_rename),
	BREAKS_NOT(do_chmod),
	BREAKS_NOT(do_fsync),
	BREAKS_NOT(do_read),
	BREAKS_NOT(do_store),
	BREAKS_NOT(do_msync),
	BREAKS_NOT(do_drop_caches),
	SUITE_CASE(tmpfile__leased__waits_for_release),
	SUITE_CASE(break__by_thread_of_holder__is_one),
	SUITE_CASE(anchor__taken_away__breaks),
	SUITE_CASE(anchor__split_or_dropped__looks_like_truncate),
	SUITE_CASE(anchor__removed__waits_for_release),
	SUITE_CASE(anchor__split_by_mprotect__still_tells),
	SUITE_CASE(deadline__capped__is_the_cap),
	SUITE_CASE(deadline__changed_in_a_break__is_for_the_next),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
