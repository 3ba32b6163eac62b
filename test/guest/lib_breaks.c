// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What a break looks like through the library, for every kind of breaker. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "lib_holder.h"
#include "ops.h"
#include "suite.h"

#define KEPT_BYTE 0x33
#define NEW_BYTE 0x44

struct way {
	file_op op;
	enum md_reason reason;
	size_t changed; /* bytes that are zeroes afterwards, from OPS_INSIDE on */
	bool reflink;
};

static void check_break(struct lib *l, struct breaker *b, const struct way *way)
{
	uint64_t generation = md_map_generation(l->map);
	struct md_event ev = lib_next(l, MD_EVENT_BREAK);

	CHECK_EQ(ev.generation, generation);
	CHECK_EQ(ev.reason, way->reason);
	CHECK_EQ(ev.breaker_pid, b->pid);
	CHECK(!strcmp(ev.breaker_comm, BREAKER_COMM));
	CHECK(ev.timeline.broken && ev.timeline.broken <= ev.timeline.noticed);
	CHECK(ev.timeline.noticed <= ev.timeline.told);
	CHECK(!ev.timeline.released);

	ev = lib_next(l, MD_EVENT_RELEASED);
	CHECK_EQ(ev.generation, generation);
	CHECK_EQ(ev.reason, way->reason);
	CHECK_EQ(ev.breaker_pid, b->pid);
	lib_check_timeline(&ev.timeline);
	CHECK(!ev.timeline.fenced && !ev.timeline.restored);

	ev = lib_next(l, MD_EVENT_RESTORED);
	CHECK(ev.generation > generation);
	CHECK_EQ(ev.generation, md_map_generation(l->map));
	lib_check_timeline(&ev.timeline);
	CHECK(ev.timeline.restored);
	/* A breaker that finds the new lease breaks that, too. */
	CHECK(md_map_state(l->map) == MD_MAP_LIVE || lib_has_event(l, SUITE_WAIT_MS));
}

static void check_breaks(struct lib *l, struct breaker *b, const struct way *way)
{
	do {
		check_break(l, b, way);
	} while (lib_broken_again(l, b));
	breaker_finish(b, SUITE_WAIT_MS);
}

/* What the breaker left is in the file, and in the map. */
static void check_content(struct lib *l, const struct way *way)
{
	const off_t end = OPS_FROM + OPS_LENGTH, after = OPS_INSIDE + way->changed;

	CHECK_EQ(bytes_not(l->file.path, OPS_FROM, OPS_INSIDE - OPS_FROM, KEPT_BYTE), 0);
	CHECK_EQ(bytes_not(l->file.path, OPS_INSIDE, way->changed, 0), 0);
	CHECK_EQ(bytes_not(l->file.path, after, end - after, KEPT_BYTE), 0);
	for (off_t at = OPS_FROM; at < end; at += LIB_PAGE) {
		const char *page = (char *)md_map_addr(l->map) + at - OPS_FROM;
		bool changed = at >= (off_t)OPS_INSIDE && at < after;

		CHECK_EQ(page[1], changed ? 0 : KEPT_BYTE);
	}
}

static void write_ends(struct lib *l, char value)
{
	lib_write(l, 0, value);
	lib_write(l, OPS_INSIDE - OPS_FROM, value);
	lib_write(l, OPS_LENGTH - LIB_PAGE, value);
}

static void check_ends(struct lib *l, char value)
{
	const char *path = l->file.path;

	CHECK_EQ(bytes_not(path, OPS_FROM, LIB_PAGE, value), 0);
	CHECK_EQ(bytes_not(path, OPS_INSIDE, LIB_PAGE, value), 0);
	CHECK_EQ(bytes_not(path, OPS_FROM + OPS_LENGTH - LIB_PAGE, LIB_PAGE, value), 0);
}

static void take(struct lib *l, const char *fs, uint32_t flags)
{
	*l = (struct lib){ .ctx = lib_context(flags, 0, 0) };
	holder_file(&l->file, fs, "leased", OPS_FILE_SIZE);
	lib_take(l, OPS_FROM, OPS_LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	memset(md_map_addr(l->map), KEPT_BYTE, OPS_LENGTH);
	CHECK_MD(!md_persist(l->map, 0, OPS_LENGTH));
	write_ends(l, KEPT_BYTE);
}

static void break_once(const char *fs, uint32_t flags, const struct way *way)
{
	struct breaker b;
	struct lib l;
	uint32_t rkey;

	suite_context("on %s, %s", fs, flags ? "no thread" : "with a thread");
	take(&l, fs, flags);
	CHECK(!lib_has_event(&l, 0));
	rkey = l.mr->rkey;
	breaker_start(&b, way->op, l.file.path);
	check_breaks(&l, &b, way);
	CHECK(l.mr->rkey != rkey);
	check_content(&l, way);
	write_ends(&l, NEW_BYTE);
	check_ends(&l, NEW_BYTE);
	lib_drop(&l);
	CHECK(!unlink(l.file.path));
}

/*
 * Proves: this breaker is told truly, gets its way, and costs neither the
 * connection nor a byte that it did not change itself; region and queue pair
 * serve the new lease.
 */
static void break_restored(const void *arg)
{
	const struct way *way = arg;

	for (unsigned int i = way->reflink; i < 2; i++) {
		break_once(suite_fs[i], 0, way);
		break_once(suite_fs[i], MD_OPEN_NO_THREAD, way);
	}
}

/* Proves: what moves no block goes through, and no event comes of it. */
static void no_break(const void *arg)
{
	const file_op *op = arg;

	for (unsigned int i = 0; i < 2; i++) {
		struct breaker b;
		struct lib l;
		uint64_t generation;

		take(&l, suite_fs[i], i ? MD_OPEN_NO_THREAD : 0);
		generation = md_map_generation(l.map);
		breaker_start(&b, *op, l.file.path);
		breaker_finish(&b, SUITE_WAIT_MS);
		CHECK(!lib_has_event(&l, 20));
		CHECK_EQ(md_map_generation(l.map), generation);
		write_ends(&l, NEW_BYTE);
		lib_drop(&l);
	}
}

/*
 * Proves: a breaker that finds the lease taken again when it wakes up is not
 * left waiting, although the kernel tells no lease of who has waited already.
 */
static void lib_write__restored_before_breaker_wakes__told_again(const void *unused)
{
	const struct way way = { .op = write_inside, .reason = MD_REASON_LAYOUT };
	struct md_event *ev;
	struct breaker b;
	struct lib l;

	(void)unused;
	child_schedule(SCHED_FIFO);
	take(&l, suite_fs[0], MD_OPEN_NO_THREAD);
	breaker_start(&b, way.op, l.file.path);
	ev = lib_fetch(&l, MD_EVENT_BREAK);
	CHECK(breaker_waits(&b, 50));
	md_ack_event(ev);
	while (md_map_state(l.map) != MD_MAP_LIVE)
		CHECK_MD(!md_process(l.ctx));
	child_schedule(SCHED_OTHER);
	lib_next(&l, MD_EVENT_RELEASED);
	lib_next(&l, MD_EVENT_RESTORED);
	check_breaks(&l, &b, &way);
	lib_drop(&l);
}

struct own {
	struct lib *l;
	const struct way *way;
	atomic_int ended; /* 1: well, -1: not */
};

static void *break_in_thread(void *arg)
{
	struct own *own = arg;

	atomic_store(&own->ended, own->way->op(own->l->file.path) ? -1 : 1);
	return NULL;
}

/* Events of one break and its restore, until the thread is through. */
static unsigned int carry_out_breaks(struct own *own)
{
	unsigned int breaks = 0;

	do {
		if (!lib_has_event(own->l, 10))
			continue;
		CHECK_EQ(lib_next(own->l, MD_EVENT_BREAK).breaker_pid, getpid());
		lib_next(own->l, MD_EVENT_RELEASED);
		lib_next(own->l, MD_EVENT_RESTORED);
		breaks++;
	} while (!atomic_load(&own->ended));
	return breaks;
}

/*
 * Proves: the application may change its own leased file, from any thread but
 * the one that is to carry out the break, and is told of itself.
 */
static void lib_break__by_own_thread__restored(const void *unused)
{
	static const struct way ways[] = {
		{ cut_and_extend, MD_REASON_TRUNCATE, OPS_FROM + OPS_LENGTH - OPS_INSIDE, false },
		{ write_inside, MD_REASON_LAYOUT, OPS_WRITTEN, false },
	};

	(void)unused;
	for (unsigned int i = 0; i < 4; i++) {
		struct lib l;
		struct own own = { .l = &l, .way = &ways[i % 2] };
		pthread_t thread;

		suite_context("round %u", i);
		take(&l, suite_fs[0], i / 2 ? MD_OPEN_NO_THREAD : 0);
		CHECK_EQ(pthread_create(&thread, NULL, break_in_thread, &own), 0);
		CHECK(carry_out_breaks(&own) > 0);
		CHECK_EQ(pthread_join(thread, NULL), 0);
		CHECK_EQ(own.ended, 1);
		check_content(&l, own.way);
		write_ends(&l, NEW_BYTE);
		lib_drop(&l);
		CHECK(!unlink(l.file.path));
	}
}

#define BREAKS(fn, why, bytes, only_reflink)                                                       \
	{                                                                                          \
		.name = "lib_" #fn "__mapped__restored", .run = break_restored,                    \
		.arg = &(const struct way)                                                         \
		{                                                                                  \
			fn, MD_REASON_##why, bytes, only_reflink                                   \
		}                                                                                  \
	}
#define BREAKS_NOT(fn)                                                                             \
	{                                                                                          \
		.name = "lib_" #fn "__mapped__does_not_break", .run = no_break,                    \
		.arg = &(const file_op)                                                            \
		{                                                                                  \
			fn                                                                         \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	BREAKS(truncate_outside, TRUNCATE, 0, false),
	BREAKS(cut_and_extend, TRUNCATE, OPS_FROM + OPS_LENGTH - OPS_INSIDE, false),
	BREAKS(punch_inside, TRUNCATE, OPS_CHANGED, false),
	BREAKS(punch_outside, TRUNCATE, 0, false),
	BREAKS(zero_inside, TRUNCATE, OPS_CHANGED, false),
	BREAKS(truncate_up, TRUNCATE, 0, false),
	BREAKS(allocate_beyond, TRUNCATE, 0, false),
	BREAKS(write_inside, LAYOUT, OPS_WRITTEN, false),
	BREAKS(write_outside, LAYOUT, 0, false),
	BREAKS(write_beyond, LAYOUT, 0, false),
	BREAKS(reflink_from, LAYOUT, 0, true),
	BREAKS(reflink_onto, LAYOUT, OPS_CHANGED, true),
	BREAKS_NOT(do_unlink),
	BREAKS_NOT(do_rename),
	BREAKS_NOT(do_chmod),
	BREAKS_NOT(do_fsync),
	BREAKS_NOT(do_read),
	SUITE_CASE(lib_write__restored_before_breaker_wakes__told_again),
	SUITE_CASE(lib_break__by_own_thread__restored),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
