// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * A real session whose other side is the fuzzer: any bytes arrive, however cut, in
 * between what an application does, breaks and the time. Nothing may crash, leak or
 * hang; what is sent is understood; nobody is told that uses have ended which have
 * not; no queue pair of another peer is fenced; and all can be ended.
 */

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "context.h"
#include "fake_lease.h"
#include "fake_verbs.h"
#include "peer.h"
#include "remote.h"
#include "script.h"
#include "wire.h"

#define PAGE 4096
#define GRANTS 4
#define REMOTES 16
#define HEARD 64
#define OTHER_NAME 0x5eed
#define MSEC UINT64_C(1000000)
#define RW (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

/* The name of the rule is in the log. */
#define must(good)                                                                                 \
	do {                                                                                       \
		if (!(good)) {                                                                     \
			fprintf(stderr, "line %d: %s\n", __LINE__, #good);                         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old);

static struct {
	const uint8_t *at, *end; /* of the input */
	uint64_t time;		 /* ns */
	struct md_context *ctx;
	struct md_map *map;
	struct md_mr *mr;
	struct md_peer *peer, *bystander;
	struct md_grant *grant[GRANTS];
	struct md_remote *remote[REMOTES];
	unsigned int uses[REMOTES];
	struct md_event *held;

	/* Of the connection. */
	uint64_t number;   /* of our last message */
	uint64_t heard_no; /* of the library's last */
	int send_error;
	unsigned int heard, answered;
	bool raw;		    /* bytes have arrived that were not made here */
	uint64_t barrier[64];	    /* of the recalls of a region, modulo that */
	struct md__msg said[HEARD]; /* by the library; a ring */
} f;

static int file = -1;

static uint8_t byte(void)
{
	return f.at < f.end ? *f.at++ : 0;
}

/* ---- time --------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	ts->tv_sec = (time_t)(f.time / (1000 * MSEC));
	ts->tv_nsec = (long)(f.time % (1000 * MSEC));
	return 0;
}

/* To wait is to let time pass. */
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
	(void)fds;
	(void)n;
	f.time += (timeout > 0 ? (uint64_t)timeout : 1) * MSEC;
	return 0;
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *new, struct itimerspec *old)
{
	(void)fd;
	(void)flags;
	(void)new;
	(void)old;
	return 0;
}

/* ---- the connection ----------------------------------------------------- */

static const struct md__remote *inside(const struct md_remote *remote)
{
	return (const struct md__remote *)((const char *)remote - offsetof(struct md__remote, pub));
}

/* An answer about an older grant may have had to wait. */
static bool is_used(const struct md_remote *remote, const struct md__answer_msg *answer)
{
	const struct md__remote *r = inside(remote);

	return r->region == answer->region && r->hold.generation <= answer->generation;
}

static void check_done(const struct md__msg *msg)
{
	for (int i = 0; !f.raw && i < REMOTES; i++)
		must(!f.remote[i] || !f.uses[i] || !is_used(f.remote[i], &msg->answer));
}

static int take(void *arg, const void *message, size_t length)
{
	struct md__msg msg;

	(void)arg;
	if (f.send_error) {
		errno = f.send_error;
		return -1;
	}
	must(md__wire_length(message, length) == length);
	must(!md__wire_decode(message, length, &msg));
	must(msg.number == ++f.heard_no);
	if (msg.type == MD__MSG_RECALL_DONE || msg.type == MD__MSG_FENCED_ACK)
		check_done(&msg);
	f.said[f.heard++ % HEARD] = msg;
	return 0;
}

static void hang_up(void *arg)
{
	(void)arg;
}

static void forget_connection(void)
{
	f.number = 0;
	f.heard_no = 0;
	f.heard = 0;
	f.answered = 0;
}

/* In pieces of @cut bytes, 0: whole; in memory of their own. */
static void arrive(const uint8_t *bytes, size_t length, size_t cut)
{
	while (length) {
		size_t n = cut && cut < length ? cut : length;
		uint8_t *piece = malloc(n);

		memcpy(piece, bytes, n);
		md_peer_input(f.peer, piece, n);
		free(piece);
		bytes += n;
		length -= n;
	}
}

/*
 * A holder that recalls what it has not granted yet, and grants it later all the same,
 * gets the answer while it is used. No connection brings that about by itself.
 */
static void keep_order(struct md__msg *msg)
{
	uint64_t *barrier = &f.barrier[msg->answer.region % 64];

	if (msg->type == MD__MSG_GRANT && msg->grant.generation <= *barrier)
		msg->grant.generation = *barrier + 1;
	if ((msg->type == MD__MSG_RECALL || msg->type == MD__MSG_FENCED) &&
	    msg->recall.barrier > *barrier)
		*barrier = msg->recall.barrier;
}

static void say(struct md__msg *msg, unsigned int wrong, size_t cut)
{
	uint8_t bytes[MD__WIRE_MAX];

	keep_order(msg);
	msg->number = wrong & WRONG_NUMBER ? byte() : ++f.number;
	msg->session = wrong & WRONG_SESSION ? byte() : OTHER_NAME;
	msg->seen = wrong & WRONG_SEEN ? byte() : (uint32_t)f.heard_no;
	arrive(bytes, md__wire_encode(msg, bytes), cut);
}

static const struct md__msg *last_said(void)
{
	static const struct md__msg none;

	return f.heard ? &f.said[(f.heard - 1) % HEARD] : &none;
}

static void fill_grant(struct md__msg *msg, uint8_t bits)
{
	msg->grant = (struct md__grant_msg){
		.region = 1 + bits % 4,
		.generation = 1 + bits / 4 % 8,
		.addr = PAGE,
		.length = PAGE,
		.rkey = bits,
		.flags = bits / 32,
		.name = "data",
	};
}

/* The fields have few values, so that messages are often about the same thing. */
static void make(struct md__msg *msg, uint8_t bits, bool like_last)
{
	const struct md__msg *last = last_said();

	switch (msg->type) {
	case MD__MSG_HELLO:
		msg->hello = (struct md__hello){
			.incarnation = 1 + (bits & 1),
			.other = bits & 2 ? last->session : 0,
			.window = 1 + (bits >> 2),
			.keepalive_ms = 1000,
		};
		break;
	case MD__MSG_HELLO_ACK:
		msg->hello_ack.session = last->session;
		break;
	case MD__MSG_GRANT:
		fill_grant(msg, bits);
		break;
	case MD__MSG_RECALL:
	case MD__MSG_FENCED:
		msg->recall = (struct md__recall_msg){
			.region = 1 + bits % 4,
			.barrier = 1 + bits / 4 % 8,
			.id = 1 + bits / 32 % 4,
			.reason = bits % 8,
			.flags = bits / 128 ? MD__RECALL_FINAL : 0,
		};
		break;
	case MD__MSG_PERSIST_REQ:
		msg->persist_req.count = bits;
		break;
	case MD__MSG_WANT:
	case MD__MSG_RELEASE:
		msg->region = (struct md__region_msg){ 1 + bits % 4, 1 + bits / 4 % 8 };
		break;
	case MD__MSG_ERROR:
	case MD__MSG_BYE:
		msg->error.code = bits;
		break;
	default:
		msg->answer = (struct md__answer_msg){ 1 + bits % 4, 1 + bits / 4 % 8, bits / 32 };
	}
	if (like_last && msg->type != MD__MSG_HELLO) /* region, generation and id are first */
		msg->answer = (struct md__answer_msg){ last->answer.region, last->answer.generation,
						       last->answer.id };
}

static void message(void)
{
	uint8_t type = byte();
	struct md__msg msg = { .type = 1 + type % (MD__MSG_TYPES - 1) };
	uint8_t wrong = byte();

	make(&msg, byte(), wrong & LIKE_LAST);
	say(&msg, wrong, wrong >> 4);
}

static void answer_with(uint16_t type, const struct md__msg *to)
{
	struct md__msg msg = { .type = type, .answer = to->answer };

	if (type == MD__MSG_GRANT_ACK)
		msg.answer.id = 0;
	say(&msg, 0, 0);
}

static void answer_one(const struct md__msg *to)
{
	struct md__msg msg = { 0 };

	switch (to->type) {
	case MD__MSG_HELLO:
		msg.type = MD__MSG_HELLO;
		msg.hello = (struct md__hello){ 1, to->session, 32, 1000 };
		if (!f.number)
			say(&msg, 0, 0);
		msg = (struct md__msg){ .type = MD__MSG_HELLO_ACK };
		msg.hello_ack.session = to->session;
		say(&msg, 0, 0);
		break;
	case MD__MSG_GRANT:
		answer_with(MD__MSG_GRANT_ACK, to);
		break;
	case MD__MSG_RECALL:
		answer_with(MD__MSG_RECALL_ACK, to);
		answer_with(MD__MSG_RECALL_DONE, to);
		break;
	case MD__MSG_FENCED:
		answer_with(MD__MSG_FENCED_ACK, to);
		break;
	case MD__MSG_PING:
		answer_with(MD__MSG_PONG, to);
		break;
	default:
		break;
	}
}

static void answer(unsigned int count)
{
	struct md__msg to;

	while (count-- && f.answered < f.heard) {
		if (f.heard - f.answered > HEARD)
			f.answered = f.heard - HEARD;
		to = f.said[f.answered++ % HEARD];
		answer_one(&to);
	}
}

/* ---- the application ---------------------------------------------------- */

static void note_remote(struct md_remote *remote)
{
	int spare = -1;

	for (int i = REMOTES - 1; i >= 0; i--) {
		if (f.remote[i] == remote)
			return;
		if (!f.remote[i])
			spare = i;
	}
	if (spare >= 0)
		f.remote[spare] = remote;
}

static void event(bool hold)
{
	struct md_event *e;

	if (md_get_event(f.ctx, &e, 0))
		return;
	must(strlen(e->message) > 0);
	if (e->type == MD_EVENT_GRANTED)
		note_remote(e->remote);
	if (hold && !f.held)
		f.held = e;
	else
		md_ack_event(e);
}

static void let_event(void)
{
	if (f.held)
		md_ack_event(f.held);
	f.held = NULL;
}

static void use(unsigned int i)
{
	if (!f.remote[i])
		return;
	md_remote_wait(f.remote[i], 0);
	if (f.uses[i] < 4 && !md_remote_get(f.remote[i])) {
		must(md_remote_find(f.peer, f.remote[i]->name));
		f.uses[i]++;
	}
}

static void end_use(unsigned int i)
{
	if (f.uses[i]) {
		md_remote_put(f.remote[i]);
		f.uses[i]--;
	}
}

static void release(unsigned int i)
{
	if (!f.remote[i])
		return;
	if (md_remote_release(f.remote[i]))
		must(errno == EBUSY);
	else
		f.remote[i] = NULL;
}

static void grant(unsigned int i)
{
	if (!f.grant[i])
		f.grant[i] = md_grant(f.peer, f.mr, "data");
}

static void recall(unsigned int i)
{
	must(!md_recall(f.grant[i]));
	f.grant[i] = NULL;
}

static void set_send_mode(uint8_t mode)
{
	const int error[] = { 0, 0, EAGAIN, EPIPE };

	f.send_error = error[mode % 4];
}

static void act(void)
{
	uint8_t action = byte();
	uint8_t arg = action / ACTIONS;
	size_t n;

	switch (action % ACTIONS) {
	case BYTES:
		n = byte();
		if (n > (size_t)(f.end - f.at))
			n = (size_t)(f.end - f.at);
		f.raw = true;
		arrive(f.at, n, arg);
		f.at += n;
		break;
	case MESSAGE:
		message();
		break;
	case ANSWER:
		answer(arg + 1);
		break;
	case CONNECTED:
		if (!f.peer->connected)
			forget_connection();
		md_peer_connected(f.peer);
		break;
	case LOST:
		md_peer_lost(f.peer);
		break;
	case SEND_MODE:
		set_send_mode(arg);
		break;
	case PROCESS:
		must(!md_process(f.ctx));
		break;
	case TIME:
		f.time += MSEC << arg;
		must(!md_process(f.ctx));
		break;
	case BREAK:
		if (arg == 15) /* the file does not come back */
			fake_lease_fail(1, EPERM);
		fake_lease_break(MD_REASON_LAYOUT, 1U << arg);
		must(!md_process(f.ctx));
		break;
	case GRANT:
		grant(arg % GRANTS);
		break;
	case RECALL:
		recall(arg % GRANTS);
		break;
	case GET:
		use(arg);
		break;
	case PUT:
		end_use(arg);
		break;
	case RELEASE:
		release(arg);
		break;
	case EVENT:
		let_event();
		event(false);
		break;
	default:
		event(true);
	}
}

/* ---- begin and end ------------------------------------------------------ */

static void begin(void)
{
	const struct md_peer_ops ops = { .size = sizeof(ops), .send = take, .close = hang_up };
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = MD_OPEN_NO_THREAD,
		.drain_budget_ms = 50,
	};
	const struct md_map_attr map_attr = { .size = sizeof(map_attr), .flags = MD_MAP_RESTORE };

	fake_verbs_reset();
	fake_lease_reset();
	f.time = 1000 * 1000 * MSEC;
	f.ctx = md_open(&attr);
	must(f.ctx);
	f.ctx->ops = &fake_lease;
	f.map = md_map(f.ctx, file, 0, PAGE, &map_attr);
	must(f.map);
	f.mr = md_reg_mr(&fake_pd, f.map, 0, PAGE, RW);
	f.peer = md_peer_new(f.ctx, &ops, NULL, NULL);
	f.bystander = md_peer_new(f.ctx, &ops, NULL, NULL);
	must(f.mr && f.peer && f.bystander);
	must(!md_attach_qp(f.map, &fake_qp[0], f.peer));
	must(!md_attach_qp(f.map, &fake_qp[1], f.bystander));
}

static void end(void)
{
	let_event();
	for (unsigned int i = 0; i < REMOTES; i++) {
		while (f.uses[i])
			end_use(i);
		release(i);
	}
	for (int i = 0; i < 20; i++)
		event(false);
	for (unsigned int i = 0; i < GRANTS; i++)
		recall(i);
	must(!fake_qp_fenced(&fake_qp[1]));
	must(!md_detach_qp(f.map, &fake_qp[0]));
	must(!md_detach_qp(f.map, &fake_qp[1]));
	must(!md_dereg_mr(f.mr));
	must(!md_unmap(f.map));
	must(!md_peer_close(f.peer));
	must(!md_peer_close(f.bystander));
	must(!md_close(f.ctx));
	must(!fake_verbs_live() && !fake_verbs_strays() && !fake_lease_strays());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (file < 0) {
		file = memfd_create("data", MFD_CLOEXEC);
		must(!ftruncate(file, PAGE));
	}
	memset(&f, 0, sizeof(f));
	f.at = data;
	f.end = data + size;
	begin();
	while (f.at < f.end)
		act();
	end();
	return 0;
}
