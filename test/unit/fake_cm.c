// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "fake_cm.h"
#include "fake_verbs.h"

#define SLOTS 256 /* of any queue here */
#define CQS 2	  /* of a channel */
#define BYTES 256 /* of a message, and of private data */
#define FIRST_PORT 40000
#define NOBODY_LISTENS 8 /* the status of such a refusal */

struct fake_event {
	struct rdma_cm_event rdma;
	uint8_t data[BYTES];
	TAILQ_ENTRY(fake_event) events;
};

struct fake_channel {
	struct rdma_event_channel rdma;
	TAILQ_HEAD(, fake_event) events;
	bool raised;
	TAILQ_ENTRY(fake_channel) channels;
};

enum state {
	IDLE,
	LISTENING,
	CONNECTING, /* has asked */
	REQUESTED,  /* was asked */
	CONNECTED,
	OVER,
};

struct fake_id {
	struct rdma_cm_id rdma;
	enum state state;
	bool was_asked;
	bool ready; /* its queue pair can receive */
	bool timed; /* its ACK timeout is set */
	struct fake_id *other;
	unsigned int unacked;
	TAILQ_ENTRY(fake_id) ids;
};

struct fake_cq {
	struct ibv_cq ibv;
	bool armed;
	unsigned int untaken, unacked; /* events */
	unsigned int first, count;
	struct ibv_wc wc[SLOTS];
};

struct fake_comp_channel {
	struct ibv_comp_channel ibv;
	struct fake_cq *cq[CQS];
};

struct message {
	uint64_t wr_id;
	uint32_t length;
	uint8_t bytes[BYTES];
};

struct conn_qp {
	struct ibv_qp ibv;
	struct fake_id *id;
	unsigned int first_recv, recvs;
	unsigned int first_send, sends; /* not arrived yet */
	unsigned int unsaid;		/* arrived, and not said to have */
	struct ibv_recv_wr recv[SLOTS];
	struct ibv_sge recv_sge[SLOTS];
	struct message send[SLOTS];
};

struct failure {
	unsigned int skip, times;
	int error;
};

void (*fake_cm_request)(void *data, uint8_t *length);
void (*fake_cm_notify)(void);

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, fake_channel) channels = TAILQ_HEAD_INITIALIZER(channels);
static TAILQ_HEAD(fake_ids, fake_id) ids = TAILQ_HEAD_INITIALIZER(ids);
static struct failure failure[FAKE_CM_STEPS];
static uint32_t held_types;
static enum rdma_cm_event_type turned_from, turned_to;
static bool turns, accepts_held, is_stalled, sends_held;
static unsigned int tries, starved, live, misuses;
static uint16_t last_port = FIRST_PORT;
static struct ibv_pd message_pd;

/* With the lock: says where it was found. */
static void note_misuse(bool is, int line)
{
	if (!is)
		return;
	misuses++;
	printf("\n    fake_cm.c:%d: misuse ", line);
}

#define MISUSE(is) note_misuse(is, __LINE__)

/* With the lock. */
static bool fails(enum fake_cm_step step)
{
	struct failure *f = &failure[step];

	if (!f->times)
		return false;
	if (f->skip) {
		f->skip--;
		return false;
	}
	f->times--;
	errno = f->error;
	return true;
}

static void lock_it(void)
{
	pthread_mutex_lock(&lock);
}

static void unlock_it(void)
{
	pthread_mutex_unlock(&lock);
}

/* Before the library does, whose own handlers make calls. */
static void __attribute__((constructor)) prepare_for_fork(void)
{
	pthread_atfork(lock_it, unlock_it, unlock_it);
}

/* ---- completions ----------------------------------------------------------- */

static void complete(struct ibv_cq *ibv, uint64_t wr_id, enum ibv_wc_status status, uint32_t length)
{
	struct fake_cq *cq = (struct fake_cq *)ibv;
	const uint64_t one = 1;

	if (cq->count == SLOTS) {
		MISUSE(true);
		return;
	}
	cq->wc[(cq->first + cq->count++) % SLOTS] =
		(struct ibv_wc){ .wr_id = wr_id, .status = status, .byte_len = length };
	if (!cq->armed)
		return;
	cq->armed = false;
	cq->untaken++;
	MISUSE(write(ibv->channel->fd, &one, sizeof(one)) != sizeof(one));
}

static int poll_cq(struct ibv_cq *ibv, int n, struct ibv_wc *wc)
{
	struct fake_cq *cq = (struct fake_cq *)ibv;
	int got = 0;

	pthread_mutex_lock(&lock);
	if (fails(FAKE_CM_POLL))
		got = -1;
	while (got >= 0 && got < n && cq->count) {
		wc[got++] = cq->wc[cq->first];
		cq->first = (cq->first + 1) % SLOTS;
		cq->count--;
	}
	pthread_mutex_unlock(&lock);
	return got;
}

static int req_notify_cq(struct ibv_cq *ibv, int solicited_only)
{
	int error = 0;

	(void)solicited_only;
	if (fake_cm_notify)
		fake_cm_notify();
	pthread_mutex_lock(&lock);
	if (fails(FAKE_CM_NOTIFY))
		error = errno;
	else
		((struct fake_cq *)ibv)->armed = true;
	pthread_mutex_unlock(&lock);
	return error;
}

/* ---- messages --------------------------------------------------------------- */

static struct conn_qp *qp_of(const struct fake_id *id)
{
	return id && id->state == CONNECTED ? (struct conn_qp *)id->rdma.qp : NULL;
}

static void say_sent(struct conn_qp *qp)
{
	while (qp->unsaid && !sends_held) {
		qp->unsaid--;
		complete(qp->ibv.send_cq, qp->send[qp->first_send].wr_id, IBV_WC_SUCCESS, 0);
		qp->first_send = (qp->first_send + 1) % SLOTS;
	}
}

static void deliver(struct conn_qp *qp)
{
	struct conn_qp *to = qp_of(qp->id) ? qp_of(qp->id->other) : NULL;

	say_sent(qp);
	if (!to || !to->id->ready || to->ibv.state == IBV_QPS_ERR)
		return;
	while (qp->sends && !is_stalled) {
		const struct message *m = &qp->send[(qp->first_send + qp->unsaid) % SLOTS];
		unsigned int n = to->first_recv;

		if (!to->recvs) {
			starved++;
			break;
		}
		memcpy((void *)(uintptr_t)to->recv_sge[n].addr, m->bytes, m->length);
		complete(to->ibv.recv_cq, to->recv[n].wr_id, IBV_WC_SUCCESS, m->length);
		to->first_recv = (n + 1) % SLOTS;
		to->recvs--;
		qp->sends--;
		qp->unsaid++;
		say_sent(qp);
	}
}

static void flush(struct conn_qp *qp)
{
	qp->ibv.state = IBV_QPS_ERR;
	for (; qp->sends + qp->unsaid; qp->unsaid ? qp->unsaid-- : qp->sends--) {
		complete(qp->ibv.send_cq, qp->send[qp->first_send].wr_id, IBV_WC_WR_FLUSH_ERR, 0);
		qp->first_send = (qp->first_send + 1) % SLOTS;
	}
	for (; qp->recvs; qp->recvs--) {
		complete(qp->ibv.recv_cq, qp->recv[qp->first_recv].wr_id, IBV_WC_WR_FLUSH_ERR, 0);
		qp->first_recv = (qp->first_recv + 1) % SLOTS;
	}
}

static int post_send(struct ibv_qp *ibv, struct ibv_send_wr *wr, struct ibv_send_wr **bad)
{
	struct conn_qp *qp = (struct conn_qp *)ibv;
	struct message *m;
	int error = 0;

	pthread_mutex_lock(&lock);
	if (fails(FAKE_CM_SEND)) {
		error = errno;
		*bad = wr;
	} else {
		m = &qp->send[(qp->first_send + qp->unsaid + qp->sends) % SLOTS];
		m->wr_id = wr->wr_id;
		m->length = wr->sg_list->length;
		memcpy(m->bytes, (void *)(uintptr_t)wr->sg_list->addr, m->length);
		qp->sends++;
		if (ibv->state == IBV_QPS_ERR)
			flush(qp);
		else
			deliver(qp);
	}
	pthread_mutex_unlock(&lock);
	return error;
}

static int post_recv(struct ibv_qp *ibv, struct ibv_recv_wr *wr, struct ibv_recv_wr **bad)
{
	struct conn_qp *qp = (struct conn_qp *)ibv;
	int error = 0;

	pthread_mutex_lock(&lock);
	if (fails(FAKE_CM_RECV)) {
		error = errno;
		*bad = wr;
	} else {
		unsigned int n = (qp->first_recv + qp->recvs++) % SLOTS;

		qp->recv[n] = *wr;
		qp->recv_sge[n] = *wr->sg_list;
		if (ibv->state == IBV_QPS_ERR)
			flush(qp);
		else if (qp_of(qp->id) && qp_of(qp->id->other))
			deliver(qp_of(qp->id->other));
	}
	pthread_mutex_unlock(&lock);
	return error;
}

static struct ibv_context device = {
	.device = &fake_device[0],
	.ops = {
		.poll_cq = poll_cq,
		.req_notify_cq = req_notify_cq,
		.post_send = post_send,
		.post_recv = post_recv,
	},
};

/* ---- objects of a connection -------------------------------------------------- */

struct ibv_comp_channel *ibv_create_comp_channel(struct ibv_context *context)
{
	struct fake_comp_channel *channel = NULL;

	pthread_mutex_lock(&lock);
	if (!fails(FAKE_CM_COMP_CHANNEL)) {
		channel = calloc(1, sizeof(*channel));
		channel->ibv.context = context;
		channel->ibv.fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
		live++;
	}
	pthread_mutex_unlock(&lock);
	return channel ? &channel->ibv : NULL;
}

int ibv_destroy_comp_channel(struct ibv_comp_channel *ibv)
{
	struct fake_comp_channel *channel = (struct fake_comp_channel *)ibv;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < CQS; i++)
		MISUSE(!!channel->cq[i]);
	live--;
	close(ibv->fd);
	free(channel);
	pthread_mutex_unlock(&lock);
	return 0;
}

/* Where the channel has it; NULL: where there is none. */
static struct fake_cq **cq_place(struct ibv_comp_channel *ibv, const struct fake_cq *cq)
{
	struct fake_comp_channel *channel = (struct fake_comp_channel *)ibv;
	int i = 0;

	while (channel->cq[i] != cq)
		i++;
	return &channel->cq[i];
}

struct ibv_cq *ibv_create_cq(struct ibv_context *context, int entries, void *cq_context,
			     struct ibv_comp_channel *channel, int vector)
{
	struct fake_cq *cq = NULL;

	(void)entries;
	(void)vector;
	pthread_mutex_lock(&lock);
	if (!fails(FAKE_CM_CQ)) {
		cq = calloc(1, sizeof(*cq));
		cq->ibv.context = context;
		cq->ibv.channel = channel;
		cq->ibv.cq_context = cq_context;
		*cq_place(channel, NULL) = cq;
		live++;
	}
	pthread_mutex_unlock(&lock);
	return cq ? &cq->ibv : NULL;
}

int ibv_destroy_cq(struct ibv_cq *ibv)
{
	struct fake_cq *cq = (struct fake_cq *)ibv;

	pthread_mutex_lock(&lock);
	MISUSE(cq->unacked);
	*cq_place(ibv->channel, cq) = NULL;
	live--;
	free(cq);
	pthread_mutex_unlock(&lock);
	return 0;
}

int ibv_get_cq_event(struct ibv_comp_channel *ibv, struct ibv_cq **cq, void **cq_context)
{
	struct fake_comp_channel *channel = (struct fake_comp_channel *)ibv;
	uint64_t count;
	int err = -1;

	if (read(ibv->fd, &count, sizeof(count)) != sizeof(count))
		return -1;
	pthread_mutex_lock(&lock);
	for (int i = 0; i < CQS; i++) {
		struct fake_cq *of = channel->cq[i];

		if (!of || !of->untaken)
			continue;
		of->untaken--;
		of->unacked++;
		*cq = &of->ibv;
		*cq_context = of->ibv.cq_context;
		err = 0;
		break;
	}
	pthread_mutex_unlock(&lock);
	if (err) /* a test has made it readable */
		errno = EAGAIN;
	return err;
}

void ibv_ack_cq_events(struct ibv_cq *ibv, unsigned int n)
{
	pthread_mutex_lock(&lock);
	((struct fake_cq *)ibv)->unacked -= n;
	pthread_mutex_unlock(&lock);
}

int rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	struct conn_qp *qp = NULL;

	(void)pd;
	pthread_mutex_lock(&lock);
	if (!fails(FAKE_CM_QP)) {
		qp = calloc(1, sizeof(*qp));
		qp->ibv.context = id->verbs;
		qp->ibv.send_cq = attr->send_cq;
		qp->ibv.recv_cq = attr->recv_cq;
		qp->id = (struct fake_id *)id;
		message_pd.context = id->verbs;
		id->pd = &message_pd;
		id->qp = &qp->ibv;
		live++;
	}
	pthread_mutex_unlock(&lock);
	return qp ? 0 : -1;
}

void rdma_destroy_qp(struct rdma_cm_id *id)
{
	pthread_mutex_lock(&lock);
	free(id->qp);
	id->qp = NULL;
	live--;
	pthread_mutex_unlock(&lock);
}

/* ---- events ------------------------------------------------------------------- */

static bool is_held(const struct fake_event *event)
{
	if (event->rdma.event == RDMA_CM_EVENT_ESTABLISHED && accepts_held)
		return ((struct fake_id *)event->rdma.id)->was_asked;
	return held_types & 1U << event->rdma.event;
}

static struct fake_event *first_event(struct fake_channel *channel)
{
	struct fake_event *event;

	TAILQ_FOREACH(event, &channel->events, events) {
		if (!is_held(event))
			break;
	}
	return event;
}

/* The descriptor is readable while there is an event to be had. */
static void update(struct fake_channel *channel)
{
	bool raise = first_event(channel);
	uint64_t count = 1;

	if (raise && !channel->raised)
		MISUSE(write(channel->rdma.fd, &count, sizeof(count)) != sizeof(count));
	if (!raise && channel->raised)
		MISUSE(read(channel->rdma.fd, &count, sizeof(count)) != sizeof(count));
	channel->raised = raise;
}

static struct rdma_cm_event *post(struct fake_id *id, enum rdma_cm_event_type type,
				  const void *data, uint8_t length)
{
	struct fake_channel *channel = (struct fake_channel *)id->rdma.channel;
	struct fake_event *event = calloc(1, sizeof(*event));

	if (turns && type == turned_from) {
		turns = false;
		type = turned_to;
	}
	event->rdma.id = &id->rdma;
	event->rdma.event = type;
	if (length) {
		memcpy(event->data, data, length);
		event->rdma.param.conn.private_data = event->data;
		event->rdma.param.conn.private_data_len = length;
	}
	TAILQ_INSERT_TAIL(&channel->events, event, events);
	update(channel);
	return &event->rdma;
}

/* Who has asked lets the other side know that it has got the answer. */
static void answer(struct fake_id *id)
{
	if (id->was_asked || !id->other)
		return;
	id->ready = true;
	post(id->other, RDMA_CM_EVENT_ESTABLISHED, NULL, 0);
}

int rdma_get_cm_event(struct rdma_event_channel *rdma, struct rdma_cm_event **out)
{
	struct fake_channel *channel = (struct fake_channel *)rdma;
	struct fake_event *event = NULL;

	pthread_mutex_lock(&lock);
	if (!fails(FAKE_CM_GET_EVENT)) {
		event = first_event(channel);
		errno = EAGAIN;
	}
	if (event) {
		TAILQ_REMOVE(&channel->events, event, events);
		update(channel);
		((struct fake_id *)event->rdma.id)->unacked++;
		if (event->rdma.event == RDMA_CM_EVENT_ESTABLISHED)
			answer((struct fake_id *)event->rdma.id);
		*out = &event->rdma;
	}
	pthread_mutex_unlock(&lock);
	return event ? 0 : -1;
}

int rdma_ack_cm_event(struct rdma_cm_event *event)
{
	pthread_mutex_lock(&lock);
	((struct fake_id *)event->id)->unacked--;
	/* What was in it is not to be looked at any more. */
	memset(event, 0xa5, sizeof(struct fake_event));
	free(event);
	pthread_mutex_unlock(&lock);
	return 0;
}

struct rdma_event_channel *rdma_create_event_channel(void)
{
	struct fake_channel *channel = NULL;

	pthread_mutex_lock(&lock);
	if (!fails(FAKE_CM_CHANNEL)) {
		channel = calloc(1, sizeof(*channel));
		channel->rdma.fd = eventfd(0, 0);
		TAILQ_INIT(&channel->events);
		TAILQ_INSERT_TAIL(&channels, channel, channels);
		live++;
	}
	pthread_mutex_unlock(&lock);
	return channel ? &channel->rdma : NULL;
}

void rdma_destroy_event_channel(struct rdma_event_channel *rdma)
{
	struct fake_channel *channel = (struct fake_channel *)rdma;
	struct fake_event *event;
	struct fake_id *id;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(id, &ids, ids)
		MISUSE(id->rdma.channel == rdma);
	while ((event = TAILQ_FIRST(&channel->events))) {
		TAILQ_REMOVE(&channel->events, event, events);
		free(event);
	}
	TAILQ_REMOVE(&channels, channel, channels);
	live--;
	close(rdma->fd);
	free(channel);
	pthread_mutex_unlock(&lock);
}

/* ---- ids ------------------------------------------------------------------------ */

static struct fake_id *new_id(struct rdma_event_channel *channel, void *context)
{
	struct fake_id *id = calloc(1, sizeof(*id));

	id->rdma.channel = channel;
	id->rdma.context = context;
	TAILQ_INSERT_TAIL(&ids, id, ids);
	live++;
	return id;
}

int rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
		   enum rdma_port_space ps)
{
	bool failed;

	(void)ps;
	pthread_mutex_lock(&lock);
	failed = fails(FAKE_CM_ID);
	if (!failed)
		*id = &new_id(channel, context)->rdma;
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

static void disconnect(struct fake_id *id)
{
	struct fake_id *other = id->other;

	id->state = OVER;
	id->other = NULL;
	if (id->rdma.qp)
		flush((struct conn_qp *)id->rdma.qp);
	if (!other)
		return;
	other->other = NULL;
	other->state = OVER;
	post(other, RDMA_CM_EVENT_DISCONNECTED, NULL, 0);
}

static void refuse(struct fake_id *id, const void *data, uint8_t length, int status)
{
	struct fake_id *other = id->other;

	id->state = OVER;
	id->other = NULL;
	if (!other)
		return;
	other->other = NULL;
	other->state = OVER;
	post(other, RDMA_CM_EVENT_REJECTED, data, length)->status = status;
}

static void free_id(struct fake_id *id);

static void drop_events(struct fake_id *id)
{
	struct fake_channel *channel = (struct fake_channel *)id->rdma.channel;
	struct fake_event *event, *next;

	for (event = TAILQ_FIRST(&channel->events); event; event = next) {
		next = TAILQ_NEXT(event, events);
		if (event->rdma.id != &id->rdma && event->rdma.listen_id != &id->rdma)
			continue;
		TAILQ_REMOVE(&channel->events, event, events);
		/* A request that nobody has seen, with what came after it. */
		if (event->rdma.listen_id == &id->rdma) {
			free_id((struct fake_id *)event->rdma.id);
			next = TAILQ_FIRST(&channel->events);
		}
		free(event);
	}
	update(channel);
}

static void free_id(struct fake_id *id)
{
	MISUSE(id->unacked || id->rdma.qp);
	if (id->state == CONNECTED)
		disconnect(id);
	else
		refuse(id, NULL, 0, 0);
	drop_events(id);
	TAILQ_REMOVE(&ids, id, ids);
	live--;
	free(id);
}

int rdma_destroy_id(struct rdma_cm_id *rdma)
{
	pthread_mutex_lock(&lock);
	free_id((struct fake_id *)rdma);
	pthread_mutex_unlock(&lock);
	return 0;
}

static struct fake_id *find_listener(uint16_t port)
{
	struct fake_id *id;

	TAILQ_FOREACH(id, &ids, ids) {
		if (id->state == LISTENING && id->rdma.route.addr.src_sin.sin_port == port)
			break;
	}
	return id;
}

int rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
	struct sockaddr_in *own = &id->route.addr.src_sin;
	int error = 0;

	pthread_mutex_lock(&lock);
	*own = *(struct sockaddr_in *)addr;
	if (!own->sin_port)
		own->sin_port = htons(++last_port);
	if (fails(FAKE_CM_BIND))
		error = errno;
	else if (find_listener(own->sin_port))
		error = EADDRINUSE;
	pthread_mutex_unlock(&lock);
	errno = error ?: errno;
	return error ? -1 : 0;
}

int rdma_listen(struct rdma_cm_id *id, int backlog)
{
	bool failed;

	(void)backlog;
	pthread_mutex_lock(&lock);
	failed = fails(FAKE_CM_LISTEN);
	if (!failed)
		((struct fake_id *)id)->state = LISTENING;
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

__be16 rdma_get_src_port(struct rdma_cm_id *id)
{
	return id->route.addr.src_sin.sin_port;
}

int rdma_set_option(struct rdma_cm_id *rdma, int level, int option, void *value, size_t size)
{
	struct fake_id *id = (struct fake_id *)rdma;

	if (level != RDMA_OPTION_ID || option != RDMA_OPTION_ID_ACK_TIMEOUT || size != 1) {
		errno = EINVAL;
		return -1;
	}
	id->timed = *(uint8_t *)value;
	return 0;
}

int rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src, struct sockaddr *dst,
		      int timeout_ms)
{
	bool failed;

	(void)src;
	(void)timeout_ms;
	pthread_mutex_lock(&lock);
	tries++;
	failed = fails(FAKE_CM_ADDR);
	if (!failed) {
		memcpy(&id->route.addr.dst_storage, dst,
		       dst->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
						    sizeof(struct sockaddr_in));
		id->verbs = &device;
		post((struct fake_id *)id, RDMA_CM_EVENT_ADDR_RESOLVED, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

int rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
	bool failed;

	(void)timeout_ms;
	pthread_mutex_lock(&lock);
	failed = fails(FAKE_CM_ROUTE);
	if (!failed)
		post((struct fake_id *)id, RDMA_CM_EVENT_ROUTE_RESOLVED, NULL, 0);
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

static void request(struct fake_id *id, struct fake_id *listener, const struct rdma_conn_param *p)
{
	struct fake_id *asked = new_id(listener->rdma.channel, listener->rdma.context);
	struct sockaddr_storage *from = &asked->rdma.route.addr.dst_storage;
	uint8_t data[BYTES], length = p->private_data_len;

	memcpy(data, p->private_data, length);
	if (fake_cm_request)
		fake_cm_request(data, &length);
	/* It comes from where it went to. */
	memcpy(from, &id->rdma.route.addr.dst_storage, sizeof(*from));
	asked->rdma.verbs = &device;
	asked->state = REQUESTED;
	asked->was_asked = true;
	asked->other = id;
	id->other = asked;
	post(asked, RDMA_CM_EVENT_CONNECT_REQUEST, data, length)->listen_id = &listener->rdma;
}

int rdma_connect(struct rdma_cm_id *rdma, struct rdma_conn_param *param)
{
	struct fake_id *id = (struct fake_id *)rdma, *listener;
	bool failed;

	pthread_mutex_lock(&lock);
	failed = fails(FAKE_CM_CONNECT);
	if (!id->timed)
		MISUSE(true);
	if (!failed) {
		id->state = CONNECTING;
		listener = find_listener(rdma->route.addr.dst_sin.sin_port);
		if (listener)
			request(id, listener, param);
		else
			post(id, RDMA_CM_EVENT_REJECTED, NULL, 0)->status = NOBODY_LISTENS;
	}
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

int rdma_accept(struct rdma_cm_id *rdma, struct rdma_conn_param *param)
{
	struct fake_id *id = (struct fake_id *)rdma;
	int error = 0;

	(void)param;
	pthread_mutex_lock(&lock);
	if (!id->timed)
		MISUSE(true);
	if (fails(FAKE_CM_ACCEPT))
		error = errno;
	else if (!id->other)
		error = EINVAL;
	if (!error) {
		id->ready = true;
		id->state = CONNECTED;
		id->other->state = CONNECTED;
		post(id->other, RDMA_CM_EVENT_ESTABLISHED, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
	errno = error ?: errno;
	return error ? -1 : 0;
}

int rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t length)
{
	bool failed;

	pthread_mutex_lock(&lock);
	failed = fails(FAKE_CM_REJECT);
	if (!failed)
		refuse((struct fake_id *)id, data, length, 0);
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

int rdma_disconnect(struct rdma_cm_id *id)
{
	bool failed;

	pthread_mutex_lock(&lock);
	failed = fails(FAKE_CM_DISCONNECT);
	if (!failed)
		disconnect((struct fake_id *)id);
	pthread_mutex_unlock(&lock);
	return failed ? -1 : 0;
}

/* ---- the test's side ------------------------------------------------------------ */

void fake_cm_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(failure, 0, sizeof(failure));
	held_types = 0;
	turns = accepts_held = is_stalled = sends_held = false;
	tries = starved = live = misuses = 0;
	fake_cm_request = NULL;
	pthread_mutex_unlock(&lock);
}

void fake_cm_fail(enum fake_cm_step step, unsigned int skip, unsigned int times, int error)
{
	pthread_mutex_lock(&lock);
	failure[step] = (struct failure){ skip, times, error };
	pthread_mutex_unlock(&lock);
}

void fake_cm_turn_event(enum rdma_cm_event_type good, enum rdma_cm_event_type bad)
{
	pthread_mutex_lock(&lock);
	turned_from = good;
	turned_to = bad;
	turns = true;
	pthread_mutex_unlock(&lock);
}

void fake_cm_hold(enum rdma_cm_event_type type)
{
	pthread_mutex_lock(&lock);
	held_types |= 1U << type;
	pthread_mutex_unlock(&lock);
}

void fake_cm_hold_accepted(void)
{
	pthread_mutex_lock(&lock);
	accepts_held = true;
	pthread_mutex_unlock(&lock);
}

void fake_cm_let(void)
{
	struct fake_channel *channel;

	pthread_mutex_lock(&lock);
	held_types = 0;
	accepts_held = false;
	TAILQ_FOREACH(channel, &channels, channels)
		update(channel);
	pthread_mutex_unlock(&lock);
}

static void deliver_all(void)
{
	struct fake_id *id;

	TAILQ_FOREACH(id, &ids, ids) {
		if (qp_of(id))
			deliver(qp_of(id));
	}
}

void fake_cm_stall(bool stalled)
{
	pthread_mutex_lock(&lock);
	is_stalled = stalled;
	deliver_all();
	pthread_mutex_unlock(&lock);
}

void fake_cm_hold_sends(bool held)
{
	pthread_mutex_lock(&lock);
	sends_held = held;
	deliver_all();
	pthread_mutex_unlock(&lock);
}

/* Who was asked is told first. */
void fake_cm_drop(void)
{
	struct fake_id *id;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH_REVERSE(id, &ids, fake_ids, ids) {
		if (id->state != CONNECTED)
			continue;
		id->state = OVER;
		id->other = NULL;
		post(id, RDMA_CM_EVENT_DISCONNECTED, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
}

void fake_cm_break(void)
{
	struct fake_id *id;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(id, &ids, ids) {
		if (qp_of(id))
			flush(qp_of(id));
	}
	pthread_mutex_unlock(&lock);
}

void fake_cm_give_up(void)
{
	struct fake_id *id;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(id, &ids, ids) {
		if (id->state == CONNECTING) {
			post(id, RDMA_CM_EVENT_UNREACHABLE, NULL, 0);
			refuse(id, NULL, 0, 0);
		}
	}
	pthread_mutex_unlock(&lock);
}

void fake_cm_remove_device(void)
{
	struct fake_id *id;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(id, &ids, ids) {
		if (id->rdma.verbs)
			post(id, RDMA_CM_EVENT_DEVICE_REMOVAL, NULL, 0);
	}
	pthread_mutex_unlock(&lock);
}

static unsigned int get(const unsigned int *count)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = *count;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned int fake_cm_tries(void)
{
	return get(&tries);
}

unsigned int fake_cm_connected(void)
{
	struct fake_id *id;
	unsigned int n = 0;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(id, &ids, ids)
		n += id->state == CONNECTED;
	pthread_mutex_unlock(&lock);
	return n / 2;
}

unsigned int fake_cm_starved(void)
{
	return get(&starved);
}

unsigned int fake_cm_live(void)
{
	return get(&live);
}

unsigned int fake_cm_misuses(void)
{
	return get(&misuses);
}
