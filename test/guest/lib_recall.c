// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Breaks with peers in processes of their own, over the library's connections. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "knob.h"
#include "lib_peer.h"
#include "suite.h"

#define PEERS 8
#define LENGTH (1 * MIB)
#define BREAKS 20
#define DEADLINE_S 45
/* Guests are slow, other guests run beside them, and there are nine processes in it. */
#define BUDGET_MS 3000

static struct lib_session s[PEERS];
static struct lib_peer *shared[PEERS];
static struct md_listener *listener;

/* The peers start first: their process is not to have the holder's device. */
static void begin(struct lib *l, int count)
{
	const char *addr = getenv("MD_ADDR");

	if (!addr)
		suite_skip("MD_ADDR does not say which address the RDMA device has");
	for (int i = 0; i < count; i++)
		shared[i] = lib_peer_start(7300, i);
	l->ctx = lib_context(0, BUDGET_MS, 0);
	CHECK_MD(listener = md_listen(l->ctx, addr, "7300", NULL));
	holder_file(&l->file, suite_fs[0], "leased", LENGTH);
	lib_take(l, 0, LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	lib_peers_serve(l, s, shared, count);
	lib_peers_wait_writes(s, count, 20);
}

static void end(struct lib *l, int count)
{
	lib_peers_stop(l, s, count);
	CHECK_MD(!md_listener_close(listener));
	lib_drop(l);
}

/* Leaves nothing to allocate, so that it is breaks that take the time. */
static int append(const char *path)
{
	struct stat st;

	return stat(path, &st) ? -1 : truncate(path, st.st_size + LIB_PAGE);
}

static bool was_fenced(void *arg)
{
	struct lib_peer *p = arg;

	return atomic_load(&p->fenced);
}

struct figures {
	double break_ms[BREAKS * 4];
	int breaks;
};

/* One change of the file; it may come again, if it was too late for one lease. */
static void break_once(struct lib *l, struct figures *f)
{
	struct breaker b;

	breaker_start(&b, append, l->file.path);
	do {
		struct md_event *event;

		lib_next(l, MD_EVENT_BREAK);
		event = lib_fetch(l, MD_EVENT_RELEASED);
		CHECK_EQ(event->n_peers, PEERS);
		CHECK(!event->timeline.fenced);
		for (int i = 0; i < PEERS; i++) {
			CHECK(event->peers[i].done && !event->peers[i].fenced);
			CHECK(event->peers[i].done <= event->timeline.deregistered);
		}
		lib_check_timeline(&event->timeline);
		if (f->breaks < BREAKS * 4)
			f->break_ms[f->breaks++] =
				(event->timeline.released - event->timeline.broken) / 1e6;
		md_ack_event(event);
		lib_next(l, MD_EVENT_RESTORED);
	} while (lib_broken_again(l, &b));
	breaker_finish(&b, SUITE_WAIT_MS);
}

static void say(const char *what, double *ms, int count)
{
	double median = lib_median(ms, count);

	fprintf(stderr, "%s: median %.1f ms of %d (%.1f to %.1f)\n", what, median, count, ms[0],
		ms[count - 1]);
	CHECK(median < DEADLINE_S * 1000 / 4.0);
}

/*
 * Proves: eight peers that write all the time and cooperate lose no queue pair and
 * no write in twenty breaks, and each break takes a small part of the deadline.
 */
static void lib_recall__eight_peers_cooperate__no_queue_pair_lost(const void *unused)
{
	static double pause_ms[PEERS * LIB_PEER_PAUSES];
	struct figures f = { .breaks = 0 };
	struct lib l = { 0 };
	int pauses = 0;

	(void)unused;
	knob_set(KNOB_LEASE_BREAK_TIME, DEADLINE_S);
	begin(&l, PEERS);
	for (int i = 0; i < BREAKS; i++) {
		break_once(&l, &f);
		lib_peers_wait_writes(s, PEERS, 20);
		/* A lease that is broken again within a second is not taken back at once. */
		sleep(1);
	}
	for (int i = 0; i < PEERS; i++) {
		CHECK_EQ(atomic_load(&shared[i]->errors), 0);
		CHECK_EQ(atomic_load(&shared[i]->fenced), 0);
		CHECK_EQ(atomic_load(&shared[i]->connections), 1);
		CHECK(atomic_load(&shared[i]->persisted) > BREAKS);
		CHECK_EQ(atomic_load(&shared[i]->stale), 0);
		for (unsigned int n = 0; n < atomic_load(&shared[i]->pauses); n++)
			pause_ms[pauses++] = shared[i]->pause_ns[n] / 1e6;
	}
	say("breaker's wait", f.break_ms, f.breaks);
	say("pause of a peer", pause_ms, pauses);
	end(&l, PEERS);
}

/*
 * Proves: of eight peers one that is stopped is fenced, after the drain budget and
 * not later; the others keep their queue pairs and go on. When it runs again it
 * learns that it was fenced, and is granted nothing before.
 */
static void lib_recall__one_of_eight_stopped__only_it_is_fenced(const void *unused)
{
	struct lib l = { 0 };
	struct md_event *event;
	struct breaker b;

	(void)unused;
	begin(&l, PEERS);
	CHECK(!kill(shared[0]->pid, SIGSTOP));
	breaker_start(&b, append, l.file.path);
	lib_next(&l, MD_EVENT_BREAK);
	event = lib_fetch(&l, MD_EVENT_QP_FENCED);
	CHECK(event->qp == s[0].rdma.qp && event->peer == s[0].peer);
	CHECK_EQ(event->reason, MD_REASON_BUDGET);
	md_ack_event(event);
	event = lib_fetch(&l, MD_EVENT_RELEASED);
	for (int i = 0; i < PEERS; i++) {
		suite_context("peer %d", i);
		CHECK_EQ(!!event->peers[i].fenced, i == 0);
		CHECK_EQ(!event->peers[i].done, i == 0);
	}
	fprintf(stderr, "fenced %.1f ms after the break was noticed\n",
		(event->timeline.fenced - event->timeline.noticed) / 1e6);
	CHECK(event->timeline.fenced - event->timeline.noticed >= BUDGET_MS * 1000000UL);
	CHECK(event->timeline.fenced - event->timeline.noticed < 2 * BUDGET_MS * 1000000UL);
	md_ack_event(event);
	breaker_finish(&b, SUITE_WAIT_MS);
	lib_next(&l, MD_EVENT_RESTORED);
	lib_peers_wait_writes(s + 1, PEERS - 1, 20);
	CHECK_EQ(atomic_load(&shared[0]->fenced), 0);
	CHECK(!kill(shared[0]->pid, SIGCONT));
	CHECK(wait_until(was_fenced, shared[0], SUITE_WAIT_MS));
	for (int i = 1; i < PEERS; i++) {
		suite_context("peer %d", i);
		CHECK_EQ(atomic_load(&shared[i]->errors), 0);
		CHECK_EQ(atomic_load(&shared[i]->fenced), 0);
		CHECK_EQ(atomic_load(&shared[i]->stale), 0);
	}
	end(&l, PEERS);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_recall__eight_peers_cooperate__no_queue_pair_lost),
	SUITE_CASE(lib_recall__one_of_eight_stopped__only_it_is_fenced),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
