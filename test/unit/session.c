// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "session.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "wire.h"

#define QUEUE (256 * MD_MESSAGE_MAX)
#define PATIENCE_MS 10000

/* What one side has sent and the other has not got. */
struct queue {
	struct session *session;
	enum side from;
	size_t length;
	uint8_t bytes[QUEUE];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct queue queue[SESSIONS][2];
static int sessions;

struct ibv_context *session_adapter = &fake_adapter[0];
size_t (*session_rewrite)(enum side from, const uint8_t *message, size_t length, uint8_t *out);

static int take(void *arg, const void *message, size_t length)
{
	struct queue *q = arg;
	struct session_way *way = &q->session->way[q->from];
	int err;

	pthread_mutex_lock(&lock);
	err = way->send_error;
	if (!err && q->length + length > QUEUE)
		err = EAGAIN;
	if (!err) {
		memcpy(q->bytes + q->length, message, length);
		q->length += length;
		way->sent++;
	}
	pthread_mutex_unlock(&lock);
	errno = err ?: errno;
	return err ? -1 : 0;
}

static void hang_up(void *arg)
{
	struct queue *q = arg;

	pthread_mutex_lock(&lock);
	q->session->way[q->from].closed++;
	pthread_mutex_unlock(&lock);
}

/* They are whole, as they were sent. */
static void arrive_rewritten(struct queue *q, const uint8_t *bytes, size_t length)
{
	uint8_t out[SESSION_REWRITTEN];
	size_t whole;

	for (; length; bytes += whole, length -= whole) {
		whole = md__wire_length(bytes, length);
		md_peer_input(q->session->peer[!q->from], out,
			      session_rewrite(q->from, bytes, whole, out));
	}
}

static bool deliver(struct queue *q)
{
	static _Thread_local uint8_t bytes[QUEUE];
	size_t length;

	pthread_mutex_lock(&lock);
	length = q->session->way[q->from].stopped ? 0 : q->length;
	memcpy(bytes, q->bytes, length);
	q->length -= length;
	pthread_mutex_unlock(&lock);
	if (length && session_rewrite)
		arrive_rewritten(q, bytes, length);
	else if (length)
		md_peer_input(q->session->peer[!q->from], bytes, length);
	return length;
}

static void pump_all(void)
{
	pump();
	for (int i = 0; i < sessions; i++) {
		if (!threaded && queue[i][PEER].session->ctx)
			md_process(queue[i][PEER].session->ctx);
	}
}

/* Threads may still be about to send: quiet for a while is quiet. */
void sessions_run(void)
{
	for (int quiet = 0; quiet < (threaded ? 20 : 3); quiet++) {
		pump_all();
		for (int i = 0; i < sessions; i++) {
			bool moved = deliver(&queue[i][HOLDER]);

			moved |= deliver(&queue[i][PEER]);
			if (moved)
				quiet = 0;
		}
		if (threaded)
			usleep(200);
	}
}

static void open_one(struct session *s, int n)
{
	const struct md_peer_ops ops = {
		.size = sizeof(ops), .send = take, .close = hang_up, .verbs = session_adapter
	};
	const struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
	};

	memset(s, 0, sizeof(*s));
	s->ctx = md_open(&attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(s->ctx);
	for (enum side side = HOLDER; side <= PEER; side++) {
		queue[n][side].session = s;
		queue[n][side].from = side;
		queue[n][side].length = 0;
		s->peer[side] =
			md_peer_new(side == HOLDER ? ctx : s->ctx, &ops, &queue[n][side], s);
		CU_ASSERT_PTR_NOT_NULL_FATAL(s->peer[side]);
	}
}

void sessions_make(struct session *s, int count)
{
	for (int i = 0; i < count; i++)
		open_one(&s[i], i);
	sessions = count;
}

void sessions_open(struct session *s, int count)
{
	sessions_make(s, count);
	for (int i = 0; i < count; i++)
		session_mend(&s[i]);
	for (int i = 0; i < count; i++) {
		holder_pass(MD_EVENT_PEER_UP);
		session_pass(&s[i], MD_EVENT_PEER_UP);
	}
}

void sessions_close(struct session *s, int count)
{
	for (int i = 0; i < count; i++) {
		CU_ASSERT_EQUAL(md_peer_close(s[i].peer[HOLDER]), 0);
		CU_ASSERT_EQUAL(md_peer_close(s[i].peer[PEER]), 0);
		CU_ASSERT_EQUAL(md_close(s[i].ctx), 0);
	}
	sessions = 0;
}

struct elsewhere {
	enum side busy;
	atomic_bool stop;
};

/* What happens elsewhere while the main thread is in a call that waits. */
static void *elsewhere(void *arg)
{
	struct elsewhere *e = arg;

	while (!atomic_load(&e->stop)) {
		if (!threaded && e->busy != HOLDER)
			md_process(ctx);
		for (int i = 0; i < sessions; i++) {
			if (!threaded && e->busy != PEER)
				md_process(queue[i][PEER].session->ctx);
			deliver(&queue[i][HOLDER]);
			deliver(&queue[i][PEER]);
		}
		usleep(100);
	}
	return NULL;
}

/* Which side's context the main thread drives itself, being in the call. */
static int session_call(int (*call)(void *of, int arg), void *of, int arg, enum side busy)
{
	struct elsewhere e = { .busy = busy };
	pthread_t thread;
	int err, saved;

	CU_ASSERT_EQUAL_FATAL(pthread_create(&thread, NULL, elsewhere, &e), 0);
	err = call(of, arg);
	saved = errno;
	atomic_store(&e.stop, true);
	pthread_join(thread, NULL);
	errno = saved;
	return err;
}

static int call_recall(void *of, int arg)
{
	(void)arg;
	return md_recall(of);
}

int session_recall(struct md_grant *grant)
{
	return session_call(call_recall, grant, 0, HOLDER);
}

static int call_wait(void *of, int arg)
{
	return md_remote_wait(of, arg);
}

int session_wait(struct md_remote *remote, int timeout_ms)
{
	return session_call(call_wait, remote, timeout_ms, PEER);
}

static struct queue *queue_of(struct session *s, enum side from)
{
	for (int i = 0; i < sessions; i++) {
		if (queue[i][from].session == s)
			return &queue[i][from];
	}
	abort();
}

void session_drop(struct session *s, enum side from)
{
	pthread_mutex_lock(&lock);
	queue_of(s, from)->length = 0;
	pthread_mutex_unlock(&lock);
}

bool session_deliver(struct session *s, enum side from)
{
	return deliver(queue_of(s, from));
}

void session_repeat(struct session *s, enum side from)
{
	struct queue *q = queue_of(s, from);

	pthread_mutex_lock(&lock);
	CU_ASSERT_FATAL(2 * q->length <= QUEUE);
	memcpy(q->bytes + q->length, q->bytes, q->length);
	q->length *= 2;
	pthread_mutex_unlock(&lock);
}

void session_cut(struct session *s)
{
	CU_ASSERT_EQUAL(md_peer_lost(s->peer[HOLDER]), 0);
	CU_ASSERT_EQUAL(md_peer_lost(s->peer[PEER]), 0);
	session_drop(s, HOLDER);
	session_drop(s, PEER);
}

void session_mend(struct session *s)
{
	CU_ASSERT_EQUAL(md_peer_connected(s->peer[HOLDER]), 0);
	CU_ASSERT_EQUAL(md_peer_connected(s->peer[PEER]), 0);
}

static struct md_event *next_event(struct md_context *of, enum md_event_type type)
{
	struct md_event *event = NULL;

	for (int ms = 0; ms < PATIENCE_MS; ms++) {
		if (!md_get_event(of, &event, 0))
			break;
		sessions_run();
		usleep(1000);
	}
	CU_ASSERT_PTR_NOT_NULL_FATAL(event);
	if (event->type != type)
		printf("\n    expected %s, got %s: %s ", md_event_str(type),
		       md_event_str(event->type), event->message);
	CU_ASSERT_EQUAL_FATAL(event->type, type);
	CU_ASSERT_NOT_EQUAL(strlen(event->message), 0);
	return event;
}

struct md_event *session_event(struct session *s, enum md_event_type type)
{
	return next_event(s->ctx, type);
}

void session_pass(struct session *s, enum md_event_type type)
{
	md_ack_event(session_event(s, type));
}

struct md_event *holder_event(enum md_event_type type)
{
	return next_event(ctx, type);
}

void holder_pass(enum md_event_type type)
{
	md_ack_event(holder_event(type));
}

struct md_remote *session_granted(struct session *s)
{
	struct md_event *event = session_event(s, MD_EVENT_GRANTED);
	struct md_remote *remote = event->remote;

	CU_ASSERT_PTR_EQUAL(event->peer, s->peer[PEER]);
	CU_ASSERT_PTR_NOT_NULL_FATAL(remote);
	md_ack_event(event);
	return remote;
}

void session_reconnect(struct session *s)
{
	session_cut(s);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(s, MD_EVENT_PEER_DOWN);
	session_mend(s);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(s, MD_EVENT_PEER_UP);
}
