// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Maps of 2 GiB: how far they are, and what ends the wait for them. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#include "canary.h"
#include "child.h"
#include "large_file.h"
#include "lib_holder.h"
#include "meminfo.h"
#include "suite.h"

#define SMALL (4 * MIB)
#define MIDDLE (512 * MIB)

static int cancel;

static double seconds_since(uint64_t start)
{
	return (now_ns() - start) / 1e9;
}

static struct md_map *map_large(struct md_context *ctx, int fd)
{
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_PROGRESS,
		.cancel = &cancel,
		.user_data = &cancel,
	};

	return md_map(ctx, fd, 0, LARGE, &attr);
}

/* Another thread, which looks on. */
struct onlooker {
	pthread_t thread;
	struct md_context *ctx;
	uint64_t cancel_at; /* bytes */
	uint64_t cancelled; /* when, ns */
	unsigned int events;
	uint64_t done, total;
	uint64_t last, gap; /* when the last event came; longest time without, ns */
	atomic_bool stop;
};

static void look(struct onlooker *o, const struct md_event *ev)
{
	CHECK_EQ(ev->type, MD_EVENT_POPULATE);
	CHECK(!ev->map && ev->user_data == &cancel);
	CHECK(ev->done >= o->done && ev->total >= o->total && ev->done <= ev->total);
	o->events++;
	if (o->last && now_ns() - o->last > o->gap)
		o->gap = now_ns() - o->last;
	o->last = now_ns();
	o->done = ev->done;
	o->total = ev->total;
	if (!o->cancelled && ev->done >= o->cancel_at) {
		o->cancelled = now_ns();
		__atomic_store_n(&cancel, 1, __ATOMIC_RELEASE);
	}
}

static void *look_on(void *arg)
{
	struct onlooker *o = arg;
	struct md_event *ev;

	/* To the last event, also if it comes together with the end. */
	for (bool last = false; !last;) {
		last = atomic_load(&o->stop);
		while (!md_get_event(o->ctx, &ev, last ? 0 : 10)) {
			look(o, ev);
			md_ack_event(ev);
		}
	}
	return NULL;
}

static void onlooker_start(struct onlooker *o, struct md_context *ctx, uint64_t cancel_at)
{
	*o = (struct onlooker){ .ctx = ctx, .cancel_at = cancel_at };
	CHECK(!pthread_create(&o->thread, NULL, look_on, o));
}

static void onlooker_stop(struct onlooker *o)
{
	atomic_store(&o->stop, true);
	CHECK(!pthread_join(o->thread, NULL));
}

/* Proves: who looks on sees how far it is, to the end; a peer reaches all of it. */
static void lib_map__hole_of_2_gib__tells_how_far_it_is(const void *unused)
{
	const size_t at[] = { 0, LARGE / 2, LARGE - LIB_PAGE };
	struct onlooker o;
	uint64_t start;
	struct lib l;

	(void)unused;
	memset(&l, 0, sizeof(l));
	large_hole(&l.file, "leased");
	l.ctx = lib_context(0, 0, 0);
	onlooker_start(&o, l.ctx, UINT64_MAX);
	start = now_ns();
	l.map = map_large(l.ctx, l.file.fd);
	CHECK_MD(l.map);
	fprintf(stderr, "mapped: %.3f s", seconds_since(start));
	onlooker_stop(&o);
	fprintf(stderr, ", %u events, none for at most %.3f s\n", o.events, o.gap / 1e9);
	CHECK(o.events >= 5);
	CHECK_EQ(o.done, o.total);
	CHECK_EQ(o.total, 2 * LARGE); /* allocated, then mapped with MAP_SYNC */
	rdma_pair(&l.near, &l.far);
	l.mr = md_reg_mr(l.far.pd, l.map, 0, LARGE, RDMA_ACCESS);
	CHECK_MD(l.mr);
	CHECK_MD(!md_attach_qp(l.map, l.far.qp, NULL));
	for (unsigned int i = 0; i < 3; i++) {
		lib_write(&l, at[i], 'a' + i);
		CHECK_EQ(bytes_not(l.file.path, at[i], LIB_PAGE, 'a' + i), 0);
	}
	lib_drop(&l);
}

/* Proves: cancelled midway it ends soon; no lease, no memory and no mapping is left. */
static void lib_map__cancelled_midway__nothing_is_left(const void *unused)
{
	long tables = meminfo_page_tables(), memory = meminfo_virtual();
	struct md_context *ctx;
	struct onlooker o;
	struct holder h;
	uint64_t room;

	(void)unused;
	large_hole(&h, "leased");
	room = large_room();
	ctx = lib_context(0, 0, 0);
	onlooker_start(&o, ctx, LARGE / 4);
	CHECK_NULL_ERRNO(map_large(ctx, h.fd), ECANCELED);
	CHECK(strstr(md_errmsg(), "cancelled"));
	fprintf(stderr, "cancelled: %.3f s later it was over\n", seconds_since(o.cancelled));
	onlooker_stop(&o);
	CHECK(o.cancelled && o.done < o.total);
	CHECK(!holder_exists(NULL));
	CHECK_MD(!md_close(ctx));
	CHECK(meminfo_page_tables() < tables + 128);
	CHECK(meminfo_virtual() < memory + (long)(LARGE / KIB / 2));
	/* Its blocks are the file's, and go with it. */
	CHECK(room - large_room() >= LARGE / 8 && room - large_room() < LARGE);
	CHECK(!ftruncate(h.fd, 0));
	CHECK(room - large_room() < LARGE / 8);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* Proves: signals that cancel nothing do not end it, however many they are. */
static void lib_map__signals_all_the_time__goes_on(const void *unused)
{
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, none = {};
	const struct sigaction sa = { .sa_handler = on_alarm };
	struct md_context *ctx;
	struct md_map *map;
	struct holder h;

	(void)unused;
	holder_file(&h, suite_fs[0], "leased", MIDDLE);
	ctx = lib_context(0, 0, 0);
	sigaction(SIGALRM, &sa, NULL);
	CHECK(!setitimer(ITIMER_REAL, &often, NULL));
	map = lib_try_map(ctx, h.fd, 0, MIDDLE, 0);
	CHECK(!setitimer(ITIMER_REAL, &none, NULL));
	CHECK_MD(map);
	CHECK_MD(!md_unmap(map));
	CHECK_MD(!md_close(ctx));
}

static int punch_all(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, LARGE);
}

static int punch_small(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, SMALL);
}

/* Allocates again, MiB by MiB; so much of the range was seen to be. */
static bool is_populating(void *room)
{
	return *(uint64_t *)room - large_room() >= 64 * MIB;
}

static struct md_event next(struct md_context *ctx, struct md_map *map, enum md_event_type type)
{
	struct md_event *ev, copy;

	CHECK_MD(!md_get_event(ctx, &ev, SUITE_WAIT_MS));
	copy = *ev;
	md_ack_event(ev);
	if (copy.type != type || copy.map != map)
		suite_fail(__FILE__, __LINE__, "instead of %s came %s: %s", md_event_str(type),
			   md_event_str(copy.type), copy.message);
	return copy;
}

static void break_large(struct lib *l)
{
	struct md_event ev;
	struct breaker b;

	breaker_start(&b, punch_all, l->file.path);
	next(l->ctx, l->map, MD_EVENT_BREAK);
	ev = next(l->ctx, l->map, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	fprintf(stderr, "break of 2 GiB: %.3f s to the release, the punch took %.3f s\n",
		(ev.timeline.released - ev.timeline.broken) / 1e9, breaker_seconds(&b));
}

/*
 * Proves: while 2 GiB are restored, another map of the context is broken as
 * soon as ever, and the restore goes on; who wants to be rid of the large one does
 * not wait for it.
 */
static void lib_restore__of_2_gib__delays_nobody(const void *unused)
{
	struct holder other;
	struct md_map *small;
	struct md_event ev;
	struct breaker b;
	uint64_t room, start;
	struct lib l;

	(void)unused;
	memset(&l, 0, sizeof(l));
	large_hole(&l.file, "leased");
	holder_file(&other, suite_fs[0], "other", SMALL);
	room = large_room();
	l.ctx = lib_context(0, 0, 0);
	small = lib_try_map(l.ctx, other.fd, 0, SMALL, 0);
	CHECK_MD(small);
	lib_take(&l, 0, LARGE, MD_MAP_ALLOCATE | MD_MAP_RESTORE);
	break_large(&l);
	start = now_ns();
	CHECK(wait_until(is_populating, &room, SUITE_WAIT_MS));
	breaker_start(&b, punch_small, other.path);
	next(l.ctx, small, MD_EVENT_BREAK);
	ev = next(l.ctx, small, MD_EVENT_RELEASED);
	breaker_finish(&b, SUITE_WAIT_MS);
	fprintf(stderr, "break of another meanwhile: %.3f s from notice to release\n",
		(ev.timeline.released - ev.timeline.broken) / 1e9);
	CHECK(md_map_state(l.map) != MD_MAP_LIVE);
	CHECK_MD(!md_unmap(small));
	next(l.ctx, l.map, MD_EVENT_RESTORED);
	fprintf(stderr, "restored: %.3f s\n", seconds_since(start));
	break_large(&l);
	CHECK(wait_until(is_populating, &room, SUITE_WAIT_MS));
	CHECK(!lib_has_event(&l, 500));
	start = now_ns();
	lib_drop(&l);
	fprintf(stderr, "given back in a restore: %.3f s\n", seconds_since(start));
	CHECK(room - large_room() < LARGE);
}

static const struct suite_case cases[] = {
	SUITE_CASE_LONG(lib_map__hole_of_2_gib__tells_how_far_it_is),
	SUITE_CASE_LONG(lib_map__cancelled_midway__nothing_is_left),
	SUITE_CASE_LONG(lib_map__signals_all_the_time__goes_on),
	SUITE_CASE_LONG(lib_restore__of_2_gib__delays_nobody),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
