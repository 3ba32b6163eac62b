// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Connections, and the names of hosts. */

#include <errno.h>
#include <netdb.h>

#include <rdma/rdma_cma.h>

#include "fault_calls.h"

#undef ibv_reg_mr

/* ---- names: the errno is the library's ------------------------------------ */

int fault_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		      struct addrinfo **found);
int fault_getaddrinfo(const char *host, const char *port, const struct addrinfo *hints,
		      struct addrinfo **found)
{
	return fault__fails("getaddrinfo", EADDRNOTAVAIL, false) ?
		       EAI_AGAIN :
		       getaddrinfo(host, port, hints, found);
}

int fault_getnameinfo(const struct sockaddr *address, socklen_t length, char *host,
		      socklen_t host_size, char *port, socklen_t port_size, int flags);
int fault_getnameinfo(const struct sockaddr *address, socklen_t length, char *host,
		      socklen_t host_size, char *port, socklen_t port_size, int flags)
{
	return fault__fails("getnameinfo", EIO, false) ?
		       EAI_SYSTEM :
		       getnameinfo(address, length, host, host_size, port, port_size, flags);
}

/* ---- librdmacm ------------------------------------------------------------ */

struct rdma_event_channel *fault_rdma_create_event_channel(void);
struct rdma_event_channel *fault_rdma_create_event_channel(void)
{
	return fault__fails("rdma_create_event_channel", ENODEV, false) ?
		       NULL :
		       rdma_create_event_channel();
}

int fault_rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
			 enum rdma_port_space ps);
int fault_rdma_create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *context,
			 enum rdma_port_space ps)
{
	return fault__fails("rdma_create_id", ENODEV, false) ?
		       -1 :
		       rdma_create_id(channel, id, context, ps);
}

int fault_rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr);
int fault_rdma_bind_addr(struct rdma_cm_id *id, struct sockaddr *addr)
{
	return fault__fails("rdma_bind_addr", EADDRINUSE, false) ? -1 : rdma_bind_addr(id, addr);
}

int fault_rdma_listen(struct rdma_cm_id *id, int backlog);
int fault_rdma_listen(struct rdma_cm_id *id, int backlog)
{
	return fault__fails("rdma_listen", EADDRINUSE, false) ? -1 : rdma_listen(id, backlog);
}

int fault_rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src, struct sockaddr *dst,
			    int timeout_ms);
int fault_rdma_resolve_addr(struct rdma_cm_id *id, struct sockaddr *src, struct sockaddr *dst,
			    int timeout_ms)
{
	return fault__fails("rdma_resolve_addr", ENODEV, false) ?
		       -1 :
		       rdma_resolve_addr(id, src, dst, timeout_ms);
}

int fault_rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms);
int fault_rdma_resolve_route(struct rdma_cm_id *id, int timeout_ms)
{
	return fault__fails("rdma_resolve_route", EINVAL, false) ?
		       -1 :
		       rdma_resolve_route(id, timeout_ms);
}

int fault_rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr);
int fault_rdma_create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
	return fault__fails("rdma_create_qp", ENOMEM, false) ? -1 : rdma_create_qp(id, pd, attr);
}

int fault_rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *param);
int fault_rdma_connect(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	return fault__fails("rdma_connect", EINVAL, false) ? -1 : rdma_connect(id, param);
}

int fault_rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param);
int fault_rdma_accept(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
	return fault__fails("rdma_accept", EINVAL, false) ? -1 : rdma_accept(id, param);
}

int fault_rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t length);
int fault_rdma_reject(struct rdma_cm_id *id, const void *data, uint8_t length)
{
	return fault__fails("rdma_reject", EINVAL, false) ? -1 : rdma_reject(id, data, length);
}

int fault_rdma_disconnect(struct rdma_cm_id *id);
int fault_rdma_disconnect(struct rdma_cm_id *id)
{
	return fault__fails("rdma_disconnect", EINVAL, false) ? -1 : rdma_disconnect(id);
}

/* ---- verbs of a connection -------------------------------------------------- */

struct ibv_comp_channel *fault_ibv_create_comp_channel(struct ibv_context *context);
struct ibv_comp_channel *fault_ibv_create_comp_channel(struct ibv_context *context)
{
	return fault__fails("ibv_create_comp_channel", EMFILE, false) ?
		       NULL :
		       ibv_create_comp_channel(context);
}

struct ibv_cq *fault_ibv_create_cq(struct ibv_context *context, int entries, void *cq_context,
				   struct ibv_comp_channel *channel, int vector);
struct ibv_cq *fault_ibv_create_cq(struct ibv_context *context, int entries, void *cq_context,
				   struct ibv_comp_channel *channel, int vector)
{
	return fault__fails("ibv_create_cq", ENOMEM, false) ?
		       NULL :
		       ibv_create_cq(context, entries, cq_context, channel, vector);
}

struct ibv_mr *fault_ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access);
struct ibv_mr *fault_ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return fault__fails("ibv_reg_mr", ENOMEM, false) ? NULL :
							   ibv_reg_mr(pd, addr, length, access);
}
