// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Giving a lease back by choice, in a break, and for good. */
#include <fcntl.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "knob.h"
#include "lib_holder.h"
#include "ops.h"
#include "suite.h"

#define LONG_MS 10000
#define LIMIT_MS 300
/* Of a lease-break-time of 1 s. */
#define PAST_DEADLINE_US 3000000
#define LOSS_TRIES 20
#define BYTE 0x55

static void take(struct lib *l, uint32_t flags, uint32_t drain_ms, uint32_t restore_ms,
		 uint32_t map_flags)
{
	*l = (struct lib){ .ctx = lib_context(flags, drain_ms, restore_ms) };
	holder_file(&l->file, suite_fs[0], "leased", OPS_FILE_SIZE);
	lib_take(l, OPS_FROM, OPS_LENGTH, map_flags);
}

static void break_unhindered(struct lib *l, file_op op)
{
	struct breaker b;

	breaker_start(&b, op, l->file.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!lib_has_event(l, 0));
}

static void release_and_restore(uint32_t flags)
{
	struct md_event ev;
	struct lib l;

	take(&l, flags, LONG_MS, 0, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	lib_write(&l, 0, BYTE);
	CHECK_MD(!md_release(l.map));
	CHECK_ERRNO(md_map_get(l.map), EAGAIN);
	ev = lib_next(&l, MD_EVENT_BREAK);
	CHECK_EQ(ev.reason, MD_REASON_RELEASE);
	CHECK_EQ(ev.breaker_pid, 0);
	ev = lib_next(&l, MD_EVENT_RELEASED);
	CHECK_EQ(ev.reason, MD_REASON_RELEASE);
	CHECK(ev.timeline.released && !ev.timeline.deadline);
	CHECK(!lib_has_event(&l, 100));
	CHECK_EQ(md_map_state(l.map), MD_MAP_RELEASED);
	CHECK(!touch(md_map_addr(l.map)));
	break_unhindered(&l, truncate_up);
	CHECK_MD(!md_restore(l.map));
	lib_next(&l, MD_EVENT_RESTORED);
	CHECK_EQ(*(char *)md_map_addr(l.map), BYTE);
	lib_write(&l, LIB_PAGE, BYTE);
	lib_drop(&l);
	CHECK(!unlink(l.file.path));
}

/* Proves: what was given back by choice stays so until it is asked back. */
static void lib_release__live__stays_until_restore(const void *unused)
{
	(void)unused;
	release_and_restore(0);
	release_and_restore(MD_OPEN_NO_THREAD);
}

/* Proves: nothing is torn from under somebody who still has a part of it. */
static void lib_unmap__in_use__ebusy(const void *unused)
{
	struct md_event *ev;
	struct lib l;

	(void)unused;
	take(&l, 0, LONG_MS, 0, 0);
	CHECK_ERRNO(md_close(l.ctx), EBUSY);
	CHECK_ERRNO(md_unmap(l.map), EBUSY);
	CHECK_MD(!md_dereg_mr(l.mr));
	CHECK_ERRNO(md_unmap(l.map), EBUSY);
	CHECK_MD(!md_detach_qp(l.map, l.far.qp));
	CHECK_MD(!md_map_get(l.map));
	CHECK_ERRNO(md_unmap(l.map), EBUSY);
	md_map_put(l.map);
	CHECK_MD(!md_release(l.map));
	ev = lib_fetch(&l, MD_EVENT_BREAK);
	CHECK_ERRNO(md_unmap(l.map), EBUSY);
	md_ack_event(ev);
	CHECK_MD(!md_unmap(l.map));
	CHECK_MD(!md_close(l.ctx));
}

static bool is_breaking(void *map)
{
	return md_map_state(map) == MD_MAP_BREAKING;
}

/* Proves: unmapping ends a break that nobody has answered, at once. */
static void lib_unmap__in_break__ends_it(const void *unused)
{
	struct breaker b;
	struct lib l;

	(void)unused;
	take(&l, 0, LONG_MS, 0, MD_MAP_RESTORE);
	breaker_start(&b, punch_inside, l.file.path);
	CHECK(wait_until(is_breaking, l.map, SUITE_WAIT_MS));
	lib_drop(&l);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(breaker_seconds(&b) < LONG_MS / 2000.0);
}

/* Proves: to unmap what others still pin is no break, for which this process would be killed. */
static void lib_unmap__others_pin__holder_lives(const void *unused)
{
	char text[LIB_PAGE];
	struct iovec page;
	struct breaker b;
	struct lib l;
	int held[2];

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, 1);
	take(&l, 0, 0, 0, MD_MAP_RESTORE);
	lib_write(&l, 0, BYTE);
	CHECK(!pipe2(held, O_CLOEXEC));
	page = (struct iovec){ md_map_addr(l.map), LIB_PAGE };
	CHECK_EQ(vmsplice(held[1], &page, 1, 0), (ssize_t)LIB_PAGE);
	lib_drop(&l);
	usleep(PAST_DEADLINE_US);
	CHECK(holder_exists(NULL));
	CHECK_EQ(read(held[0], text, LIB_PAGE), (ssize_t)LIB_PAGE);
	CHECK_EQ(text[LIB_PAGE - 1], BYTE);
	breaker_start(&b, punch_inside, l.file.path);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!holder_exists(NULL));
}

/* Proves: a use that is not put in time loses its memory, and nothing is restored under it. */
static void lib_use__open_past_budget__holds_restore_back(const void *unused)
{
	struct md_event ev;
	struct breaker b;
	struct lib l;

	(void)unused;
	take(&l, 0, 100, 0, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	CHECK_MD(!md_map_get(l.map));
	breaker_start(&b, punch_inside, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	ev = lib_next(&l, MD_EVENT_QP_FENCED);
	CHECK_EQ(ev.reason, MD_REASON_BUDGET);
	lib_next(&l, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!touch(md_map_addr(l.map)));
	CHECK_ERRNO(md_persist(l.map, 0, LIB_PAGE), EAGAIN);
	CHECK(!lib_has_event(&l, 300));
	md_map_put(l.map);
	lib_next(&l, MD_EVENT_RESTORED);
	CHECK(touch(md_map_addr(l.map)));
	lib_drop(&l);
}

/*
 * A breaker who comes too late to the inode's lock finds the next lease. 0: the
 * map is live for good, as a hole may come just while its pages are faulted in.
 */
static uint64_t last_release(struct lib *l, struct breaker *b)
{
	uint64_t released = lib_next(l, MD_EVENT_RELEASED).timeline.released;

	while (lib_has_event(l, SUITE_WAIT_MS) && l->ahead->type == MD_EVENT_RESTORED) {
		lib_next(l, MD_EVENT_RESTORED);
		if (!lib_broken_again(l, b))
			return 0;
		lib_next(l, MD_EVENT_BREAK);
		released = lib_next(l, MD_EVENT_RELEASED).timeline.released;
	}
	return released;
}

static void check_lost(struct lib *l, uint64_t released, int err, const char *says)
{
	struct md_event ev = lib_next(l, MD_EVENT_LOST);
	uint64_t now = now_ns();

	CHECK_EQ(ev.error, err);
	if (!strstr(ev.message, says))
		suite_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", ev.message, says);
	CHECK(now - released >= LIMIT_MS * 1000000ULL);
	CHECK(now - released < LONG_MS * 1000000ULL);
	CHECK_EQ(md_map_state(l->map), MD_MAP_LOST);
	CHECK_ERRNO(md_map_get(l->map), ESTALE);
	CHECK_ERRNO(md_persist(l->map, 0, LIB_PAGE), ESTALE);
	CHECK_NULL_ERRNO(md_reg_mr(l->far.pd, l->map, 0, LIB_PAGE, RDMA_ACCESS), ESTALE);
	CHECK_ERRNO(md_restore(l->map), ESTALE);
	CHECK_ERRNO(md_release(l->map), ESTALE);
}

struct loss {
	file_op op;
	int error;
	const char *says;
	uint32_t map_flags;
};

static bool lose(const struct loss *loss, uint32_t flags)
{
	struct breaker b;
	struct lib l;
	uint64_t released;

	take(&l, flags, 0, LIMIT_MS, MD_MAP_RESTORE | loss->map_flags);
	breaker_start(&b, loss->op, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	released = last_release(&l, &b);
	/* What is beyond the end of the file must never be leased. */
	CHECK(released || loss->error == ENODATA);
	if (released)
		check_lost(&l, released, loss->error, loss->says);
	breaker_finish(&b, SUITE_WAIT_MS);
	lib_drop(&l);
	CHECK(!unlink(l.file.path));
	return released;
}

/* Proves: a file that no longer fits is given up after the limit, with a reason. */
static void break__file_does_not_fit__lost(const void *arg)
{
	for (int i = 0; i < 2; i++) {
		int tries = 1;

		while (!lose(arg, i ? MD_OPEN_NO_THREAD : 0))
			CHECK(tries++ < LOSS_TRIES);
	}
}

/* Proves: a file that fits again within the limit is restored. */
static void lib_break__cut_and_extended_later__restored(const void *unused)
{
	struct breaker b;
	struct lib l;

	(void)unused;
	take(&l, 0, 0, LONG_MS, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	memset(md_map_addr(l.map), BYTE, OPS_LENGTH);
	CHECK_MD(!md_persist(l.map, 0, OPS_LENGTH));
	breaker_start(&b, truncate_inside, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	lib_next(&l, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	CHECK(!lib_has_event(&l, LIMIT_MS));
	CHECK(!ftruncate(l.file.fd, OPS_FILE_SIZE));
	lib_next(&l, MD_EVENT_RESTORED);
	CHECK_EQ(bytes_not(l.file.path, OPS_FROM, OPS_INSIDE - OPS_FROM, BYTE), 0);
	CHECK_EQ(bytes_not(l.file.path, OPS_INSIDE, OPS_FILE_SIZE - OPS_INSIDE, 0), 0);
	lib_write(&l, OPS_LENGTH - LIB_PAGE, BYTE);
	lib_drop(&l);
}

#define LOST(what, ...)                                                                            \
	{                                                                                          \
		.name = "lib_break__" what "__lost", .run = break__file_does_not_fit__lost,        \
		.arg = &(const struct loss)                                                        \
		{                                                                                  \
			__VA_ARGS__                                                                \
		}                                                                                  \
	}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_release__live__stays_until_restore),
	SUITE_CASE(lib_unmap__in_use__ebusy),
	SUITE_CASE(lib_unmap__in_break__ends_it),
	SUITE_CASE(lib_unmap__others_pin__holder_lives),
	SUITE_CASE(lib_use__open_past_budget__holds_restore_back),
	LOST("file_cut", truncate_inside, ENXIO, "the file ends at 3145728", MD_MAP_ALLOCATE),
	LOST("hole_not_to_be_filled", punch_inside, ENODATA, "were never written", 0),
	SUITE_CASE(lib_break__cut_and_extended_later__restored),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
