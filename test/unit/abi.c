// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The ABI of 0.1 as programs and modules were built with it, on amd64: what is
 * here may be added to, as mapdirect.map allows, and not changed. A structure
 * that grows at its end changes its SIZE and nothing else. Compiled, not run.
 */
#include <mapdirect/mapdirect.h>
#include <mapdirect/uapi.h>

#define VALUE(name, value) _Static_assert((name) == (value), #name)
#define SIZE(type, size) _Static_assert(sizeof(struct type) == (size), #type)
#define MEMBER(type, name, offset, size)                                                           \
	_Static_assert(offsetof(struct type, name) == (offset) &&                                  \
			       sizeof(((struct type *)0)->name) == (size),                         \
		       #type "." #name)
#define PROTOTYPE(name, ...)                                                                       \
	_Static_assert(__builtin_types_compatible_p(__typeof__(name), __typeof__(__VA_ARGS__)),    \
		       #name)

/* ---- the library ------------------------------------------------------- */

PROTOTYPE(md_accept, int(struct md_peer *, void *));
PROTOTYPE(md_ack_event, void(struct md_event *));
PROTOTYPE(md_attach_qp, int(struct md_map *, struct ibv_qp *, struct md_peer *));
PROTOTYPE(md_close, int(struct md_context *));
PROTOTYPE(md_connect, struct md_peer *(struct md_context *, const char *, const char *,
				       const struct md_connect_attr *));
PROTOTYPE(md_dereg_mr, int(struct md_mr *));
PROTOTYPE(md_detach_qp, int(struct md_map *, struct ibv_qp *));
PROTOTYPE(md_errmsg, const char *(void));
PROTOTYPE(md_event_str, const char *(enum md_event_type));
PROTOTYPE(md_fd, int(struct md_context *));
PROTOTYPE(md_fence_qp, int(struct md_map *, struct ibv_qp *));
PROTOTYPE(md_get_event, int(struct md_context *, struct md_event **, int));
PROTOTYPE(md_grant, struct md_grant *(struct md_peer *, struct md_mr *, const char *));
PROTOTYPE(md_listen, struct md_listener *(struct md_context *, const char *, const char *,
					  const struct md_listen_attr *));
PROTOTYPE(md_listener_close, int(struct md_listener *));
PROTOTYPE(md_listener_port, int(const struct md_listener *));
PROTOTYPE(md_map,
	  struct md_map *(struct md_context *, int, off_t, size_t, const struct md_map_attr *));
PROTOTYPE(md_map_addr, void *(const struct md_map *));
PROTOTYPE(md_map_generation, uint64_t(const struct md_map *));
PROTOTYPE(md_map_get, int(struct md_map *));
PROTOTYPE(md_map_length, size_t(const struct md_map *));
PROTOTYPE(md_map_offset, off_t(const struct md_map *));
PROTOTYPE(md_map_provider, enum md_provider(const struct md_map *));
PROTOTYPE(md_map_put, void(struct md_map *));
PROTOTYPE(md_map_state, enum md_map_state(const struct md_map *));
PROTOTYPE(md_open, struct md_context *(const struct md_context_attr *));
PROTOTYPE(md_peer_close, int(struct md_peer *));
PROTOTYPE(md_peer_connected, int(struct md_peer *));
PROTOTYPE(md_peer_input, int(struct md_peer *, const void *, size_t));
PROTOTYPE(md_peer_lost, int(struct md_peer *));
PROTOTYPE(md_peer_new,
	  struct md_peer *(struct md_context *, const struct md_peer_ops *, void *, void *));
PROTOTYPE(md_persist, int(struct md_map *, size_t, size_t));
PROTOTYPE(md_persist_remote, int(struct md_remote *, uint64_t, uint64_t, uint64_t));
PROTOTYPE(md_process, int(struct md_context *));
PROTOTYPE(md_query, int(struct md_context *, int, off_t, size_t, struct md_query_result *));
PROTOTYPE(md_reason_str, const char *(enum md_reason));
PROTOTYPE(md_recall, int(struct md_grant *));
PROTOTYPE(md_refuse, int(struct md_peer *));
PROTOTYPE(md_reg_mr, struct md_mr *(struct ibv_pd *, struct md_map *, size_t, size_t, int));
PROTOTYPE(md_release, int(struct md_map *));
PROTOTYPE(md_remote_find, struct md_remote *(struct md_peer *, const char *));
PROTOTYPE(md_remote_get, int(struct md_remote *));
PROTOTYPE(md_remote_put, void(struct md_remote *));
PROTOTYPE(md_remote_release, int(struct md_remote *));
PROTOTYPE(md_remote_wait, int(struct md_remote *, int));
PROTOTYPE(md_restore, int(struct md_map *));
PROTOTYPE(md_state_str, const char *(enum md_map_state));
PROTOTYPE(md_unmap, int(struct md_map *));

VALUE(MD_OPEN_NO_THREAD, 1);

SIZE(md_context_attr, 40);
MEMBER(md_context_attr, size, 0, 8);
MEMBER(md_context_attr, flags, 8, 4);
MEMBER(md_context_attr, drain_budget_ms, 12, 4);
MEMBER(md_context_attr, restore_limit_ms, 16, 4);
MEMBER(md_context_attr, device, 24, 8);
MEMBER(md_context_attr, keepalive_ms, 32, 4);

VALUE(MD_PROVIDER_NONE, 0);
VALUE(MD_PROVIDER_KMOD, 1);
VALUE(MD_PROVIDER_DEVDAX, 2);
VALUE(MD_PROVIDER_FCNTL, 3);

SIZE(md_query_result, 568);
MEMBER(md_query_result, size, 0, 8);
MEMBER(md_query_result, provider, 8, 4);
MEMBER(md_query_result, error, 12, 4);
MEMBER(md_query_result, file_size, 16, 8);
MEMBER(md_query_result, unallocated_offset, 24, 8);
MEMBER(md_query_result, unallocated_length, 32, 8);
MEMBER(md_query_result, break_cap_ms, 40, 4);
MEMBER(md_query_result, lease_break_ms, 44, 4);
MEMBER(md_query_result, reason, 48, 256);
MEMBER(md_query_result, by_name, 304, 4);
MEMBER(md_query_result, by_name_reason, 308, 256);

VALUE(MD_MAP_ALLOCATE, 1);
VALUE(MD_MAP_RESTORE, 2);
VALUE(MD_MAP_PROGRESS, 4);
VALUE(MD_MAP_ON_DEMAND, 8);

SIZE(md_map_attr, 32);
MEMBER(md_map_attr, size, 0, 8);
MEMBER(md_map_attr, flags, 8, 4);
MEMBER(md_map_attr, provider, 12, 4);
MEMBER(md_map_attr, cancel, 16, 8);
MEMBER(md_map_attr, user_data, 24, 8);

VALUE(MD_MAP_LIVE, 1);
VALUE(MD_MAP_BREAKING, 2);
VALUE(MD_MAP_RELEASED, 3);
VALUE(MD_MAP_LOST, 4);

SIZE(md_mr, 48);
MEMBER(md_mr, pd, 0, 8);
MEMBER(md_mr, map, 8, 8);
MEMBER(md_mr, addr, 16, 8);
MEMBER(md_mr, length, 24, 8);
MEMBER(md_mr, access, 32, 4);
MEMBER(md_mr, lkey, 36, 4);
MEMBER(md_mr, rkey, 40, 4);

VALUE(MD_EVENT_BREAK, 1);
VALUE(MD_EVENT_QP_FENCED, 2);
VALUE(MD_EVENT_RELEASED, 3);
VALUE(MD_EVENT_RESTORED, 4);
VALUE(MD_EVENT_LOST, 5);
VALUE(MD_EVENT_LATE, 6);
VALUE(MD_EVENT_POPULATE, 7);
VALUE(MD_EVENT_PEER_REQUEST, 8);
VALUE(MD_EVENT_PEER_UP, 9);
VALUE(MD_EVENT_PEER_DOWN, 10);
VALUE(MD_EVENT_PEER_CLOSED, 11);
VALUE(MD_EVENT_GRANTED, 12);
VALUE(MD_EVENT_RECALLED, 13);
VALUE(MD_EVENT_REMOTE_FENCED, 14);
VALUE(MD_EVENT_REMOTE_LOST, 15);
VALUE(MD_EVENT_PERSISTED, 16);

VALUE(MD_REASON_NONE, 0);
VALUE(MD_REASON_LAYOUT, 1);
VALUE(MD_REASON_TRUNCATE, 2);
VALUE(MD_REASON_UNMAP, 3);
VALUE(MD_REASON_RELEASE, 4);
VALUE(MD_REASON_REVOKED, 5);
VALUE(MD_REASON_BUDGET, 6);
VALUE(MD_REASON_REQUEST, 7);
VALUE(MD_REASON_OPEN, 8);
VALUE(MD_REASON_RECALL, 9);
VALUE(MD_REASON_PROTOCOL, 10);

SIZE(md_timeline, 72);
MEMBER(md_timeline, broken, 0, 8);
MEMBER(md_timeline, noticed, 8, 8);
MEMBER(md_timeline, told, 16, 8);
MEMBER(md_timeline, drained, 24, 8);
MEMBER(md_timeline, fenced, 32, 8);
MEMBER(md_timeline, deregistered, 40, 8);
MEMBER(md_timeline, released, 48, 8);
MEMBER(md_timeline, restored, 56, 8);
MEMBER(md_timeline, deadline, 64, 8);

SIZE(md_peer_timeline, 40);
MEMBER(md_peer_timeline, peer, 0, 8);
MEMBER(md_peer_timeline, told, 8, 8);
MEMBER(md_peer_timeline, acked, 16, 8);
MEMBER(md_peer_timeline, done, 24, 8);
MEMBER(md_peer_timeline, fenced, 32, 8);

SIZE(md_event, 472);
MEMBER(md_event, type, 0, 4);
MEMBER(md_event, map, 8, 8);
MEMBER(md_event, generation, 16, 8);
MEMBER(md_event, count, 24, 4);
MEMBER(md_event, reason, 28, 4);
MEMBER(md_event, breaker_pid, 32, 4);
MEMBER(md_event, breaker_comm, 36, 16);
MEMBER(md_event, qp, 56, 8);
MEMBER(md_event, peer, 64, 8);
MEMBER(md_event, error, 72, 4);
MEMBER(md_event, timeline, 80, 72);
MEMBER(md_event, message, 152, 192);
MEMBER(md_event, user_data, 344, 8);
MEMBER(md_event, done, 352, 8);
MEMBER(md_event, total, 360, 8);
MEMBER(md_event, remote, 368, 8);
MEMBER(md_event, wr_id, 376, 8);
MEMBER(md_event, peers, 384, 8);
MEMBER(md_event, n_peers, 392, 4);
MEMBER(md_event, private_len, 396, 4);
MEMBER(md_event, private_data, 400, 8);
MEMBER(md_event, address, 408, 64);

VALUE(MD_NAME_MAX, 64);
VALUE(MD_MESSAGE_MAX, 256);
VALUE(MD_PRIVATE_MAX, 32);

SIZE(md_peer_ops, 32);
MEMBER(md_peer_ops, size, 0, 8);
MEMBER(md_peer_ops, send, 8, 8);
MEMBER(md_peer_ops, close, 16, 8);
MEMBER(md_peer_ops, verbs, 24, 8);

SIZE(md_listen_attr, 24);
MEMBER(md_listen_attr, size, 0, 8);
MEMBER(md_listen_attr, backlog, 8, 4);
MEMBER(md_listen_attr, user_data, 16, 8);

SIZE(md_connect_attr, 32);
MEMBER(md_connect_attr, size, 0, 8);
MEMBER(md_connect_attr, private_len, 8, 4);
MEMBER(md_connect_attr, private_data, 16, 8);
MEMBER(md_connect_attr, user_data, 24, 8);

SIZE(md_remote, 96);
MEMBER(md_remote, peer, 0, 8);
MEMBER(md_remote, addr, 8, 8);
MEMBER(md_remote, length, 16, 8);
MEMBER(md_remote, access, 24, 4);
MEMBER(md_remote, rkey, 28, 4);
MEMBER(md_remote, name, 32, 64);

/* ---- the device -------------------------------------------------------- */

VALUE(MAPDIRECT_ABI_VERSION, 1);

VALUE(MAPDIRECT_MODE_PINNED, 1);
VALUE(MAPDIRECT_FEATURE_HUGE, 1);
VALUE(MAPDIRECT_FEATURE_TESTING, 2);

SIZE(mapdirect_info, 24);
MEMBER(mapdirect_info, abi, 0, 4);
MEMBER(mapdirect_info, mode, 4, 4);
MEMBER(mapdirect_info, features, 8, 8);
MEMBER(mapdirect_info, break_cap_ms, 16, 4);
MEMBER(mapdirect_info, reserved, 20, 4);

VALUE(MAPDIRECT_LEASE_ALLOCATE, 1);

SIZE(mapdirect_lease, 40);
MEMBER(mapdirect_lease, fd, 0, 4);
MEMBER(mapdirect_lease, flags, 4, 4);
MEMBER(mapdirect_lease, offset, 8, 8);
MEMBER(mapdirect_lease, length, 16, 8);
MEMBER(mapdirect_lease, addr, 24, 8);
MEMBER(mapdirect_lease, generation, 32, 8);

VALUE(MAPDIRECT_STATE_LIVE, 1);
VALUE(MAPDIRECT_STATE_BREAKING, 2);
VALUE(MAPDIRECT_STATE_RELEASING, 3);
VALUE(MAPDIRECT_STATE_RELEASED, 4);
VALUE(MAPDIRECT_STATE_STUCK, 5);

VALUE(MAPDIRECT_EVENT_BREAK, 1);
VALUE(MAPDIRECT_EVENT_REVOKED, 2);

VALUE(MAPDIRECT_REASON_LAYOUT, 1);
VALUE(MAPDIRECT_REASON_TRUNCATE, 2);
VALUE(MAPDIRECT_REASON_UNMAP, 3);

SIZE(mapdirect_event, 56);
MEMBER(mapdirect_event, type, 0, 4);
MEMBER(mapdirect_event, reason, 4, 4);
MEMBER(mapdirect_event, generation, 8, 8);
MEMBER(mapdirect_event, time_ns, 16, 8);
MEMBER(mapdirect_event, deadline_ns, 24, 8);
MEMBER(mapdirect_event, breaker_pid, 32, 4);
MEMBER(mapdirect_event, reserved, 36, 4);
MEMBER(mapdirect_event, breaker_comm, 40, 16);

SIZE(mapdirect_status, 40);
MEMBER(mapdirect_status, state, 0, 4);
MEMBER(mapdirect_status, reason, 4, 4);
MEMBER(mapdirect_status, generation, 8, 8);
MEMBER(mapdirect_status, pages, 16, 8);
MEMBER(mapdirect_status, foreign_pages, 24, 8);
MEMBER(mapdirect_status, deadline_ns, 32, 8);

VALUE(MAPDIRECT_IOC_MAGIC, 219);
VALUE(MAPDIRECT_IOC_INFO, 0x8018db00);
VALUE(MAPDIRECT_IOC_LEASE, 0xc028db01);
VALUE(MAPDIRECT_IOC_STATUS, 0x8028db02);
VALUE(MAPDIRECT_IOC_RELEASE, 0xdb03);
