// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The life of a session between two contexts, over the fake rdma_cm. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "fake_cm.h"
#include "fake_kmod.h"
#include "fault.h"
#include "fault_scenarios.h"
#include "fault_steps.h"

#define PORT "7300"
#define PATIENCE_MS 5000

static struct md_listener *listener;
static struct md_peer *here, *there, *refused;
static struct md_mr *mr;
static struct md_grant *grant;

/* What was told, in all. */
static struct {
	unsigned int ups_here, ups_there;
	unsigned int grants;
	unsigned int restored; /* or lost */
	unsigned int closed;
} told;

/* ---- calls ------------------------------------------------------------------ */

static bool do_open_there(void)
{
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
	};

	steps.other = md_open(&attr);
	return steps.other;
}

static bool do_listen(void)
{
	listener = md_listen(ctx, "127.0.0.1", PORT, NULL);
	return listener;
}

static bool do_connect(void)
{
	there = md_connect(steps.other, "127.0.0.1", PORT, NULL);
	return there;
}

static bool do_connect_refused(void)
{
	refused = md_connect(steps.other, "127.0.0.1", PORT, NULL);
	return refused;
}

static bool do_grant(void)
{
	grant = md_grant(here, mr, "data");
	return grant;
}

static bool do_close_listener(void)
{
	return !md_listener_close(listener);
}

static bool do_close_there(void)
{
	if (md_close(steps.other))
		return false;
	steps.other = NULL;
	return true;
}

/* ---- both contexts ------------------------------------------------------------ */

/* The first that asks is taken, any other is turned away. */
static void take_request(struct md_peer *peer)
{
	if (here) {
		CU_ASSERT_EQUAL(md_refuse(peer), 0);
		return;
	}
	here = peer;
	CU_ASSERT_EQUAL(md_accept(here, NULL), 0);
}

static void take_event(struct md_context *of, struct md_event *event)
{
	enum md_event_type type = event->type;
	struct md_peer *peer = event->peer;

	told.ups_here += type == MD_EVENT_PEER_UP && of == ctx;
	told.ups_there += type == MD_EVENT_PEER_UP && of != ctx;
	told.grants += type == MD_EVENT_GRANTED;
	told.restored += type == MD_EVENT_RESTORED || type == MD_EVENT_LOST;
	told.closed += type == MD_EVENT_PEER_CLOSED;
	steps.lost |= type == MD_EVENT_LOST;
	md_ack_event(event);
	if (type == MD_EVENT_PEER_REQUEST)
		take_request(peer);
}

static void run(void)
{
	struct md_event *event;

	if (!threaded) {
		md_process(ctx);
		md_process(steps.other);
	}
	while (!md_get_event(ctx, &event, 0))
		take_event(ctx, event);
	while (!md_get_event(steps.other, &event, 0))
		take_event(steps.other, event);
	usleep(100);
}

static void until(const unsigned int *count, unsigned int least)
{
	for (int n = 0; n < PATIENCE_MS * 5 && *count < least; n++)
		run();
	CU_ASSERT(*count >= least);
}

static void *run_there(void *arg)
{
	const atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		if (!threaded)
			md_process(steps.other);
		usleep(100);
	}
	return NULL;
}

/* It waits for the peer, whose context has to be run meanwhile. */
static void recall(void)
{
	atomic_bool stop = false;
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_there, &stop), 0);
	CU_ASSERT_EQUAL(md_recall(grant), 0);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

/* ---- the scenario --------------------------------------------------------------- */

static void meet(void)
{
	step("md_listen", do_listen);
	step("md_connect", do_connect);
	until(&told.ups_here, 1);
	until(&told.ups_there, 1);
	step("md_grant", do_grant);
	until(&told.grants, 1);
}

static void part(void)
{
	recall();
	CU_ASSERT_EQUAL(md_peer_close(there), 0);
	CU_ASSERT_EQUAL(md_peer_close(refused), 0);
	CU_ASSERT_EQUAL(md_peer_close(here), 0);
	step("md_listener_close", do_close_listener);
	step("md_close", do_close_there);
}

/* It goes on with the next connection, in both contexts. */
static void lose(void)
{
	unsigned int ups_here = told.ups_here, ups_there = told.ups_there;

	fake_cm_drop();
	until(&told.ups_here, ups_here + 1);
	until(&told.ups_there, ups_there + 1);
}

void scenario_carrier(void)
{
	memset(&told, 0, sizeof(told));
	here = NULL;
	mr = scenario_begin();
	step("md_open", do_open_there);
	meet();
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	until(&told.restored, 1);
	lose();
	step("md_connect", do_connect_refused);
	until(&told.closed, 1);
	part();
	scenario_end();
}
