// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "attr.h"
#include "carrier.h"
#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "listener.h"
#include "net.h"
#include "peer.h"
#include "peer_pool.h"
#include "service.h"

/* One step of rdma_cm that takes longer has failed. */
#define STEP_MS 2000

/* Between two tries to connect; half of it is jitter. */
#define PAUSE_MIN (20 * MD__MSEC)
#define PAUSE_MAX (2 * MD__SEC)

/* How long the last messages of a session may take. */
#define LINGER (500 * MD__MSEC)

/*
 * A requester with a retry count of 7 never completes against a queue pair that is
 * gone; the same number means "for ever" for receiver-not-ready.
 */
#define RETRIES 6

/*
 * For the acknowledgement of a message: 4.096 us * 2^17, 0.54 s, as Linux 6.12 has it.
 * Linux 6.1 takes four times that (CMA_IBOE_PACKET_LIFETIME in its
 * drivers/infiniband/core/cma.c), and so much would a lost packet cost a breaker. Where
 * it cannot be set, the kernel's own is as right, but slower.
 */
#define ACK_TIMEOUT 17

/* So many connections are served before the time is looked at. */
#define BATCH 4

/* ---- connections, with the net_lock -------------------------------------- */

static void set_timer(struct md__carrier *carrier, uint64_t ns)
{
	carrier->timer = ns ? md__now() + ns : 0;
}

/* @id becomes the connection's, which starts to be made. */
int md__carrier_begin(struct md__carrier *carrier, struct rdma_cm_id *id)
{
	uint8_t timeout = ACK_TIMEOUT;

	carrier->conn = calloc(1, sizeof(*carrier->conn));
	if (!carrier->conn)
		return -1;
	carrier->conn->id = id;
	id->context = carrier;
	rdma_set_option(id, RDMA_OPTION_ID, RDMA_OPTION_ID_ACK_TIMEOUT, &timeout, sizeof(timeout));
	atomic_store(&carrier->close_asked, false);
	return 0;
}

/*
 * No sender is in it, and none will be. Closing the channel is not enough to have it
 * out of the epoll set: a process that is being started may have it, too.
 */
void md__carrier_drop(struct md__carrier *carrier)
{
	struct md__conn *conn = carrier->conn;

	carrier->state = MD__CARRIER_IDLE;
	carrier->timer = 0;
	if (!conn)
		return;
	if (conn->channel)
		epoll_ctl(carrier->ctx->fd[MD__FD_NET], EPOLL_CTL_DEL, conn->channel->fd, NULL);
	md__conn_destroy(conn);
	md__fork_hold();
	carrier->conn = NULL;
	md__fork_let();
	free(conn);
}

bool md__carrier_is_over(const struct md__carrier *carrier)
{
	return !carrier->peer || md__peer_is_over(carrier->peer);
}

/*
 * Try again later, unless the session is over. A connection that has lasted was a good
 * one; who breaks each at once is not to be asked in a storm.
 */
static void retry(struct md__carrier *carrier)
{
	bool lasted = carrier->up_since && md__now() - carrier->up_since >= PAUSE_MAX;
	uint64_t pause = lasted ? 0 : carrier->pause;

	carrier->up_since = 0;
	if (!carrier->active || md__carrier_is_over(carrier))
		return;
	if (!pause)
		pause = PAUSE_MIN;
	else
		pause = pause < PAUSE_MAX / 2 ? 2 * pause : PAUSE_MAX;
	carrier->pause = pause;
	set_timer(carrier, pause / 2 + md__now() % (pause / 2));
}

/*
 * It could not be made, or has broken. Of one that is being closed the peer knows;
 * of who was not accepted yet the application does not have to.
 */
static void conn_failed(struct md__carrier *carrier, int error, const char *why)
{
	bool was_up = carrier->state == MD__CARRIER_UP || carrier->state == MD__CARRIER_CLOSING;

	if (carrier->peer && was_up)
		md__peer_lost(carrier->peer, error, why);
	else if (carrier->peer && !carrier->asked)
		md__peer_unreached(carrier->peer, error, why);
	md__carrier_drop(carrier);
	retry(carrier);
}

static int prepare(struct md__carrier *carrier)
{
	struct md__conn *conn = carrier->conn;

	if (md__conn_prepare(conn))
		return -1;
	return md__net_watch(carrier->ctx, conn->channel->fd, carrier);
}

/* Also when a message comes before the event. */
static void established(struct md__carrier *carrier)
{
	if (carrier->state != MD__CARRIER_CONNECTING && carrier->state != MD__CARRIER_ACCEPTING)
		return;
	carrier->state = MD__CARRIER_UP;
	carrier->timer = 0;
	carrier->up_since = md__now();
	if (!carrier->peer || md__peer_connected(carrier->peer, carrier->conn->id->verbs))
		atomic_store(&carrier->close_asked, true);
}

/* ---- active -------------------------------------------------------------- */

static void connect_now(struct md__carrier *carrier)
{
	struct rdma_cm_id *id;

	carrier->timer = 0;
	if (rdma_create_id(carrier->ctx->cm, &id, NULL, RDMA_PS_TCP)) {
		conn_failed(carrier, errno, "no connection can be made now");
		return;
	}
	if (md__carrier_begin(carrier, id)) {
		rdma_destroy_id(id);
		conn_failed(carrier, ENOMEM, "no memory for a connection");
		return;
	}
	carrier->state = MD__CARRIER_RESOLVING;
	if (rdma_resolve_addr(id, NULL, (struct sockaddr *)&carrier->address, STEP_MS))
		conn_failed(carrier, errno, "the address cannot be resolved");
}

static void route(struct md__carrier *carrier)
{
	if (rdma_resolve_route(carrier->conn->id, STEP_MS))
		conn_failed(carrier, errno, "there is no route to the address");
}

static void ask(struct md__carrier *carrier)
{
	struct md__cm_hello hello = {
		.magic = htole32(MD__WIRE_MAGIC),
		.major = MD__WIRE_MAJOR,
		.minor = MD__WIRE_MINOR,
		.length = carrier->private_len,
	};
	struct rdma_conn_param param = {
		.private_data = &hello,
		.private_data_len = sizeof(hello),
		.retry_count = RETRIES,
		.rnr_retry_count = RETRIES,
	};
	uint64_t self, other;

	md__peer_names(carrier->peer, &self, &other);
	hello.self = htole64(self);
	hello.other = htole64(other);
	memcpy(hello.bytes, carrier->private_data, carrier->private_len);
	carrier->state = MD__CARRIER_CONNECTING;
	if (prepare(carrier) || rdma_connect(carrier->conn->id, &param))
		conn_failed(carrier, errno, "the connection cannot be made");
}

static void rejected(struct md__carrier *carrier, const struct rdma_cm_event *event)
{
	const struct rdma_conn_param *param = &event->param.conn;
	struct md__cm_refusal refusal = { 0 };
	uint16_t code = MD__ERR_NONE;

	if (param->private_data && param->private_data_len >= sizeof(refusal))
		memcpy(&refusal, param->private_data, sizeof(refusal));
	if (le32toh(refusal.magic) == MD__WIRE_MAGIC)
		code = le16toh(refusal.code);
	if (!code || !carrier->peer) {
		conn_failed(carrier, ECONNREFUSED,
			    carrier->active ? "nobody listens there" : "the peer has given up");
		return;
	}
	md__peer_refused(carrier->peer, code, refusal.major, refusal.minor);
	md__carrier_drop(carrier);
	retry(carrier);
}

/* ---- passive ------------------------------------------------------------- */

void md__carrier_accept(struct md__carrier *carrier)
{
	struct rdma_conn_param param = {
		.retry_count = RETRIES,
		.rnr_retry_count = RETRIES,
	};

	carrier->state = MD__CARRIER_ACCEPTING;
	set_timer(carrier, STEP_MS * MD__MSEC);
	if (prepare(carrier) || rdma_accept(carrier->conn->id, &param))
		conn_failed(carrier, errno, "the connection cannot be accepted");
}

struct md__carrier *md__carrier_new(struct md_context *ctx, void *user_data)
{
	struct md__carrier *carrier = calloc(1, sizeof(*carrier));

	if (!carrier) {
		md__fail(ENOMEM, "no memory for a connection");
		return NULL;
	}
	carrier->ctx = ctx;
	carrier->peer = md__peer_new(ctx, &md__carrier_ops, carrier, user_data);
	if (carrier->peer)
		return carrier;
	free(carrier);
	return NULL;
}

void md__carrier_list(struct md__carrier *carrier)
{
	carrier->peer->carrier = carrier;
	md__fork_hold();
	TAILQ_INSERT_TAIL(&carrier->ctx->carriers, carrier, carriers);
	md__fork_let();
}

/* ---- messages ------------------------------------------------------------ */

static void ask_to_close(void *arg)
{
	struct md__carrier *carrier = arg;

	atomic_store(&carrier->close_asked, true);
	md__service_wake(carrier->ctx);
}

static int send_message(void *arg, const void *message, size_t length)
{
	struct md__carrier *carrier = arg;
	int saved;

	if (!md__conn_send(carrier->conn, message, length))
		return 0;
	saved = errno;
	/* To the peer it is lost now, but nobody else knows. */
	if (saved != EAGAIN)
		ask_to_close(carrier);
	errno = saved;
	return -1;
}

const struct md_peer_ops md__carrier_ops = {
	.size = sizeof(md__carrier_ops),
	.send = send_message,
	.close = ask_to_close,
};

/* All that has come by now. */
static void poll_all(struct md__carrier *carrier)
{
	const void *message;
	size_t length;

	while (carrier->conn) {
		switch (md__conn_poll(carrier->conn, &message, &length)) {
		case MD__CONN_MESSAGE:
			established(carrier); /* the event that says so may come later */
			if (carrier->state == MD__CARRIER_UP && carrier->peer)
				md__peer_take(carrier->peer, message, length);
			break;
		case MD__CONN_BROKEN:
			conn_failed(carrier, ECONNRESET, "the connection has failed");
			return;
		default:
			return;
		}
	}
}

/* A message is not to wait until the next notification was asked for. */
static void take_completions(struct md__carrier *carrier)
{
	if (!carrier->conn || !carrier->conn->send_cq)
		return;
	poll_all(carrier);
	if (!carrier->conn)
		return;
	md__conn_arm(carrier->conn);
	poll_all(carrier);
}

/* ---- events of rdma_cm --------------------------------------------------- */

static void take_event(struct md__carrier *carrier, const struct rdma_cm_event *event)
{
	switch (event->event) {
	case RDMA_CM_EVENT_ADDR_RESOLVED:
		route(carrier);
		break;
	case RDMA_CM_EVENT_ROUTE_RESOLVED:
		if (carrier->peer)
			ask(carrier);
		break;
	case RDMA_CM_EVENT_ESTABLISHED:
		established(carrier);
		break;
	case RDMA_CM_EVENT_REJECTED:
		rejected(carrier, event);
		break;
	case RDMA_CM_EVENT_ADDR_ERROR:
		conn_failed(carrier, EHOSTUNREACH, "no RDMA device reaches the address");
		break;
	case RDMA_CM_EVENT_ROUTE_ERROR:
	case RDMA_CM_EVENT_UNREACHABLE:
		conn_failed(carrier, ETIMEDOUT, "there was no answer");
		break;
	case RDMA_CM_EVENT_CONNECT_ERROR:
		conn_failed(carrier, EIO, "the connection could not be made");
		break;
	case RDMA_CM_EVENT_DISCONNECTED:
		take_completions(carrier); /* its last words */
		if (carrier->conn)
			conn_failed(carrier, ECONNRESET,
				    "the other side has closed the connection");
		break;
	case RDMA_CM_EVENT_DEVICE_REMOVAL:
		conn_failed(carrier, ENODEV, "the RDMA device was removed");
		break;
	default:
		break;
	}
}

/* Is the id still a connection's? Its events may have been under way. */
static struct md__carrier *owner(struct md_context *ctx, const struct rdma_cm_id *id)
{
	struct md__carrier *carrier;

	TAILQ_FOREACH(carrier, &ctx->carriers, carriers) {
		if (carrier->conn && carrier->conn->id == id)
			break;
	}
	return carrier;
}

/*
 * The event is a copy, with its private data: an id can be destroyed only when all
 * of its events were acknowledged (rdma_destroy_id(3)).
 */
static void dispatch(struct md_context *ctx, const struct rdma_cm_event *event)
{
	struct md__carrier *carrier;

	if (event->event == RDMA_CM_EVENT_CONNECT_REQUEST) {
		md__listeners_request(ctx, event);
		return;
	}
	carrier = owner(ctx, event->id);
	if (carrier)
		take_event(carrier, event);
}

void md__carriers_events(struct md_context *ctx)
{
	struct rdma_cm_event *event, own;
	uint8_t data[256];

	while (!rdma_get_cm_event(ctx->cm, &event)) {
		struct rdma_conn_param *param = &own.param.conn;

		own = *event;
		if (param->private_data) {
			memcpy(data, param->private_data, param->private_data_len);
			param->private_data = data;
		}
		rdma_ack_cm_event(event);
		dispatch(ctx, &own);
	}
}

/* ---- turns --------------------------------------------------------------- */

/* The last messages may still be under way: rdma_disconnect(3) would flush them. */
static void begin_close(struct md__carrier *carrier)
{
	if (carrier->state == MD__CARRIER_CLOSING)
		return;
	if (carrier->state != MD__CARRIER_UP) {
		md__carrier_drop(carrier);
		retry(carrier);
		return;
	}
	carrier->state = MD__CARRIER_CLOSING;
	set_timer(carrier, LINGER);
}

static void end_close(struct md__carrier *carrier)
{
	rdma_disconnect(carrier->conn->id);
	md__carrier_drop(carrier);
	retry(carrier);
}

static void free_carrier(struct md__carrier *carrier)
{
	md__fork_hold();
	TAILQ_REMOVE(&carrier->ctx->carriers, carrier, carriers);
	md__fork_let();
	free(carrier);
}

static void turn(struct md__carrier *carrier, uint64_t now)
{
	bool late = carrier->timer && carrier->timer <= now;

	if (atomic_exchange(&carrier->close_asked, false) && carrier->conn)
		begin_close(carrier);
	switch (carrier->state) {
	case MD__CARRIER_IDLE:
		if (!carrier->peer)
			free_carrier(carrier);
		else if (late)
			connect_now(carrier);
		break;
	case MD__CARRIER_ACCEPTING:
		if (late)
			conn_failed(carrier, ETIMEDOUT, "there was no answer");
		break;
	case MD__CARRIER_CLOSING:
		if (late || md__conn_is_idle(carrier->conn))
			end_close(carrier);
		break;
	default:
		break;
	}
}

static void turn_all(struct md_context *ctx, uint64_t now)
{
	struct md__carrier *carrier, *next;
	struct epoll_event ev[BATCH];
	bool events = false;
	int n;

	/* Who is left over has its descriptor readable, and comes first in the next turn. */
	do {
		n = epoll_wait(ctx->fd[MD__FD_NET], ev, BATCH, 0);
		for (int i = 0; i < n; i++) {
			if (ev[i].data.ptr)
				take_completions(ev[i].data.ptr);
			else
				events = true;
		}
	} while (n == BATCH && md__now() < now + MD__TURN_NS);
	if (events)
		md__carriers_events(ctx);
	for (carrier = TAILQ_FIRST(&ctx->carriers); carrier; carrier = next) {
		next = TAILQ_NEXT(carrier, carriers);
		turn(carrier, now);
	}
}

void md__carriers_turn(struct md_context *ctx, uint64_t now)
{
	pthread_mutex_lock(&ctx->net_lock);
	if (ctx->cm)
		turn_all(ctx, now);
	pthread_mutex_unlock(&ctx->net_lock);
}

uint64_t md__carriers_timer(struct md_context *ctx)
{
	struct md__carrier *carrier;
	uint64_t first = 0;

	pthread_mutex_lock(&ctx->net_lock);
	TAILQ_FOREACH(carrier, &ctx->carriers, carriers)
		first = md__earlier(first, carrier->timer);
	pthread_mutex_unlock(&ctx->net_lock);
	return first;
}

void md__carrier_leave(struct md__carrier *carrier)
{
	struct md_context *ctx = carrier->ctx;

	pthread_mutex_lock(&ctx->net_lock);
	carrier->peer = NULL;
	if (carrier->state == MD__CARRIER_ASKING)
		md__listener_reject(carrier->conn->id, MD__ERR_REFUSED);
	if (carrier->conn)
		begin_close(carrier);
	if (carrier->state == MD__CARRIER_IDLE)
		free_carrier(carrier);
	pthread_mutex_unlock(&ctx->net_lock);
	md__service_wake(ctx);
}

void md__carriers_stop(struct md_context *ctx)
{
	while (!TAILQ_EMPTY(&ctx->carriers)) {
		turn_all(ctx, md__now());
		usleep(1000);
	}
	md__fork_hold();
	md__net_close(ctx);
	md__fork_let();
}

void md__carriers_forked(struct md_context *ctx)
{
	struct md__carrier *carrier;

	TAILQ_FOREACH(carrier, &ctx->carriers, carriers) {
		if (carrier->conn && carrier->conn->channel)
			close(carrier->conn->channel->fd);
	}
	if (ctx->cm)
		rdma_destroy_event_channel(ctx->cm);
	ctx->cm = NULL;
}

/* What the libraries have made stays: to destroy it would be to ask the device. */
void md__carriers_free(struct md_context *ctx)
{
	struct md__carrier *carrier;

	while ((carrier = TAILQ_FIRST(&ctx->carriers))) {
		if (carrier->conn)
			free(carrier->conn->buf);
		free(carrier->conn);
		free_carrier(carrier);
	}
	md__listeners_free(ctx);
}

/* ---- calls --------------------------------------------------------------- */

static int check_connect(const struct md_connect_attr *attr)
{
	if (attr->private_len > MD_PRIVATE_MAX)
		return md__fail(EINVAL, "md_connect_attr.private_len is %u: at most %d",
				attr->private_len, MD_PRIVATE_MAX);
	if (attr->private_len && !attr->private_data)
		return md__fail(EINVAL, "md_connect_attr.private_data is missing");
	return 0;
}

struct md_peer *md_connect(struct md_context *ctx, const char *host, const char *port,
			   const struct md_connect_attr *attr)
{
	struct sockaddr_storage address;
	struct md__carrier *carrier;
	struct md_connect_attr own;
	struct md_peer *peer;
	int err;

	if (!ctx) {
		md__fail(EINVAL, "md_connect: no context");
		return NULL;
	}
	if (ctx->forked) {
		md__fail_forked();
		return NULL;
	}
	if (md__attr_take(&own, sizeof(own), attr, "md_connect_attr") || check_connect(&own))
		return NULL;
	if (!host || !port) {
		md__fail(EINVAL, "md_connect: no %s", host ? "port" : "host");
		return NULL;
	}
	if (md__net_resolve(host, port, 0, &address))
		return NULL;
	pthread_mutex_lock(&ctx->net_lock);
	err = md__net_open(ctx);
	pthread_mutex_unlock(&ctx->net_lock);
	carrier = err ? NULL : md__carrier_new(ctx, own.user_data);
	if (!carrier)
		return NULL;
	carrier->active = true;
	carrier->address = address;
	carrier->private_len = (uint8_t)own.private_len;
	memcpy(carrier->private_data, own.private_data ?: "", own.private_len);
	peer = carrier->peer; /* who hears of a failure may close it */
	pthread_mutex_lock(&ctx->net_lock);
	md__carrier_list(carrier);
	connect_now(carrier);
	pthread_mutex_unlock(&ctx->net_lock);
	md__service_wake(ctx);
	return peer;
}
