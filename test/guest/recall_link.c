// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A recall of peers on another machine, which is cut off in it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "lib_crowd.h"
#include "lib_far.h"
#include "suite.h"

#define PEERS 8
#define LENGTH (1 * MIB)
#define BUDGET_MS 3000
#define CUT_S 10
#define BACK_MS 60000 /* if the connection was lost, there are pauses */

static int extend(const char *path)
{
	return truncate(path, 2 * LENGTH);
}

static bool is_back(void *peer)
{
	struct lib_peer *p = peer;

	return atomic_load(&p->fenced) == 1 && atomic_load(&p->grants) > 1;
}

/* All are late, and so all are fenced, when the budget is over and not later. */
static void see_all_fenced(struct lib *l)
{
	struct md_event *event = lib_await(l, MD_EVENT_RELEASED);
	uint64_t took = event->timeline.fenced - event->timeline.noticed;

	CHECK_EQ(event->n_peers, PEERS);
	for (int i = 0; i < PEERS; i++)
		CHECK(event->peers[i].told && !event->peers[i].done && event->peers[i].fenced);
	fprintf(stderr, "fenced %.1f ms after the break was noticed\n", took / 1e6);
	CHECK(took >= BUDGET_MS * 1000000UL && took < 2 * BUDGET_MS * 1000000UL);
	md_ack_event(event);
}

/*
 * Proves: when the link is cut in the middle of a recall, the break ends after the drain
 * budget with all peers beyond it fenced. When it is back they learn that, and are
 * granted again; new ones can write.
 */
static void recall_link__cut_for_10_s_in_a_recall__all_fenced_and_granted_again(const void *unused)
{
	struct lib_crowd c;
	struct breaker b;

	(void)unused;
	if (!lib_far_wanted())
		suite_skip("there is no other machine");
	lib_crowd_new(&c, PEERS);
	lib_crowd_begin(&c, LENGTH, MD_MAP_RESTORE | MD_MAP_ALLOCATE, BUDGET_MS);
	for (int i = 0; i < PEERS; i++)
		atomic_store(&c.s[i].shared->lazy, true);
	for (int i = 0; i < PEERS; i++)
		CHECK(wait_until(is_true, &c.s[i].shared->is_lazy, SUITE_WAIT_MS));
	breaker_start(&b, extend, c.l.file.path);
	lib_next(&c.l, MD_EVENT_BREAK);
	CHECK(!system("bash test/vm/ask.sh link-down"));
	see_all_fenced(&c.l);
	breaker_finish(&b, SUITE_WAIT_MS);
	md_ack_event(lib_await(&c.l, MD_EVENT_RESTORED));
	sleep(CUT_S - BUDGET_MS / 1000);
	for (int i = 0; i < PEERS; i++)
		CHECK_EQ(atomic_load(&c.s[i].shared->fenced), 0); /* they cannot know */
	CHECK(!system("bash test/vm/ask.sh link-up"));
	for (int i = 0; i < PEERS; i++)
		atomic_store(&c.s[i].shared->lazy, false);
	for (int i = 0; i < PEERS; i++) {
		suite_context("peer %d", i);
		CHECK(wait_until(is_back, c.s[i].shared, BACK_MS));
		atomic_store(&c.s[i].shared->stop, true);
		child_finish(c.s[i].shared->pid);
		lib_crowd_dismiss(&c, i);
	}
	while (lib_has_event(&c.l, 0))
		md_ack_event(lib_await(&c.l, c.l.ahead->type));
	for (int i = 0; i < PEERS; i++) {
		struct lib_peer *p = lib_peer_new(i);

		lib_peer_start(p);
		lib_crowd_replace(&c, i, p);
	}
	lib_crowd_wait_writes(&c, 0, 20);
	lib_crowd_check(&c, 0);
	lib_crowd_end(&c);
}

static const struct suite_case cases[] = {
	SUITE_CASE(recall_link__cut_for_10_s_in_a_recall__all_fenced_and_granted_again),
	{},
};

/* With --peers, it is the machine that has the peers. */
int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "--peers"))
		lib_far_serve();
	return suite_main(cases, argc, argv);
}
