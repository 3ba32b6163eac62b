// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "carrier.h"
#include "context.h"
#include "errmsg.h"
#include "fork.h"
#include "listener.h"
#include "net.h"
#include "peer.h"
#include "peer_pool.h"
#include "service.h"

#define DEFAULT_BACKLOG 64

struct md_listener {
	struct md_context *ctx;
	struct rdma_cm_id *id;
	void *user_data;
	TAILQ_ENTRY(md_listener) listeners;
};

/* ---- requests, with the net_lock ------------------------------------------ */

void md__listener_reject(struct rdma_cm_id *id, enum md__wire_error code)
{
	const struct md__cm_refusal refusal = {
		.magic = htole32(MD__WIRE_MAGIC),
		.major = MD__WIRE_MAJOR,
		.minor = MD__WIRE_MINOR,
		.code = htole16(code),
	};

	rdma_reject(id, &refusal, sizeof(refusal));
}

static struct md__carrier *find(struct md_context *ctx, uint64_t name)
{
	struct md__carrier *carrier;

	TAILQ_FOREACH(carrier, &ctx->carriers, carriers) {
		if (!carrier->active && carrier->name == name && carrier->peer)
			break;
	}
	return carrier;
}

/* A peer that is back: what there was of its old connection is gone. */
static enum md__wire_error take_back(struct md__carrier *carrier, struct rdma_cm_id *id,
				     uint64_t other)
{
	uint64_t self, known;

	md__peer_names(carrier->peer, &self, &known);
	if (md__carrier_is_over(carrier) || (other && other != self))
		return MD__ERR_SESSION;
	md__peer_lost(carrier->peer, ECONNRESET, "the peer has connected again");
	md__carrier_drop(carrier);
	if (md__carrier_begin(carrier, id))
		return MD__ERR_MEMORY;
	if (carrier->asked)
		carrier->state = MD__CARRIER_ASKING;
	else
		md__carrier_accept(carrier);
	return MD__ERR_NONE;
}

static void address_of(struct rdma_cm_id *id, char *text, size_t size)
{
	const struct sockaddr *address = rdma_get_peer_addr(id);
	char host[INET6_ADDRSTRLEN], port[8];
	socklen_t length = address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) :
							    sizeof(struct sockaddr_in);

	if (getnameinfo(address, length, host, sizeof(host), port, sizeof(port),
			NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(text, size, "unknown");
	else
		snprintf(text, size, address->sa_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host,
			 port);
}

static enum md__wire_error take_new(struct md_listener *listener, struct rdma_cm_id *id,
				    const struct md__cm_hello *hello)
{
	struct md__carrier *carrier = md__carrier_new(listener->ctx, listener->user_data);
	struct md_event event;

	if (!carrier)
		return MD__ERR_MEMORY;
	md__carrier_list(carrier);
	carrier->name = le64toh(hello->self);
	carrier->asked = true;
	carrier->private_len = hello->length;
	memcpy(carrier->private_data, hello->bytes, hello->length);
	if (md__carrier_begin(carrier, id)) {
		md__peer_discard(carrier->peer);
		carrier->peer = NULL;
		return MD__ERR_MEMORY;
	}
	carrier->state = MD__CARRIER_ASKING;
	md__peer_event(carrier->peer, MD_EVENT_PEER_REQUEST, &event);
	event.private_data = carrier->private_data;
	event.private_len = carrier->private_len;
	address_of(id, event.address, sizeof(event.address));
	md__event_say(&event, "a new peer at %s asks for a session", event.address);
	md__peer_post_request(carrier->peer, &event);
	return MD__ERR_NONE;
}

static enum md__wire_error read_hello(const struct rdma_cm_event *event, struct md__cm_hello *hello)
{
	const struct rdma_conn_param *param = &event->param.conn;

	if (!param->private_data || param->private_data_len < sizeof(*hello))
		return MD__ERR_LENGTH;
	memcpy(hello, param->private_data, sizeof(*hello));
	if (le32toh(hello->magic) != MD__WIRE_MAGIC)
		return MD__ERR_MAGIC;
	if (hello->major != MD__WIRE_MAJOR)
		return MD__ERR_VERSION;
	return hello->length <= MD_PRIVATE_MAX && hello->self ? MD__ERR_NONE : MD__ERR_VALUE;
}

/* Returns whether @id was taken. */
static bool requested(struct md_listener *listener, struct rdma_cm_id *id,
		      const struct rdma_cm_event *event)
{
	struct md__carrier *known;
	enum md__wire_error err;
	struct md__cm_hello hello;

	err = read_hello(event, &hello);
	if (!err) {
		known = find(listener->ctx, le64toh(hello.self));
		if (known)
			err = take_back(known, id, le64toh(hello.other));
		else if (hello.other)
			err = MD__ERR_SESSION;
		else
			err = take_new(listener, id, &hello);
	}
	if (err)
		md__listener_reject(id, err);
	return !err;
}

void md__listeners_request(struct md_context *ctx, const struct rdma_cm_event *event)
{
	struct md_listener *listener;

	TAILQ_FOREACH(listener, &ctx->listeners, listeners) {
		if (listener->id == event->listen_id)
			break;
	}
	if (!listener || !requested(listener, event->id, event))
		rdma_destroy_id(event->id);
}

void md__listeners_free(struct md_context *ctx)
{
	struct md_listener *listener;

	while ((listener = TAILQ_FIRST(&ctx->listeners))) {
		TAILQ_REMOVE(&ctx->listeners, listener, listeners);
		free(listener);
	}
}

/* ---- calls --------------------------------------------------------------- */

/* With the net_lock. */
static int listen_at(struct md_listener *listener, const struct sockaddr_storage *address,
		     uint32_t backlog)
{
	if (rdma_create_id(listener->ctx->cm, &listener->id, listener, RDMA_PS_TCP))
		return md__fail(errno, "md_listen: %s", strerror(errno));
	if (!rdma_bind_addr(listener->id, (struct sockaddr *)address) &&
	    !rdma_listen(listener->id, (int)backlog))
		return 0;
	return md__fail(errno,
			"md_listen: %s (the address has to be that of an RDMA device's interface)",
			strerror(errno));
}

static void list_listener(struct md_listener *listener)
{
	md__fork_hold();
	TAILQ_INSERT_TAIL(&listener->ctx->listeners, listener, listeners);
	md__fork_let();
}

struct md_listener *md_listen(struct md_context *ctx, const char *host, const char *port,
			      const struct md_listen_attr *attr)
{
	struct sockaddr_storage address;
	struct md_listener *listener;
	struct md_listen_attr own;
	int err, saved;

	if (!ctx) {
		md__fail(EINVAL, "md_listen: no context");
		return NULL;
	}
	if (ctx->forked) {
		md__fail_forked();
		return NULL;
	}
	if (md__attr_take(&own, sizeof(own), attr, "md_listen_attr") ||
	    md__net_resolve(host, port ?: "0", AI_PASSIVE, &address))
		return NULL;
	listener = calloc(1, sizeof(*listener));
	if (!listener) {
		md__fail(ENOMEM, "no memory for a listener");
		return NULL;
	}
	listener->ctx = ctx;
	listener->user_data = own.user_data;
	pthread_mutex_lock(&ctx->net_lock);
	err = md__net_open(ctx) || listen_at(listener, &address, own.backlog ?: DEFAULT_BACKLOG);
	saved = errno;
	if (!err)
		list_listener(listener);
	else if (listener->id)
		rdma_destroy_id(listener->id);
	pthread_mutex_unlock(&ctx->net_lock);
	errno = saved;
	if (!err)
		return listener;
	free(listener);
	return NULL;
}

int md_listener_port(const struct md_listener *listener)
{
	return be16toh(rdma_get_src_port(listener->id));
}

int md_listener_close(struct md_listener *listener)
{
	char kept[MD__ERRMSG_MAX];
	struct md_context *ctx;

	if (!listener)
		return 0;
	ctx = listener->ctx;
	if (ctx->forked)
		return md__fail_forked();
	md__errmsg_keep(kept);
	pthread_mutex_lock(&ctx->net_lock);
	/* Requests that are under way go to nobody, and are turned away. */
	md__fork_hold();
	TAILQ_REMOVE(&ctx->listeners, listener, listeners);
	md__fork_let();
	md__carriers_events(ctx);
	rdma_destroy_id(listener->id);
	pthread_mutex_unlock(&ctx->net_lock);
	md__errmsg_restore(kept);
	free(listener);
	/* Some events may have been of connections, which have timers now. */
	md__service_wake(ctx);
	return 0;
}

static int check_asking(const struct md_peer *peer, const char *call)
{
	if (!peer)
		return md__fail(EINVAL, "%s: no peer", call);
	return peer->ctx->forked ? md__fail_forked() : 0;
}

static int fail_not_asking(const char *call)
{
	return md__fail(EINVAL, "%s: the peer does not ask for a session", call);
}

int md_accept(struct md_peer *peer, void *user_data)
{
	struct md__carrier *carrier;
	bool asked;

	if (check_asking(peer, "md_accept"))
		return -1;
	carrier = peer->carrier;
	pthread_mutex_lock(&peer->ctx->net_lock);
	asked = carrier && carrier->asked;
	if (asked) {
		md__peer_set_user_data(peer, user_data);
		carrier->asked = false;
		if (carrier->state == MD__CARRIER_ASKING)
			md__carrier_accept(carrier);
	}
	pthread_mutex_unlock(&peer->ctx->net_lock);
	if (!asked)
		return fail_not_asking("md_accept");
	md__service_wake(peer->ctx);
	return 0;
}

int md_refuse(struct md_peer *peer)
{
	struct md__carrier *carrier;
	bool asked;

	if (check_asking(peer, "md_refuse"))
		return -1;
	carrier = peer->carrier;
	pthread_mutex_lock(&peer->ctx->net_lock);
	asked = carrier && carrier->asked;
	pthread_mutex_unlock(&peer->ctx->net_lock);
	return asked ? md_peer_close(peer) : fail_not_asking("md_refuse");
}
