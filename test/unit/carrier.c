// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Sessions that the library carries itself, over a fake rdma_cm. */

#include <dirent.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "carrier.h"
#include "clock.h"
#include "fake_cm.h"
#include "fixture.h"
#include "peer.h"
#include "wire.h"

#define PORT "7300"
#define PATIENCE_MS 10000
#define LINGER_MS 500

static struct md_context *there; /* another context, which connects to the fixture's */
static struct md_listener *listener;
static struct md_peer *here_peer, *there_peer;
static int mark; /* its address is a user_data */

/* ---- both contexts ------------------------------------------------------------ */

static struct md_context *open_other(uint32_t keepalive_ms)
{
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
		.keepalive_ms = keepalive_ms,
	};
	struct md_context *other = md_open(&attr);

	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	return other;
}

static void run(void)
{
	pump();
	if (!threaded && there)
		CU_ASSERT_EQUAL(md_process(there), 0);
}

static void run_ms(int ms)
{
	for (uint64_t end = md__now() + (uint64_t)ms * MD__MSEC; md__now() < end; usleep(500))
		run();
}

static struct md_event *event_of(struct md_context *of, enum md_event_type type)
{
	uint64_t end = md__now() + PATIENCE_MS * MD__MSEC;
	struct md_event *event = NULL;

	while (md_get_event(of, &event, 0) && md__now() < end) {
		run();
		usleep(200);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	if (event->type != type)
		printf("\n    expected %s, got %s: %s ", md_event_str(type),
		       md_event_str(event->type), event->message);
	CU_ASSERT_EQUAL_FATAL(event->type, type);
	CU_ASSERT_NOT_EQUAL(strlen(event->message), 0);
	return event;
}

static void pass(struct md_context *of, enum md_event_type type)
{
	md_ack_event(event_of(of, type));
}

/* An event of a peer, with an error and words in its sentence; once if @words is not. */
static void pass_end(struct md_context *of, enum md_event_type type, int error, const char *words)
{
	struct md_event *event = event_of(of, type);

	CU_ASSERT_EQUAL(event->error, error);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, words));
	if (event->error != error || !strstr(event->message, words))
		printf("\n    errno %d, %s ", event->error, event->message);
	md_ack_event(event);
}

static void expect_quiet(int ms)
{
	struct md_event *event;

	run_ms(ms);
	CU_ASSERT_EQUAL(md_get_event(ctx, &event, 0), -1);
	CU_ASSERT_EQUAL(md_get_event(there, &event, 0), -1);
}

static void setup(void)
{
	fixture_setup();
	fake_cm_reset();
	there = open_other(0);
	listener = NULL;
	here_peer = NULL;
	there_peer = NULL;
}

static void teardown(void)
{
	fake_cm_let();
	fake_cm_stall(false);
	fake_cm_hold_sends(false);
	CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
	CU_ASSERT_EQUAL(md_close(there), 0);
	there = NULL;
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	CU_ASSERT_EQUAL(md_listener_close(listener), 0);
	fixture_teardown();
	CU_ASSERT_EQUAL(fake_cm_live(), 0);
	CU_ASSERT_EQUAL(fake_cm_misuses(), 0);
	CU_ASSERT_EQUAL(fake_cm_starved(), 0);
}

static void listen_here(void)
{
	listener = md_listen(ctx, "127.0.0.1", PORT, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
}

static void connect_there(void)
{
	there_peer = md_connect(there, "127.0.0.1", PORT, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(there_peer);
}

static void take_request(void)
{
	struct md_event *event = event_of(ctx, MD_EVENT_PEER_REQUEST);

	here_peer = event->peer;
	md_ack_event(event);
}

static void pass_up(void)
{
	pass(ctx, MD_EVENT_PEER_UP);
	pass(there, MD_EVENT_PEER_UP);
}

static void connect_both(void)
{
	listen_here();
	connect_there();
	take_request();
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_up();
}

/* What is left is the listener, and both contexts' channels. */
static void close_both(void)
{
	CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
	there_peer = NULL;
	pass_end(ctx, MD_EVENT_PEER_CLOSED, 0, "ended");
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	here_peer = NULL;
	for (int ms = 0; ms < PATIENCE_MS && fake_cm_live() > 3; ms++)
		run_ms(1);
	CU_ASSERT_EQUAL(fake_cm_live(), 3);
}

/* ---- what is granted ------------------------------------------------------------ */

static struct md_map *map;
static struct md_mr *mr;
static struct md_grant *grant;
static struct md_remote *remote;

static void grant_one(void)
{
	struct md_event *event;

	map = fixture_map(MD_MAP_RESTORE);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], here_peer), 0);
	grant = md_grant(here_peer, mr, "data");
	CU_ASSERT_PTR_NOT_NULL_FATAL(grant);
	event = event_of(there, MD_EVENT_GRANTED);
	remote = event->remote;
	md_ack_event(event);
}

static void use(void)
{
	CU_ASSERT_EQUAL(md_remote_get(remote), 0);
	CU_ASSERT_TRUE(fake_verbs_write(remote->rkey, 0, 1));
	md_remote_put(remote);
}

static void *run_there(void *arg)
{
	const atomic_bool *stop = arg;

	while (!atomic_load(stop)) {
		if (!threaded)
			md_process(there);
		usleep(200);
	}
	return NULL;
}

static void recall_one(void)
{
	atomic_bool stop = false;
	pthread_t thread;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_there, &stop), 0);
	CU_ASSERT_EQUAL(md_recall(grant), 0);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

/* ---- arguments -------------------------------------------------------------------- */

static void listen__bad_arguments__says_so(void)
{
	struct md_listen_attr attr = { .size = 1 };

	CU_ASSERT_PTR_NULL(md_listen(NULL, NULL, NULL, NULL));
	ASSERT_FAILED(EINVAL, "md_listen: no context");
	CU_ASSERT_PTR_NULL(md_listen(ctx, NULL, NULL, &attr));
	ASSERT_FAILED(EINVAL, "md_listen_attr");
	CU_ASSERT_PTR_NULL(md_listen(ctx, "127.0.0.1", "no such service", NULL));
	ASSERT_FAILED(EADDRNOTAVAIL, "127.0.0.1 port no such service");
	CU_ASSERT_PTR_NULL(md_listen(ctx, NULL, "no such service", NULL));
	ASSERT_FAILED(EADDRNOTAVAIL, "* port no such service");
}

static void connect__bad_arguments__says_so(void)
{
	struct md_connect_attr attr = { .size = sizeof(attr) };

	CU_ASSERT_PTR_NULL(md_connect(NULL, "127.0.0.1", PORT, NULL));
	ASSERT_FAILED(EINVAL, "md_connect: no context");
	CU_ASSERT_PTR_NULL(md_connect(ctx, NULL, PORT, NULL));
	ASSERT_FAILED(EINVAL, "md_connect: no host");
	CU_ASSERT_PTR_NULL(md_connect(ctx, "127.0.0.1", NULL, NULL));
	ASSERT_FAILED(EINVAL, "md_connect: no port");
	CU_ASSERT_PTR_NULL(md_connect(ctx, "127.0.0.1", "no such service", NULL));
	ASSERT_FAILED(EADDRNOTAVAIL, "no such service");
	attr.private_len = 1;
	CU_ASSERT_PTR_NULL(md_connect(ctx, "127.0.0.1", PORT, &attr));
	ASSERT_FAILED(EINVAL, "private_data is missing");
	attr.private_data = "";
	attr.private_len = MD_PRIVATE_MAX + 1;
	CU_ASSERT_PTR_NULL(md_connect(ctx, "127.0.0.1", PORT, &attr));
	ASSERT_FAILED(EINVAL, "private_len is 33");
	attr.size = 1;
	CU_ASSERT_PTR_NULL(md_connect(ctx, "127.0.0.1", PORT, &attr));
	ASSERT_FAILED(EINVAL, "md_connect_attr");
	CU_ASSERT_EQUAL(fake_cm_live(), 0);
}

static int send_nothing(void *arg, const void *message, size_t length)
{
	(void)arg;
	(void)message;
	(void)length;
	return 0;
}

static void accept__peer_does_not_ask__einval(void)
{
	const struct md_peer_ops ops = { .size = sizeof(ops), .send = send_nothing };
	struct md_peer *own = md_peer_new(ctx, &ops, NULL, NULL);

	CU_ASSERT_EQUAL(md_accept(NULL, NULL), -1);
	ASSERT_FAILED(EINVAL, "md_accept: no peer");
	CU_ASSERT_EQUAL(md_refuse(NULL), -1);
	ASSERT_FAILED(EINVAL, "md_refuse: no peer");
	CU_ASSERT_EQUAL(md_accept(own, NULL), -1);
	ASSERT_FAILED(EINVAL, "does not ask");
	CU_ASSERT_EQUAL(md_refuse(own), -1);
	ASSERT_FAILED(EINVAL, "does not ask");
	CU_ASSERT_EQUAL(md_peer_close(own), 0);
	connect_both();
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), -1);
	ASSERT_FAILED(EINVAL, "does not ask");
	CU_ASSERT_EQUAL(md_refuse(there_peer), -1);
	ASSERT_FAILED(EINVAL, "does not ask");
}

static void peer_calls__carried_peer__einval(void)
{
	connect_both();
	CU_ASSERT_EQUAL(md_peer_connected(there_peer), -1);
	ASSERT_FAILED(EINVAL, "carries this peer itself");
	CU_ASSERT_EQUAL(md_peer_input(there_peer, "", 1), -1);
	ASSERT_FAILED(EINVAL, "carries this peer itself");
	CU_ASSERT_EQUAL(md_peer_lost(there_peer), -1);
	ASSERT_FAILED(EINVAL, "carries this peer itself");
}

static void close__listens_or_has_peer__ebusy(void)
{
	connect_both();
	CU_ASSERT_EQUAL(md_close(there), -1);
	ASSERT_FAILED(EBUSY, "md_peer_close()");
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	here_peer = NULL;
	CU_ASSERT_EQUAL(md_close(ctx), -1);
	ASSERT_FAILED(EBUSY, "md_listener_close()");
}

/* ---- listening ---------------------------------------------------------------------- */

static void listen__no_port__gets_one(void)
{
	struct md_listener *other;

	listener = md_listen(ctx, NULL, NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
	other = md_listen(ctx, NULL, "0", NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	CU_ASSERT(md_listener_port(listener) > 0);
	CU_ASSERT_NOT_EQUAL(md_listener_port(listener), md_listener_port(other));
	CU_ASSERT_EQUAL(md_listener_close(other), 0);
}

static void listen__port_taken__eaddrinuse(void)
{
	listen_here();
	CU_ASSERT_EQUAL(md_listener_port(listener), atoi(PORT));
	CU_ASSERT_PTR_NULL(md_listen(there, "127.0.0.1", PORT, NULL));
	ASSERT_FAILED(EADDRINUSE, "RDMA device");
}

static void listen__step_fails__says_so_and_works_again(void)
{
	static const struct {
		enum fake_cm_step step;
		const char *words;
	} steps[] = {
		{ FAKE_CM_CHANNEL, "rdma_ucm" },
		{ FAKE_CM_ID, "md_listen: " },
		{ FAKE_CM_BIND, "has to be that of an RDMA device" },
		{ FAKE_CM_LISTEN, "has to be that of an RDMA device" },
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		fake_cm_fail(steps[i].step, 0, 1, ENODEV);
		CU_ASSERT_PTR_NULL(md_listen(ctx, "127.0.0.1", PORT, NULL));
		ASSERT_FAILED(ENODEV, steps[i].words);
	}
	connect_both();
}

static void connect__no_event_channel__says_so(void)
{
	fake_cm_fail(FAKE_CM_CHANNEL, 0, 1, ENODEV);
	CU_ASSERT_PTR_NULL(md_connect(there, "127.0.0.1", PORT, NULL));
	ASSERT_FAILED(ENODEV, "rdma_ucm");
	connect_both();
}

/* ---- connecting ----------------------------------------------------------------------- */

static void connect__accepted__up_on_both_sides(void)
{
	const struct md_listen_attr listen_attr = { sizeof(listen_attr), 1, &mark };
	const struct md_connect_attr attr = { sizeof(attr), 5, "hello", &there };
	struct md_event *event;

	listener = md_listen(ctx, "127.0.0.1", PORT, &listen_attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(listener);
	there_peer = md_connect(there, "127.0.0.1", PORT, &attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(there_peer);
	event = event_of(ctx, MD_EVENT_PEER_REQUEST);
	CU_ASSERT_PTR_EQUAL(event->user_data, &mark);
	CU_ASSERT_STRING_EQUAL(event->address, "127.0.0.1:" PORT);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "127.0.0.1:" PORT));
	CU_ASSERT_EQUAL_FATAL(event->private_len, 5);
	CU_ASSERT_EQUAL(memcmp(event->private_data, "hello", 5), 0);
	here_peer = event->peer;
	CU_ASSERT_EQUAL(md_refuse(here_peer), -1);
	ASSERT_FAILED(EBUSY, "md_ack_event()");
	md_ack_event(event);
	expect_quiet(30);
	CU_ASSERT_EQUAL(md_accept(here_peer, &here_peer), 0);
	event = event_of(ctx, MD_EVENT_PEER_UP);
	CU_ASSERT_PTR_EQUAL(event->peer, here_peer);
	CU_ASSERT_PTR_EQUAL(event->user_data, &here_peer);
	md_ack_event(event);
	event = event_of(there, MD_EVENT_PEER_UP);
	CU_ASSERT_PTR_EQUAL(event->peer, there_peer);
	CU_ASSERT_PTR_EQUAL(event->user_data, &there);
	md_ack_event(event);
	CU_ASSERT_EQUAL(fake_cm_tries(), 1);
	CU_ASSERT_EQUAL(fake_cm_connected(), 1);
}

static void connect__by_ipv6__address_in_brackets(void)
{
	struct md_event *event;

	listen_here();
	there_peer = md_connect(there, "::1", PORT, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(there_peer);
	event = event_of(ctx, MD_EVENT_PEER_REQUEST);
	CU_ASSERT_STRING_EQUAL(event->address, "[::1]:" PORT);
	here_peer = event->peer;
	md_ack_event(event);
}

static void connect__granted__can_be_used_and_recalled(void)
{
	connect_both();
	grant_one();
	use();
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass(ctx, MD_EVENT_BREAK);
	pass(ctx, MD_EVENT_RELEASED);
	pass(there, MD_EVENT_RECALLED);
	pass(ctx, MD_EVENT_RESTORED);
	pass(there, MD_EVENT_GRANTED);
	use();
	recall_one();
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
}

static void connect__refused__closed_for_good(void)
{
	listen_here();
	connect_there();
	take_request();
	CU_ASSERT_EQUAL(md_refuse(here_peer), 0);
	here_peer = NULL;
	pass_end(there, MD_EVENT_PEER_CLOSED, ECONNREFUSED, "is gone for good");
	expect_quiet(60);
	CU_ASSERT_EQUAL(fake_cm_tries(), 1);
}

/* Whoever likes may ask, and as often: nothing is left of it. */
static void refuse__again_and_again__memory_stays(void)
{
	size_t before = 0;

	listen_here();
	for (int i = 0; i < 100; i++) {
		if (i == 20)
			before = mallinfo2().uordblks;
		connect_there();
		take_request();
		CU_ASSERT_EQUAL(md_refuse(here_peer), 0);
		here_peer = NULL;
		pass(there, MD_EVENT_PEER_CLOSED);
		CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
		there_peer = NULL;
		run_ms(1);
	}
	CU_ASSERT(mallinfo2().uordblks < before + 32768);
}

/* Half of each is jitter: 10 to 20, 20 to 40, 40 to 80, 80 to 160 ms. */
static void connect__nobody_listens__tries_with_growing_pauses(void)
{
	uint64_t start = md__now();

	connect_there();
	for (int i = 0; i < 5; i++)
		pass_end(there, MD_EVENT_PEER_DOWN, ECONNREFUSED, "nobody listens");
	/* Half of each is jitter: 10 to 20, 20 to 40, 40 to 80, 80 to 160 ms. */
	CU_ASSERT(md__now() - start >= (10 + 20 + 40 + 80) * MD__MSEC);
	listen_here();
	take_request();
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_up();
}

static void connect__many_peers__each_has_its_session(void)
{
	struct md_peer *passive[8], *active[8];

	listen_here();
	for (int i = 0; i < 8; i++) {
		connect_there();
		active[i] = there_peer;
		take_request();
		passive[i] = here_peer;
		CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
		pass_up();
	}
	CU_ASSERT_EQUAL(fake_cm_connected(), 8);
	fake_cm_drop();
	for (int i = 0; i < 8; i++) {
		pass(ctx, MD_EVENT_PEER_DOWN);
		pass(there, MD_EVENT_PEER_DOWN);
	}
	for (int i = 0; i < 8; i++)
		pass_up();
	for (int i = 0; i < 8; i++) {
		CU_ASSERT_EQUAL(md_peer_close(passive[i]), 0);
		pass_end(there, MD_EVENT_PEER_CLOSED, 0, "ended");
		CU_ASSERT_EQUAL(md_peer_close(active[i]), 0);
	}
	here_peer = NULL;
	there_peer = NULL;
}

/* A request comes twice of one peer, which waits all the time. */
static void connect__given_up_before_answer__asked_once(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_give_up();
	pass_end(there, MD_EVENT_PEER_DOWN, ETIMEDOUT, "no answer");
	while (fake_cm_tries() < 2)
		run_ms(1);
	expect_quiet(60);
	CU_ASSERT_EQUAL(fake_cm_tries(), 2);
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_up();
}

/* It has no queue pair yet whose messages could be looked for. */
static void connect__disconnected_before_answer__asked_once(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_turn_event(RDMA_CM_EVENT_REJECTED, RDMA_CM_EVENT_DISCONNECTED);
	fake_cm_give_up();
	pass(there, MD_EVENT_PEER_DOWN);
	while (fake_cm_tries() < 2)
		run_ms(1);
	expect_quiet(60);
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_up();
}

static void accept__not_connected_meanwhile__comes_back_by_itself(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_hold(RDMA_CM_EVENT_CONNECT_REQUEST);
	fake_cm_give_up();
	pass_end(there, MD_EVENT_PEER_DOWN, ETIMEDOUT, "no answer");
	expect_quiet(60);
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	expect_quiet(30);
	fake_cm_let();
	pass_up();
}

static void refuse__not_connected_meanwhile__gone(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_hold(RDMA_CM_EVENT_CONNECT_REQUEST);
	fake_cm_give_up();
	pass(there, MD_EVENT_PEER_DOWN);
	run_ms(60);
	CU_ASSERT_EQUAL(md_refuse(here_peer), 0);
	here_peer = NULL;
	fake_cm_let();
	take_request();
}

/* The other side does not hear of it, and asks again. */
static void refuse__cannot_be_said__asked_again(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_fail(FAKE_CM_REJECT, 0, 1, EIO);
	CU_ASSERT_EQUAL(md_refuse(here_peer), 0);
	pass_end(there, MD_EVENT_PEER_DOWN, ECONNREFUSED, "nobody listens");
	take_request();
	CU_ASSERT_EQUAL(md_refuse(here_peer), 0);
	here_peer = NULL;
	pass_end(there, MD_EVENT_PEER_CLOSED, ECONNREFUSED, "is gone for good");
}

static void listener_close__request_under_way__turned_away(void)
{
	listen_here();
	fake_cm_hold(threaded ? RDMA_CM_EVENT_CONNECT_REQUEST : RDMA_CM_EVENT_TIMEWAIT_EXIT);
	connect_there();
	for (int i = 0; i < 30; i++) {
		if (!threaded)
			CU_ASSERT_EQUAL(md_process(there), 0);
		usleep(1000);
	}
	CU_ASSERT_EQUAL(md_listener_close(listener), 0);
	listener = NULL;
	fake_cm_let();
	pass_end(there, MD_EVENT_PEER_DOWN, ECONNREFUSED, "nobody listens");
}

/* Who connects is told of the loss, or already of the try that follows it. */
static void pass_refusal_after_loss(void)
{
	struct md_event *event = event_of(there, MD_EVENT_PEER_DOWN);

	if (event->error == ECONNRESET) {
		CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "closed the connection"));
		md_ack_event(event);
		event = event_of(there, MD_EVENT_PEER_DOWN);
	}
	if (event->error != ECONNREFUSED)
		printf("\n    errno %d, %s ", event->error, event->message);
	CU_ASSERT_EQUAL(event->error, ECONNREFUSED);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "nobody listens"));
	md_ack_event(event);
}

static void listener_close__peers__stay(void)
{
	connect_both();
	CU_ASSERT_EQUAL(md_listener_close(listener), 0);
	listener = NULL;
	grant_one();
	use();
	fake_cm_drop();
	pass_end(ctx, MD_EVENT_PEER_DOWN, ECONNRESET, "closed the connection");
	pass_refusal_after_loss();
	listen_here();
	while (fake_cm_connected() == 0)
		run_ms(1);
	pass(ctx, MD_EVENT_PEER_UP);
	recall_one();
}

/* ---- what a request says ----------------------------------------------------------- */

static void (*change)(uint8_t *data, uint8_t *length); /* of the next one only */

static void change_once(void *data, uint8_t *length)
{
	if (change)
		change(data, length);
	change = NULL;
}

static void cut(uint8_t *data, uint8_t *length)
{
	(void)data;
	*length = 20;
}

static void drop_all(uint8_t *data, uint8_t *length)
{
	(void)data;
	*length = 0;
}

static void spoil_magic(uint8_t *data, uint8_t *length)
{
	(void)length;
	data[0] ^= 1;
}

static void spoil_major(uint8_t *data, uint8_t *length)
{
	(void)length;
	data[4]++;
}

static void spoil_length(uint8_t *data, uint8_t *length)
{
	(void)length;
	data[6] = MD_PRIVATE_MAX + 1;
}

static void clear_name(uint8_t *data, uint8_t *length)
{
	(void)length;
	memset(data + 8, 0, 8);
}

static void spoil_other(uint8_t *data, uint8_t *length)
{
	(void)length;
	data[16] ^= 1;
}

static void request__not_well_formed__told_and_tried_again(void)
{
	static void (*const changes[])(uint8_t *, uint8_t *) = { cut, drop_all, spoil_magic,
								 spoil_length, clear_name };

	fake_cm_request = change_once;
	listen_here();
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		change = changes[i];
		connect_there();
		pass_end(there, MD_EVENT_PEER_DOWN, EPROTO, "has no connection");
		take_request();
		CU_ASSERT_EQUAL(md_refuse(here_peer), 0);
		here_peer = NULL;
		pass(there, MD_EVENT_PEER_CLOSED);
		CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
		there_peer = NULL;
	}
}

static void request__other_major_version__closed(void)
{
	fake_cm_request = change_once;
	change = spoil_major;
	listen_here();
	connect_there();
	pass_end(there, MD_EVENT_PEER_CLOSED, EPROTONOSUPPORT,
		 "is gone for good: another major version of the protocol: "
		 "a request of version 1.0 came to version 1.");
	expect_quiet(60);
	CU_ASSERT_EQUAL(fake_cm_tries(), 1);
}

/* Somebody with the name of a peer, who is in a session with somebody else. */
static void request__of_another_session__closed(void)
{
	connect_both();
	fake_cm_request = change_once;
	change = spoil_other;
	fake_cm_drop();
	pass(ctx, MD_EVENT_PEER_DOWN);
	pass(there, MD_EVENT_PEER_DOWN);
	pass_end(there, MD_EVENT_PEER_CLOSED, ESTALE, "is gone for good");
}

static void request__session_not_known_any_more__closed(void)
{
	connect_both();
	fake_cm_hold(RDMA_CM_EVENT_CONNECT_REQUEST);
	fake_cm_drop();
	pass(ctx, MD_EVENT_PEER_DOWN);
	pass(there, MD_EVENT_PEER_DOWN);
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	here_peer = NULL;
	fake_cm_let();
	pass_end(there, MD_EVENT_PEER_CLOSED, ESTALE, "is gone for good");
	expect_quiet(60);
}

/* ---- connections that are lost ------------------------------------------------------- */

static void lost__comes_back__session_goes_on(void)
{
	connect_both();
	grant_one();
	for (int round = 0; round < 5; round++) {
		fake_cm_drop();
		pass_end(ctx, MD_EVENT_PEER_DOWN, ECONNRESET, "closed the connection");
		pass_end(there, MD_EVENT_PEER_DOWN, ECONNRESET, "closed the connection");
		use();
		pass_up();
		use();
	}
	expect_quiet(30);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	recall_one();
}

static void lost__without_a_word__comes_back(void)
{
	connect_both();
	fake_cm_break();
	pass_end(ctx, MD_EVENT_PEER_DOWN, ECONNRESET, "the connection has failed");
	pass_end(there, MD_EVENT_PEER_DOWN, ECONNRESET, "");
	pass_up();
}

static void lost__open_recall__answered_by_the_next(void)
{
	struct md_event *event;

	connect_both();
	grant_one();
	fake_cm_hold(RDMA_CM_EVENT_CONNECT_REQUEST);
	fake_cm_drop();
	pass(ctx, MD_EVENT_PEER_DOWN);
	pass(there, MD_EVENT_PEER_DOWN);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass(ctx, MD_EVENT_BREAK);
	expect_quiet(30);
	fake_cm_let();
	pass_up();
	pass(there, MD_EVENT_RECALLED);
	event = event_of(ctx, MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL_FATAL(event->n_peers, 1);
	CU_ASSERT_EQUAL(event->peers[0].fenced, 0);
	CU_ASSERT(event->peers[0].done > 0);
	md_ack_event(event);
	pass(ctx, MD_EVENT_RESTORED);
	pass(there, MD_EVENT_GRANTED);
	use();
	recall_one();
}

static void lost__other_side_has_not_noticed__taken_back(void)
{
	connect_both();
	grant_one();
	fake_cm_turn_event(RDMA_CM_EVENT_DISCONNECTED, RDMA_CM_EVENT_TIMEWAIT_EXIT);
	fake_cm_drop();
	pass_end(there, MD_EVENT_PEER_DOWN, ECONNRESET, "closed the connection");
	pass_end(ctx, MD_EVENT_PEER_DOWN, ECONNRESET, "connected again");
	pass_up();
	use();
	recall_one();
}

static void lost__device_removed__told(void)
{
	connect_both();
	fake_cm_remove_device();
	pass_end(ctx, MD_EVENT_PEER_DOWN, ENODEV, "was removed");
	pass_end(there, MD_EVENT_PEER_DOWN, ENODEV, "was removed");
	pass_up();
}

static void lost__other_side_is_silent__told_and_tried_again(void)
{
	CU_ASSERT_EQUAL(md_close(there), 0);
	there = open_other(30);
	connect_both();
	fake_cm_stall(true);
	pass_end(ctx, MD_EVENT_PEER_DOWN, ETIMEDOUT, "");
	pass_end(there, MD_EVENT_PEER_DOWN, ECONNRESET, "");
	fake_cm_stall(false);
	pass_up();
}

/* A descriptor of the connection is in a process that is just being started. */
static void lost__descriptor_is_elsewhere__not_looked_at_any_more(void)
{
	const uint64_t one = 1;
	int copy;

	connect_both();
	copy = fcntl(here_peer->carrier->conn->channel->fd, F_DUPFD_CLOEXEC, 0);
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	here_peer = NULL;
	pass(there, MD_EVENT_PEER_CLOSED);
	while (fake_cm_connected())
		run_ms(1);
	CU_ASSERT_EQUAL(write(copy, &one, sizeof(one)), sizeof(one));
	run_ms(20);
	close(copy);
}

/* ---- steps that fail ------------------------------------------------------------------ */

static const struct {
	enum fake_cm_step step;
	unsigned int skip;
	bool active_only;
	const char *words;
} steps[] = {
	{ FAKE_CM_ID, 0, true, "no connection can be made now" },
	{ FAKE_CM_ADDR, 0, true, "cannot be resolved" },
	{ FAKE_CM_ROUTE, 0, true, "no route" },
	{ FAKE_CM_CONNECT, 0, true, "cannot be made" },
	{ FAKE_CM_COMP_CHANNEL, 0, false, "" },
	{ FAKE_CM_CQ, 0, false, "" },
	{ FAKE_CM_QP, 0, false, "" },
	{ FAKE_CM_NOTIFY, 0, false, "" },
	{ FAKE_CM_RECV, 0, false, "" },
	{ FAKE_CM_RECV, 30, false, "" },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static void connect__step_fails__told_and_tried_again(void)
{
	listen_here();
	for (size_t i = 0; i < STEPS; i++) {
		fake_cm_fail(steps[i].step, steps[i].skip, 1, ENOSPC);
		connect_there();
		pass_end(there, MD_EVENT_PEER_DOWN, ENOSPC, steps[i].words);
		take_request();
		CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
		pass_up();
		close_both();
	}
}

static void accept__step_fails__told_and_comes_back(void)
{
	listen_here();
	for (size_t i = 0; i <= STEPS; i++) {
		if (i < STEPS && steps[i].active_only)
			continue;
		connect_there();
		take_request();
		if (i < STEPS)
			fake_cm_fail(steps[i].step, steps[i].skip, 1, ENOSPC);
		else
			fake_cm_fail(FAKE_CM_ACCEPT, 0, 1, ENOSPC);
		CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
		pass_end(ctx, MD_EVENT_PEER_DOWN, ENOSPC, "cannot be accepted");
		pass_end(there, MD_EVENT_PEER_DOWN, ECONNREFUSED, "nobody listens");
		pass_up();
		close_both();
	}
}

static void connect__no_memory_to_register__told_and_tried_again(void)
{
	listen_here();
	fake_verbs_fail_reg(1, 1, ENOMEM);
	connect_there();
	pass_end(there, MD_EVENT_PEER_DOWN, ENOMEM, "cannot be made");
	take_request();
}

static void connect__event_of_failure__told_and_tried_again(void)
{
	static const struct {
		enum rdma_cm_event_type good, bad;
		int error;
	} events[] = {
		{ RDMA_CM_EVENT_ADDR_RESOLVED, RDMA_CM_EVENT_ADDR_ERROR, EHOSTUNREACH },
		{ RDMA_CM_EVENT_ROUTE_RESOLVED, RDMA_CM_EVENT_ROUTE_ERROR, ETIMEDOUT },
		{ RDMA_CM_EVENT_ROUTE_RESOLVED, RDMA_CM_EVENT_UNREACHABLE, ETIMEDOUT },
		{ RDMA_CM_EVENT_ROUTE_RESOLVED, RDMA_CM_EVENT_CONNECT_ERROR, EIO },
		{ RDMA_CM_EVENT_ROUTE_RESOLVED, RDMA_CM_EVENT_DEVICE_REMOVAL, ENODEV },
	};

	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		fake_cm_turn_event(events[i].good, events[i].bad);
		connect_there();
		pass_end(there, MD_EVENT_PEER_DOWN, events[i].error, "has no connection");
		CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
		there_peer = NULL;
	}
	connect_both();
}

/* One that nobody knows is ignored. */
static void connect__events_cannot_be_had__later(void)
{
	fake_cm_fail(FAKE_CM_GET_EVENT, 0, 5, ENOMEM);
	connect_both();
	fake_cm_turn_event(RDMA_CM_EVENT_DISCONNECTED, RDMA_CM_EVENT_TIMEWAIT_EXIT);
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	here_peer = NULL;
	pass(there, MD_EVENT_PEER_CLOSED);
}

static void accept__never_established__given_up(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_hold_accepted();
	fake_cm_stall(true);
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_end(ctx, MD_EVENT_PEER_DOWN, ETIMEDOUT, "no answer");
	pass(there, MD_EVENT_PEER_DOWN);
	fake_cm_let();
	fake_cm_stall(false);
	pass_up();
}

static void accept__message_before_the_event__counts_as_established(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_hold_accepted();
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_up();
	fake_cm_let();
	expect_quiet(30);
	CU_ASSERT_EQUAL(fake_cm_connected(), 1);
}

/* It is not up again by the event that says so late. */
static void accept__event_after_the_close__stays_closed(void)
{
	listen_here();
	connect_there();
	take_request();
	fake_cm_hold_accepted();
	CU_ASSERT_EQUAL(md_accept(here_peer, NULL), 0);
	pass_up();
	fake_cm_stall(true);
	CU_ASSERT_EQUAL(md_peer_close(here_peer), 0);
	here_peer = NULL;
	run_ms(50);
	fake_cm_let();
	run_ms(50);
	CU_ASSERT_EQUAL(fake_cm_connected(), 1);
	fake_cm_stall(false);
	pass_end(there, MD_EVENT_PEER_CLOSED, 0, "ended");
}

/* ---- messages that fail ----------------------------------------------------------------- */

static void ack_all(struct md_context *of, unsigned int *ups, struct md_remote **found)
{
	struct md_event *event;

	while (!md_get_event(of, &event, 0)) {
		*ups += event->type == MD_EVENT_PEER_UP;
		if (event->type == MD_EVENT_GRANTED)
			*found = event->remote;
		md_ack_event(event);
	}
}

/* Whichever side notices: both have a connection again, and what was to be said is. */
static void message__step_fails__connects_again(void)
{
	static const enum fake_cm_step fatal[] = { FAKE_CM_SEND, FAKE_CM_POLL, FAKE_CM_RECV };
	struct md_remote *found;
	unsigned int ups;
	uint64_t start;

	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++) {
		connect_both();
		map = fixture_map(MD_MAP_RESTORE);
		mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
		CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], here_peer), 0);
		ups = 0;
		found = NULL;
		fake_cm_fail(fatal[i], 0, 1, ENOMEM);
		grant = md_grant(here_peer, mr, "data");
		/* Sooner than by the silence that follows, after 6 s. */
		start = md__now();
		while (md__now() - start < 4 * MD__SEC && (ups < 2 || !found)) {
			run_ms(1);
			ack_all(ctx, &ups, &found);
			ack_all(there, &ups, &found);
		}
		CU_ASSERT_EQUAL(ups, 2);
		CU_ASSERT_PTR_NOT_NULL_FATAL(found);
		remote = found;
		use();
		recall_one();
		close_both();
		CU_ASSERT_EQUAL(md_listener_close(listener), 0);
		listener = NULL;
	}
}

#define MANY 100

/* They arrive, but the adapter is late in saying so. */
static void message__no_room__sent_when_there_is(void)
{
	struct md_grant *grants[MANY];
	unsigned int granted = 0;
	struct md_event *event;
	atomic_bool stop = false;
	pthread_t thread;

	connect_both();
	grant_one();
	fake_cm_hold_sends(true);
	for (int i = 0; i < MANY; i++) {
		grants[i] = md_grant(here_peer, mr, "more");
		CU_ASSERT_PTR_NOT_NULL_FATAL(grants[i]);
	}
	run_ms(50);
	for (; !md_get_event(there, &event, 0); granted++)
		md_ack_event(event);
	CU_ASSERT(granted > 0 && granted <= MD__CONN_SENDS);
	fake_cm_hold_sends(false);
	for (; granted < MANY; granted++)
		pass(there, MD_EVENT_GRANTED);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_there, &stop), 0);
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(md_recall(grants[i]), 0);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	use();
	recall_one();
}

static void let_arrive(void)
{
	fake_cm_notify = NULL;
	fake_cm_stall(false);
}

static void message__comes_as_a_notification_is_asked_for__taken(void)
{
	struct md_grant *first, *second;
	atomic_bool stop = false;
	struct md_event *event;
	pthread_t thread;

	connect_both();
	grant_one();
	run_ms(20);
	CU_ASSERT_PTR_NOT_NULL_FATAL(first = md_grant(here_peer, mr, "first"));
	pump();
	fake_cm_stall(true);
	CU_ASSERT_PTR_NOT_NULL_FATAL(second = md_grant(here_peer, mr, "second"));
	pump();
	if (!threaded) {
		fake_cm_notify = let_arrive;
		CU_ASSERT_EQUAL(md_process(there), 0);
		CU_ASSERT_PTR_NULL(fake_cm_notify);
		/* It will not be notified of. */
		for (int i = 0; i < 2; i++) {
			CU_ASSERT_EQUAL_FATAL(md_get_event(there, &event, 0), 0);
			CU_ASSERT_EQUAL(event->type, MD_EVENT_GRANTED);
			md_ack_event(event);
		}
	}
	fake_cm_stall(false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, run_there, &stop), 0);
	CU_ASSERT_EQUAL(md_recall(first), 0);
	CU_ASSERT_EQUAL(md_recall(second), 0);
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
	recall_one();
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Who closes hears of the arrival, and does not wait for its patience to end. */
static void expect_told(void)
{
	struct pollfd pfd = { .fd = md_fd(there), .events = POLLIN };

	CU_ASSERT_EQUAL(md_process(there), 0);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 0);
	fake_cm_stall(false);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 0), 1);
}

static void close__last_message_is_under_way__arrives(void)
{
	connect_both();
	grant_one();
	fake_cm_stall(true);
	run_ms(20);
	CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
	there_peer = NULL;
	run_ms(100);
	CU_ASSERT_EQUAL(fake_cm_connected(), 1);
	if (!threaded)
		expect_told();
	fake_cm_stall(false);
	pass_end(ctx, MD_EVENT_PEER_CLOSED, 0, "ended");
	recall_one();
	CU_ASSERT_EQUAL(fake_cm_connected(), 0);
}

static void close__last_message_does_not_arrive__ends_after_a_while(void)
{
	uint64_t start = md__now();

	connect_both();
	fake_cm_stall(true);
	fake_cm_fail(FAKE_CM_DISCONNECT, 0, 1, EIO);
	CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
	there_peer = NULL;
	pass_end(ctx, MD_EVENT_PEER_DOWN, ECONNRESET, "closed the connection");
	CU_ASSERT(md__now() - start >= LINGER_MS * MD__MSEC);
}

static void close__connection_breaks_meanwhile__ends(void)
{
	connect_both();
	fake_cm_stall(true);
	CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
	there_peer = NULL;
	run_ms(20);
	fake_cm_drop();
	pass(ctx, MD_EVENT_PEER_DOWN);
	run_ms(20);
}

static void context_close__last_message_is_under_way__waits(void)
{
	connect_both();
	fake_cm_stall(true);
	CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
	there_peer = NULL;
	CU_ASSERT_EQUAL(fake_cm_connected(), 1);
	CU_ASSERT_EQUAL(md_close(there), 0);
	CU_ASSERT_EQUAL(fake_cm_connected(), 0);
	there = open_other(0);
	pass(ctx, MD_EVENT_PEER_DOWN);
}

static void close__not_connected_yet__nothing_left(void)
{
	static const enum rdma_cm_event_type held[] = {
		RDMA_CM_EVENT_ADDR_RESOLVED,
		RDMA_CM_EVENT_ROUTE_RESOLVED,
		RDMA_CM_EVENT_CONNECT_REQUEST,
	};

	listen_here();
	for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
		fake_cm_hold(held[i]);
		connect_there();
		run_ms(200);
		CU_ASSERT_EQUAL(md_peer_close(there_peer), 0);
		there_peer = NULL;
		fake_cm_let();
	}
	/* The last one was heard of. */
	take_request();
}

/* ---- fork(2) -------------------------------------------------------------------------------- */

/* As in fork.c: the race detector does not understand the lock's new life. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "mutex:md__fork_hold\ndeadlock:md__fork_hold\n";
}

static bool echild(bool failed)
{
	return failed && errno == ECHILD;
}

static bool has_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[256];
	bool found = false;

	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0';
		found |= !!strstr(target, "anon_inode:");
	}
	closedir(dir);
	return found;
}

static int child(void)
{
	if (has_descriptors())
		return 1;
	if (!echild(!md_listen(ctx, NULL, NULL, NULL)) ||
	    !echild(!md_connect(ctx, "127.0.0.1", PORT, NULL)) ||
	    !echild(md_accept(here_peer, NULL)) || !echild(md_refuse(here_peer)) ||
	    !echild(md_listener_close(listener)) || !echild(md_peer_close(here_peer)))
		return 2;
	return md_close(ctx) || md_close(there) ? 3 : 0;
}

static void child__every_call__echild_and_no_descriptor(void)
{
	int status;
	pid_t pid;

	connect_both();
	grant_one();
	fflush(stdout);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (!pid)
		unit_exit_child(child());
	waitpid(pid, &status, 0);
	CU_ASSERT(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
	use();
	recall_one();
	CU_ASSERT_EQUAL(fake_cm_connected(), 1);
}

static const struct unit_case cases[] = {
	UNIT_CASE(listen__bad_arguments__says_so),
	UNIT_CASE(connect__bad_arguments__says_so),
	UNIT_CASE(accept__peer_does_not_ask__einval),
	UNIT_CASE(peer_calls__carried_peer__einval),
	UNIT_CASE(close__listens_or_has_peer__ebusy),
	UNIT_CASE(listen__no_port__gets_one),
	UNIT_CASE(listen__port_taken__eaddrinuse),
	UNIT_CASE(listen__step_fails__says_so_and_works_again),
	UNIT_CASE(connect__no_event_channel__says_so),
	UNIT_CASE(connect__accepted__up_on_both_sides),
	UNIT_CASE(connect__by_ipv6__address_in_brackets),
	UNIT_CASE(connect__granted__can_be_used_and_recalled),
	UNIT_CASE(connect__refused__closed_for_good),
	UNIT_CASE(refuse__again_and_again__memory_stays),
	UNIT_CASE(connect__nobody_listens__tries_with_growing_pauses),
	UNIT_CASE(connect__many_peers__each_has_its_session),
	UNIT_CASE(connect__given_up_before_answer__asked_once),
	UNIT_CASE(connect__disconnected_before_answer__asked_once),
	UNIT_CASE(accept__not_connected_meanwhile__comes_back_by_itself),
	UNIT_CASE(refuse__not_connected_meanwhile__gone),
	UNIT_CASE(refuse__cannot_be_said__asked_again),
	UNIT_CASE(listener_close__request_under_way__turned_away),
	UNIT_CASE(listener_close__peers__stay),
	UNIT_CASE(request__not_well_formed__told_and_tried_again),
	UNIT_CASE(request__other_major_version__closed),
	UNIT_CASE(request__of_another_session__closed),
	UNIT_CASE(request__session_not_known_any_more__closed),
	UNIT_CASE(lost__comes_back__session_goes_on),
	UNIT_CASE(lost__without_a_word__comes_back),
	UNIT_CASE(lost__open_recall__answered_by_the_next),
	UNIT_CASE(lost__other_side_has_not_noticed__taken_back),
	UNIT_CASE(lost__device_removed__told),
	UNIT_CASE(lost__other_side_is_silent__told_and_tried_again),
	UNIT_CASE(lost__descriptor_is_elsewhere__not_looked_at_any_more),
	UNIT_CASE(connect__step_fails__told_and_tried_again),
	UNIT_CASE(accept__step_fails__told_and_comes_back),
	UNIT_CASE(connect__no_memory_to_register__told_and_tried_again),
	UNIT_CASE(connect__event_of_failure__told_and_tried_again),
	UNIT_CASE(connect__events_cannot_be_had__later),
	UNIT_CASE(accept__never_established__given_up),
	UNIT_CASE(accept__message_before_the_event__counts_as_established),
	UNIT_CASE(accept__event_after_the_close__stays_closed),
	UNIT_CASE(message__step_fails__connects_again),
	UNIT_CASE(message__no_room__sent_when_there_is),
	UNIT_CASE(message__comes_as_a_notification_is_asked_for__taken),
	UNIT_CASE(close__last_message_is_under_way__arrives),
	UNIT_CASE(close__last_message_does_not_arrive__ends_after_a_while),
	UNIT_CASE(close__connection_breaks_meanwhile__ends),
	UNIT_CASE(context_close__last_message_is_under_way__waits),
	UNIT_CASE(close__not_connected_yet__nothing_left),
	UNIT_CASE(child__every_call__echild_and_no_descriptor),
	{ 0 },
};

static int run_all(const char *suite, int argc, char **argv)
{
	return unit_main(suite, cases, setup, teardown, argc, argv);
}

int main(int argc, char **argv)
{
	int failed = run_all("carrier (md_process)", argc, argv);

	threaded = true;
	return run_all("carrier (thread)", argc, argv) | failed;
}
