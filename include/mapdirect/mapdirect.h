/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * libmapdirect: RDMA to a file on a DAX file system, under a layout lease.
 * (To a device-dax without one, and for tests to any file: enum md_provider.)
 *
 * Rules for every call, unless its comment says otherwise:
 * - It returns an object or NULL, 0 or -1. On failure errno is set, nothing
 *   has changed, and md_errmsg() has a sentence: file, range, cause, remedy.
 * - It may be called from any thread, and not from a signal handler.
 * - Offsets and lengths are bytes; times are nanoseconds of CLOCK_MONOTONIC,
 *   budgets are milliseconds.
 * - Structures that the caller fills begin with their size; set it with
 *   sizeof. Members beyond the given size count as zero, and zero is the
 *   default of every member. Of one that the library fills, only as much as
 *   the size has room for is written.
 * - After fork(2) the child's copy of a context is dead: every call on it or
 *   on what came from it that can fail does, with ECHILD.
 *
 * See mapdirect(7) for the model: leases, breaks, the deadline.
 */
#ifndef MAPDIRECT_H
#define MAPDIRECT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <infiniband/verbs.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The library itself is built with hidden visibility. */
#pragma GCC visibility push(default)

struct md_context;
struct md_map;
struct md_peer;
struct md_listener;
struct md_grant;
struct md_remote;

/**
 * md_errmsg - the sentence of the last call that failed in this thread
 *
 * Never NULL; "" before the first failure. Valid until the next md_ call of
 * this thread that fails. Does not touch errno.
 */
const char *md_errmsg(void);

/* ---- context ---------------------------------------------------------- */

/* md_context_attr.flags */
#define MD_OPEN_NO_THREAD (1U << 0) /* the caller runs md_process() itself */

/**
 * struct md_context_attr - settings of a context
 * @size:            sizeof(struct md_context_attr)
 * @flags:           MD_OPEN_* bits
 * @drain_budget_ms: how long a break waits for open uses, for peers and for
 *                   the acknowledgement of MD_EVENT_BREAK before it goes on
 *                   without them; 1 to 60000, 0 means 250; never more than
 *                   half of the time to the kernel's deadline
 * @restore_limit_ms: how long MD_MAP_RESTORE and md_restore() keep trying
 *                   while the file is never seen to fit (it is too short, or
 *                   has holes that may not be filled), or while memory, blocks
 *                   or descriptors are short, before the map is lost; up to
 *                   3600000, 0 means 5000
 * @device:          path of the module's device; NULL means /dev/mapdirect
 * @keepalive_ms:    longest silence towards a peer; a peer that is silent for three
 *                   times as long as it has said has lost its connection; 10 to
 *                   60000, 0 means 2000
 */
struct md_context_attr {
	size_t size;
	uint32_t flags;
	uint32_t drain_budget_ms;
	uint32_t restore_limit_ms;
	const char *device;
	uint32_t keepalive_ms;
};

/**
 * md_open - make a context
 * @attr: settings, or NULL for the defaults
 *
 * Starts the service thread that carries out breaks, unless MD_OPEN_NO_THREAD.
 * The thread blocks all signals. Opens no device: md_map() and md_query() do
 * when first called.
 *
 * errno: EINVAL (unknown flag, size or value), ENOMEM, EMFILE, ENFILE, EAGAIN
 * (no thread).
 */
struct md_context *md_open(const struct md_context_attr *attr);

/**
 * md_close - end a context
 * @ctx: a context, or NULL (nothing happens)
 *
 * Stops the service thread and frees the context and events not fetched.
 * Waits for the step of a break that the thread is in, not for a break.
 * After fork, in the child, it only frees memory and does not fail.
 *
 * errno: EBUSY (a map, a peer, a listener or an unacknowledged event is left).
 */
int md_close(struct md_context *ctx);

/**
 * md_fd - the descriptor to poll
 * @ctx: a context
 *
 * Poll it for POLLIN; do not read or close it. With a service thread it is
 * readable when md_get_event() has something; with MD_OPEN_NO_THREAD also when
 * md_process() is to be called. It stays the same until md_close().
 *
 * Returns the descriptor. errno: EINVAL (no context), ECHILD.
 */
int md_fd(struct md_context *ctx);

/**
 * md_process - do what is due, in a context without a service thread
 * @ctx: a context opened with MD_OPEN_NO_THREAD
 *
 * Handles lease events and timers: all steps of a break that can be done now.
 * Never waits for peers, uses or acknowledgements; it can take as long as the
 * kernel takes to deregister the regions or, on restore, to lease and register
 * the range again. Only one thread at a time may call it, one that waits in
 * md_get_event() included. A break that nobody processes runs into the kernel's
 * deadline, and the process is killed.
 *
 * Returns 0. errno: EINVAL (no context, or it has a service thread), ECHILD.
 */
int md_process(struct md_context *ctx);

/* ---- what can be done here -------------------------------------------- */

/*
 * Who keeps the promise that blocks do not move under DMA; mapdirect(7) compares
 * what each promises.
 */
enum md_provider {
	MD_PROVIDER_NONE,
	MD_PROVIDER_KMOD,   /* fsdax file, layout lease through mapdirect.ko */
	MD_PROVIDER_DEVDAX, /* device-dax: there is no file system, so no break */
	/*
	 * Any other regular file, by a lease of fcntl(2): it breaks when the file is
	 * opened or truncated, and for nothing else. For development and tests.
	 */
	MD_PROVIDER_FCNTL,
};

/**
 * struct md_query_result - what md_query() found
 * @size:               in: sizeof(struct md_query_result)
 * @provider:           who could lease the range without being asked for by
 *                      name; MD_PROVIDER_NONE if nobody, and for a file without
 *                      the module
 * @error:              0, or one of the errnos that md_map() without
 *                      MD_MAP_ALLOCATE would fail with
 * @file_size:          bytes
 * @unallocated_offset: file offset of the first hole or unwritten extent in
 *                      the range (MD_MAP_ALLOCATE would fill it)
 * @unallocated_length: bytes in that hole, 0 if the range is all written
 * @break_cap_ms:       the module's cap on the deadline of a break
 * @lease_break_ms:     /proc/sys/fs/lease-break-time
 * @reason:             a sentence: why not, or who will serve
 * @by_name:            who else would serve if md_map_attr.provider named it,
 *                      and promise less: MD_PROVIDER_FCNTL, or
 *                      MD_PROVIDER_DEVDAX for volatile memory; else
 *                      MD_PROVIDER_NONE
 * @by_name_reason:     a sentence: what it promises, or why not even that
 */
struct md_query_result {
	size_t size;
	enum md_provider provider;
	int error;
	uint64_t file_size;
	uint64_t unallocated_offset;
	uint64_t unallocated_length;
	uint32_t break_cap_ms;
	uint32_t lease_break_ms;
	char reason[256];
	enum md_provider by_name;
	char by_name_reason[256];
};

/**
 * md_query - tell whether and how a range could be mapped, taking nothing
 * @ctx:    a context (its device is asked)
 * @fd:     the file
 * @offset: as for md_map()
 * @length: as for md_map()
 * @result: filled in; @result->size must be set
 *
 * Returns 0 when the question could be answered, also if the answer is no.
 * What only shows when a lease is really taken (another break under way, an
 * overlapping lease, RLIMIT_MEMLOCK) is not foreseen. Does file system calls,
 * so it can block on a slow one.
 *
 * errno: EINVAL (no context, or result), EBADF, ECHILD.
 */
int md_query(struct md_context *ctx, int fd, off_t offset, size_t length,
	     struct md_query_result *result);

/* ---- map -------------------------------------------------------------- */

/* md_map_attr.flags */
#define MD_MAP_ALLOCATE (1U << 0)  /* allocate and write zeroes through holes */
#define MD_MAP_RESTORE (1U << 1)   /* lease and register again after each break */
#define MD_MAP_PROGRESS (1U << 2)  /* report MD_EVENT_POPULATE */
#define MD_MAP_ON_DEMAND (1U << 3) /* the same as RESTORE when a peer waits for it */

/**
 * struct md_map_attr - settings of a map
 * @size:     sizeof(struct md_map_attr)
 * @flags:    MD_MAP_* bits
 * @provider: MD_PROVIDER_NONE (0) asks for MD_PROVIDER_KMOD, or if @fd is a
 *            device-dax of persistent memory for MD_PROVIDER_DEVDAX; whatever
 *            would promise less has to be asked for by name
 * @cancel:   NULL, or what md_map() looks at while it goes through the pages:
 *            once it is not 0, the call fails with ECANCELED. It is set by an
 *            atomic store, from any thread or from a signal handler, and not
 *            looked at any more when md_map() has returned
 * @user_data: anything; every event of the map has it
 */
struct md_map_attr {
	size_t size;
	uint32_t flags;
	enum md_provider provider;
	const volatile int *cancel;
	void *user_data;
};

enum md_map_state {
	MD_MAP_LIVE = 1, /* leased: usable */
	MD_MAP_BREAKING, /* a break or md_release() is being carried out */
	MD_MAP_RELEASED, /* no lease; it may come back by restore */
	MD_MAP_LOST,	 /* no lease, for good: dereg, unmap, map again */
};

/**
 * md_map - take the lease of a file range and map it
 * @ctx:    a context
 * @fd:     a regular file on a DAX file system, or a device-dax, open O_RDWR;
 *          duplicated, so the caller may close it
 * @offset: multiple of the page size
 * @length: 1 or more, rounded up to whole pages; the range must end within
 *          the last page of the file. Of a device-dax, both are multiples of
 *          its alignment
 * @attr:   settings, or NULL for the defaults
 *
 * The caller owns the file or has CAP_LEASE. The address is reserved until
 * md_unmap(), whatever becomes of the lease, and chosen so that huge mappings
 * fit wherever the file's blocks allow them. The pinned pages count against
 * RLIMIT_MEMLOCK (once here and once per region) unless CAP_IPC_LOCK.
 *
 * Blocks while pages are faulted in and pinned; a matter of minutes for
 * gigabytes that have to be allocated. MD_MAP_PROGRESS has another thread see
 * how far it is, @attr->cancel ends it. Signals do not: their handlers run, and
 * the call goes on. With MD_OPEN_NO_THREAD, another thread has to call
 * md_process() meanwhile if the context has other maps. A break that comes
 * during the call makes it fail with EAGAIN. Blocks that MD_MAP_ALLOCATE has
 * added stay in the file if the call fails after that (ECANCELED or ENOSPC, say).
 * What the file shares with others (reflink), in the range or not, is copied
 * first, which takes space and breaks leases that others hold on the file.
 *
 * errno: EINVAL, EOVERFLOW, EBADF, EBADFD (neither kind of file), EACCES (not
 * open for reading and writing, or no permission for the device or to open the
 * file once more), ENODEV (not DAX), EOPNOTSUPP (file system or provider, or
 * volatile memory without its provider's name), ENXIO (beyond the end of the
 * file), ENODATA (not allocated, and no MD_MAP_ALLOCATE), EPERM (not the owner),
 * ENOLCK (leases-enable is 0), EEXIST (overlaps another lease), EAGAIN (break
 * under way; MD_PROVIDER_FCNTL: open elsewhere), EBUSY (extents not stable),
 * EMLINK (still shares blocks),
 * EADDRNOTAVAIL (something else was mapped over the library's mapping meanwhile),
 * ECANCELED (@attr->cancel), ENOENT (no module, or no /proc), ENOMEM, ENOSPC, EIO,
 * EMFILE, ENFILE, ECHILD.
 */
struct md_map *md_map(struct md_context *ctx, int fd, off_t offset, size_t length,
		      const struct md_map_attr *attr);

/**
 * md_unmap - release the lease and give the address range back
 * @map: a map in any state, or NULL (nothing happens)
 *
 * Events of the map that were not fetched are dropped. In a break it joins in
 * and finishes it. If somebody else still pins pages (a vmsplice, say), the
 * kernel keeps the lease until they are gone; the call does not wait for that,
 * but for the step that a break or a restore is in. A lease of
 * MD_PROVIDER_FCNTL that this process has lost the right to (MD_EVENT_LATE)
 * ends when the file is closed, too.
 *
 * errno: EBUSY (regions, attached queue pairs, open uses or unacknowledged
 * events are left), ECHILD.
 */
int md_unmap(struct md_map *map);

/**
 * md_map_addr, md_map_length, md_map_offset, md_map_state,
 * md_map_generation, md_map_provider - look at a map
 *
 * Address, length (bytes, as mapped), file offset and provider never change.
 * The generation is that of the current or, without a lease, of the last one.
 * State and generation may have changed by the time the caller looks at them:
 * only md_map_get() makes sure. They do not fail.
 */
void *md_map_addr(const struct md_map *map);
size_t md_map_length(const struct md_map *map);
off_t md_map_offset(const struct md_map *map);
enum md_map_state md_map_state(const struct md_map *map);
uint64_t md_map_generation(const struct md_map *map);
enum md_provider md_map_provider(const struct md_map *map);

/**
 * md_map_get - begin a use of a map
 * @map: a map
 *
 * A use brackets CPU loads and stores in the mapping, reading lkey and rkey,
 * and work requests from before posting until the completion was polled. While
 * it is open the lease stays, unless it is open for longer than the drain
 * budget of a break. No lock, no system call; not from a signal handler.
 *
 * errno: EINVAL (no map), EAGAIN (no lease now: retry after MD_EVENT_RESTORED),
 * ESTALE (lost), ECHILD.
 */
int md_map_get(struct md_map *map);

/**
 * md_map_put - end a use; from any thread, once per successful md_map_get()
 * @map: a map
 *
 * Does not fail and keeps errno. Not from a signal handler.
 */
void md_map_put(struct md_map *map);

/**
 * md_persist - make stores and completed RDMA writes durable
 * @map:    a map
 * @offset: bytes from the start of the map
 * @length: bytes; offset + length within the map
 *
 * Flushes CPU caches (libpmem); with MD_PROVIDER_FCNTL it writes back to the
 * file, and is as durable as the file system makes it. What a peer wrote is
 * covered if it is known to be complete: a message that the peer sent over the
 * same adapter after the write completed has been received here, or the peer has
 * read it back by RDMA (with IBV_ACCESS_RELAXED_ORDERING only the latter), see
 * mapdirect(7). Works in an open use also while a break is under way; the break
 * waits for it.
 * Durable data stays in the file across any break, save what the breaker
 * itself removes. Blocks for the flush.
 *
 * errno: EINVAL (no map, or range), EAGAIN (no lease any more), ESTALE (lost),
 * ECHILD; MD_PROVIDER_FCNTL: what msync(2) and MADV_POPULATE_WRITE of madvise(2)
 * fail with, EFAULT if the caller itself has made the file shorter.
 */
int md_persist(struct md_map *map, size_t offset, size_t length);

/**
 * md_release - give the lease back by choice
 * @map: a map
 *
 * Starts what a break does: the gate is shut, MD_EVENT_BREAK is reported with
 * reason MD_REASON_RELEASE, and so on to MD_EVENT_RELEASED. Waits for none of
 * these, but for the step that a break or a restore of this map is in. The map
 * then stays RELEASED until md_restore(), MD_MAP_RESTORE notwithstanding.
 * In a break it only has that last effect.
 *
 * errno: EINVAL (no map), ESTALE (lost), ECHILD.
 */
int md_release(struct md_map *map);

/**
 * md_restore - lease the range and register all regions again
 * @map: a map
 *
 * Needed without MD_MAP_RESTORE, or after md_release(); otherwise cuts short
 * the pause before the next try. Does not wait: MD_EVENT_RESTORED or MD_EVENT_LOST
 * tells. The restore starts only when no use is open. Nothing to do on a LIVE map
 * is success.
 *
 * errno: EINVAL (no map), ESTALE (lost), ECHILD.
 */
int md_restore(struct md_map *map);

/* ---- memory region ---------------------------------------------------- */

/**
 * struct md_mr - a registered sub-range of a map; read only
 * @pd:     as registered
 * @map:    as registered
 * @addr:   first byte, in the mapping
 * @length: bytes
 * @access: IBV_ACCESS_* bits
 * @lkey:   for local work requests
 * @rkey:   for peers
 *
 * The handle lives until md_dereg_mr(), across breaks. Both keys are new after
 * each restore: read them only inside a use (md_map_get()).
 */
struct md_mr {
	struct ibv_pd *pd;
	struct md_map *map;
	void *addr;
	size_t length;
	int access;
	uint32_t lkey;
	uint32_t rkey;
};

/**
 * md_reg_mr - register part of a leased map; stands in for ibv_reg_mr(3)
 * @pd:     protection domain; must outlive the region
 * @map:    a map in state LIVE
 * @offset: bytes from the start of the map, any alignment
 * @length: bytes, 1 or more; offset + length within the map
 * @access: IBV_ACCESS_LOCAL_WRITE, REMOTE_READ, REMOTE_WRITE, REMOTE_ATOMIC,
 *          RELAXED_ORDERING. ON_DEMAND, MW_BIND, ZERO_BASED and HUGETLB are
 *          refused: the region dies in a break, and what hangs on it with it.
 *
 * Registers inside the live lease, never outside one. In a break the region is
 * deregistered behind the handle: from then on the old keys are dead, and no
 * work request that uses them reaches memory. Blocks for the registration; a
 * break that comes meanwhile waits for it.
 *
 * errno: EINVAL (range, access), EOPNOTSUPP (access), EAGAIN (no lease now),
 * ESTALE (lost), ECHILD, and what ibv_reg_mr() fails with.
 */
struct md_mr *md_reg_mr(struct ibv_pd *pd, struct md_map *map, size_t offset, size_t length,
			int access);

/**
 * md_dereg_mr - deregister a region and free the handle
 * @mr: a region in any state of its map, or NULL (nothing happens)
 *
 * Blocks for ibv_dereg_mr(3). During a break it waits for the step that the
 * break is in.
 *
 * errno: EBUSY (it is granted: md_recall() that), what ibv_dereg_mr() fails with
 * (the handle stays valid), ECHILD.
 */
int md_dereg_mr(struct md_mr *mr);

/* ---- queue pairs ------------------------------------------------------ */

/**
 * md_attach_qp - tell that the traffic of a queue pair uses a map
 * @map:  a map
 * @qp:   a queue pair of the application; must outlive the attachment
 * @peer: whose traffic it is, or NULL
 *
 * If a break's drain budget runs out, attached queue pairs are set to the
 * error state (ibv_modify_qp(3), IBV_QPS_ERR), which ends their traffic: those of
 * a peer that has a grant and has not said that it is done, and those without a
 * peer if a use is open or MD_EVENT_BREAK is not acknowledged. Each is told by
 * MD_EVENT_QP_FENCED. A queue pair may be attached to several maps.
 * The library does nothing else to it. Works in every state of the map, and
 * waits for the step that a break or a restore of it is in.
 *
 * errno: EINVAL (no map, no queue pair, or a peer of another context), EEXIST
 * (attached already), ENOMEM, ECHILD.
 */
int md_attach_qp(struct md_map *map, struct ibv_qp *qp, struct md_peer *peer);

/**
 * md_detach_qp - end an attachment, before destroying the queue pair
 * @map: the map
 * @qp:  the queue pair
 *
 * Its MD_EVENT_QP_FENCED, if not fetched yet, is dropped. Waits for the step
 * that a break is in; after it, no break touches the queue pair.
 *
 * errno: EINVAL (no map, no queue pair), ENOENT (not attached), EBUSY (its event
 * was fetched and not acknowledged), ECHILD.
 */
int md_detach_qp(struct md_map *map, struct ibv_qp *qp);

/**
 * md_fence_qp - set an attached queue pair to the error state now
 * @map: the map
 * @qp:  the queue pair
 *
 * For applications that recall peers by their own protocol and find one that
 * does not answer. Stops traffic; the barrier is the deregistration that the
 * break does next. Reported by MD_EVENT_QP_FENCED. Nothing to do on one
 * that was fenced already. Blocks for ibv_modify_qp(3), and waits for the step
 * that a break or a restore is in.
 *
 * errno: EINVAL (no map, no queue pair), ENOENT (not attached), ECHILD, and what
 * ibv_modify_qp() fails with.
 */
int md_fence_qp(struct md_map *map, struct ibv_qp *qp);

/* ---- peers ------------------------------------------------------------ */

/*
 * A session with another context, on another machine or not: who grants memory
 * is the holder, who is granted it the peer; both ends may be both. A session
 * outlives its connections. mapdirect-protocol(7) has what is said in it.
 */

#define MD_NAME_MAX 64	    /* bytes in the name of a grant, its final zero included */
#define MD_MESSAGE_MAX 256  /* bytes in a message of a session */
#define MD_REMOTES_MAX 1024 /* that one peer grants; what is more is given back */
#define MD_PRIVATE_MAX 32   /* bytes of private data in a request */

/**
 * struct md_peer_ops - a connection of the application's own
 * @size:  sizeof(struct md_peer_ops)
 * @send:  takes one message of @length bytes, at most MD_MESSAGE_MAX, or none of
 *         it. It does not block. 0, or -1: with errno EAGAIN the message is kept
 *         and offered again, soon, and after md_peer_input(); with any other the
 *         connection counts as lost. The bytes are not to be kept by reference.
 * @close: the library wants no more of this connection: it is broken, or the
 *         session is over. Nothing is sent, and no input is taken, before the next
 *         md_peer_connected(). Not called after md_peer_lost(), or when @send has
 *         said that it is lost. May be NULL.
 * @verbs: the adapter by which the messages come, if they come by RDMA and in
 *         order with what the peer writes by it; NULL: not so, and
 *         md_persist_remote() of the other side is refused. Looked at by
 *         md_peer_new() only
 *
 * Both are called from whichever thread drives the context or makes a call of the
 * library on it, one at a time for each peer, with no lock held. They may not call
 * the library. What is sent first arrives first, or not at all; what is lost is
 * sent again.
 */
struct md_peer_ops {
	size_t size;
	int (*send)(void *arg, const void *message, size_t length);
	void (*close)(void *arg);
	struct ibv_context *verbs;
};

/**
 * md_peer_new - make a session that the application carries
 * @ctx: a context
 * @ops: its connection; copied
 * @arg: passed to @ops
 * @user_data: anything; every event of the peer has it
 *
 * Both ends make one. Nothing is sent before md_peer_connected(). Does not block.
 *
 * errno: EINVAL (no context, or in @ops), ENOMEM, ECHILD.
 */
struct md_peer *md_peer_new(struct md_context *ctx, const struct md_peer_ops *ops, void *arg,
			    void *user_data);

/**
 * md_peer_connected - tell that the connection is there, or is there again
 * @peer: a peer without a connection
 *
 * The two ends introduce themselves to each other; MD_EVENT_PEER_UP follows. Open
 * recalls are told again before anything else. Sends by @ops->send.
 *
 * errno: EINVAL (no peer, or one of md_connect() or md_listen()), EISCONN (a
 * connection is there), ESHUTDOWN (the session is over), ECHILD.
 */
int md_peer_connected(struct md_peer *peer);

/**
 * md_peer_input - hand over what came by the connection
 * @peer:   a peer with a connection
 * @bytes:  any number of messages or pieces of them, in the order of arrival
 * @length: how many bytes
 *
 * Not from @ops. Two threads must not do it at the same time for one peer. Sends by
 * @ops->send; carries out no break itself, so it blocks for no file and no
 * adapter. What is no message of the protocol closes the connection, and the
 * peer's queue pairs are fenced.
 *
 * errno: EINVAL (no peer, or one of md_connect() or md_listen()), ENOTCONN (there is
 * no connection), EPROTO (it was closed now, md_errmsg() says why), ECHILD.
 */
int md_peer_input(struct md_peer *peer, const void *bytes, size_t length);

/**
 * md_peer_lost - tell that the connection is gone
 * @peer: a peer
 *
 * Nobody is fenced, and what was granted stays valid. A break that comes, or is
 * under way, waits for the next connection for the drain budget, and then fences
 * the peer. Nothing to do without a connection.
 *
 * errno: EINVAL (no peer, or one of md_connect() or md_listen()), ECHILD.
 */
int md_peer_lost(struct md_peer *peer);

/**
 * md_peer_close - end a session
 * @peer: a peer in any state, or NULL (nothing happens)
 *
 * The other side gets MD_EVENT_PEER_CLOSED, and its remote ranges from here are
 * lost, as the ones here from there are: after this, handles of them are invalid.
 * Events of the peer and of its remote ranges that were not fetched are dropped, as are
 * requests of md_persist_remote() without an answer: what they cover may not be
 * durable. May block while a message is being sent, and for 100 ms if the connection
 * takes none.
 *
 * errno: EBUSY (grants to it are left: md_recall() them; queue pairs attached with
 * it; open uses of its remote ranges; unacknowledged events), ECHILD.
 */
int md_peer_close(struct md_peer *peer);

/* ---- connections over rdma_cm ----------------------------------------- */

/**
 * struct md_listen_attr - settings of a listener
 * @size:      sizeof(struct md_listen_attr)
 * @backlog:   requests that wait for an answer; 0 means 64
 * @user_data: anything; MD_EVENT_PEER_REQUEST has it
 */
struct md_listen_attr {
	size_t size;
	uint32_t backlog;
	void *user_data;
};

/**
 * md_listen - take sessions of others
 * @ctx:  a context
 * @host: address or name of an RDMA device's network interface; NULL: of any
 * @port: service name or number; NULL or "0": any that is free
 * @attr: settings, or NULL for the defaults
 *
 * Each new peer is announced by MD_EVENT_PEER_REQUEST, and waits for md_accept() or
 * md_refuse(). One that comes back after its connection was lost is not announced
 * again. The connection is the library's own, beside those of the application. May
 * block for a name to be resolved.
 *
 * errno: EINVAL, EADDRINUSE, EADDRNOTAVAIL (no such address or name), ENODEV (no
 * RDMA device), ENOMEM, EMFILE, ENFILE, ECHILD.
 */
struct md_listener *md_listen(struct md_context *ctx, const char *host, const char *port,
			      const struct md_listen_attr *attr);

/**
 * md_listener_port - the port that a listener has got
 * @listener: a listener
 *
 * Does not fail.
 */
int md_listener_port(const struct md_listener *listener);

/**
 * md_listener_close - take no more sessions
 * @listener: a listener, or NULL (nothing happens)
 *
 * Peers stay; those that lose their connection cannot come back, unless the context
 * listens at the same address again. Peers that wait for an answer stay, too.
 *
 * errno: ECHILD.
 */
int md_listener_close(struct md_listener *listener);

/**
 * md_accept - take a peer that asks for a session
 * @peer:      of MD_EVENT_PEER_REQUEST
 * @user_data: anything; every event of the peer has it
 *
 * MD_EVENT_PEER_UP follows. Should the peer have lost its connection meanwhile, it
 * comes back by itself. Regions may be granted from here on. Does not wait.
 *
 * errno: EINVAL (no peer, or it does not ask), ECHILD.
 */
int md_accept(struct md_peer *peer, void *user_data);

/**
 * md_refuse - turn a peer away that asks for a session
 * @peer: of MD_EVENT_PEER_REQUEST
 *
 * It gets MD_EVENT_PEER_CLOSED with ECONNREFUSED. The handle is invalid afterwards.
 *
 * errno: EINVAL (no peer, or it does not ask), EBUSY (acknowledge its event first),
 * ECHILD.
 */
int md_refuse(struct md_peer *peer);

/**
 * struct md_connect_attr - settings of a session
 * @size:         sizeof(struct md_connect_attr)
 * @private_len:  bytes in @private_data, up to MD_PRIVATE_MAX
 * @private_data: for MD_EVENT_PEER_REQUEST there; copied
 * @user_data:    anything; every event of the peer has it
 */
struct md_connect_attr {
	size_t size;
	uint32_t private_len;
	const void *private_data;
	void *user_data;
};

/**
 * md_connect - ask for a session
 * @ctx:  a context
 * @host: address or name that the other side listens at
 * @port: service name or number
 * @attr: settings, or NULL for the defaults
 *
 * MD_EVENT_PEER_UP follows when the other side has accepted. Tries again, with
 * growing pauses, while there is no connection, also after one was lost: each time
 * MD_EVENT_PEER_DOWN says why. MD_EVENT_PEER_CLOSED says that it is over: refused, or
 * the other side does not know the session any more, because it was started anew.
 * Use the handle like one of md_peer_new(), but for md_peer_connected(),
 * md_peer_input() and md_peer_lost(). May block for a name to be resolved, not for the
 * connection. In a child after fork(2) whose parent had listened or connected before,
 * it makes none: librdmacm shares what it has open.
 *
 * errno: EINVAL, EADDRNOTAVAIL (no such name), ENODEV (no RDMA device), ENOMEM, EMFILE,
 * ENFILE, ECHILD.
 */
struct md_peer *md_connect(struct md_context *ctx, const char *host, const char *port,
			   const struct md_connect_attr *attr);

/* ---- grants ----------------------------------------------------------- */

/**
 * md_grant - let a peer use a region by RDMA
 * @peer: whom; connected or not, the grant is sent when it is
 * @mr:   what; REMOTE_READ, REMOTE_WRITE or REMOTE_ATOMIC access
 * @name: for md_remote_find() there, up to MD_NAME_MAX - 1 bytes; NULL means ""
 *
 * In a break the peer is told, and waited for within the drain budget; who is not
 * done by then is fenced: those of its queue pairs that were attached with this
 * peer (md_attach_qp()) are set to the error state. A peer that is done keeps its
 * queue pairs. After a restore the region is granted again by itself, with its new
 * key. Attach the queue pair before, so that the peer may use md_persist_remote().
 * Does not wait for the peer. In a break the grant is given after the restore. A peer
 * that has MD_REMOTES_MAX of them gives it back at once.
 *
 * errno: EINVAL (no peer, region or remote access, a name that is too long,
 * different contexts), ESTALE (the map is lost), ESHUTDOWN (the session is over),
 * ENOMEM, ECHILD.
 */
struct md_grant *md_grant(struct md_peer *peer, struct md_mr *mr, const char *name);

/**
 * md_recall - take a grant back for good
 * @grant: a grant, or NULL (nothing happens)
 *
 * Tells the peer and waits until it is done, at most the drain budget, then fences
 * it as a break does. A fence ends what its attached queue pairs do; whoever has the
 * key and is not attached keeps it until md_dereg_mr(). The handle is invalid afterwards. With MD_OPEN_NO_THREAD it
 * runs md_process() meanwhile, and so is the one thread that may. A peer whose
 * session is over is not waited for. In a break it waits for the peer as the break does.
 *
 * errno: ECHILD.
 */
int md_recall(struct md_grant *grant);

/**
 * struct md_remote - a range that the other side has granted; read only
 * @peer:   the holder
 * @addr:   address for RDMA of its first byte
 * @length: bytes
 * @access: IBV_ACCESS_REMOTE_* bits
 * @rkey:   the key
 * @name:   as granted
 *
 * The handle lives until md_remote_release() or md_peer_close(), across recalls. The
 * key is new after each: read it only inside a use (md_remote_get()).
 */
struct md_remote {
	struct md_peer *peer;
	uint64_t addr;
	uint64_t length;
	int access;
	uint32_t rkey;
	char name[MD_NAME_MAX];
};

/**
 * md_remote_find - look a remote range up by its name
 * @peer: the holder
 * @name: as granted
 *
 * Also finds one that is recalled now. Of several, one. Never waits: the grant is
 * announced by MD_EVENT_GRANTED.
 *
 * errno: EINVAL (no peer, no name), ENOENT, ECHILD.
 */
struct md_remote *md_remote_find(struct md_peer *peer, const char *name);

/**
 * md_remote_get - begin a use of a remote range
 * @remote: a remote range
 *
 * A use brackets reading the key and work requests with it, from before posting
 * until the completion was polled, on whichever queue pair. While it is open the
 * holder waits, but not for longer than its drain budget: then it sets the queue
 * pairs to the error state, the work completes with an error, and
 * MD_EVENT_REMOTE_FENCED tells. The range is granted again only after all uses were
 * put. No lock, no system call; not from a signal handler.
 *
 * errno: EINVAL (no remote range), EAGAIN (recalled: md_remote_wait(), or
 * MD_EVENT_GRANTED), ESTALE (lost), ECHILD.
 */
int md_remote_get(struct md_remote *remote);

/**
 * md_remote_put - end a use; from any thread, once per successful md_remote_get()
 * @remote: the remote range
 *
 * Does not fail and keeps errno. Not from a signal handler.
 */
void md_remote_put(struct md_remote *remote);

/**
 * md_remote_wait - wait until a remote range can be used
 * @remote:     a remote range
 * @timeout_ms: 0 does not wait, -1 waits for ever
 *
 * Asks the holder to lease it again, should it be waiting to be asked. With
 * MD_OPEN_NO_THREAD it runs md_process() meanwhile, and so is the one thread that
 * may. It can be recalled again by the time the caller uses it.
 *
 * errno: EINVAL (no remote range), ETIMEDOUT, ESTALE (lost), ECHILD.
 */
int md_remote_wait(struct md_remote *remote, int timeout_ms);

/**
 * md_persist_remote - have the holder make completed RDMA writes durable
 * @remote: a remote range
 * @offset: bytes from its start
 * @length: bytes, 1 or more; offset + length within the range
 * @wr_id:  anything; MD_EVENT_PERSISTED has it
 *
 * Covers what this peer has written there by RDMA on queue pairs that the holder has
 * attached with it, if the completion of the write was polled before this call.
 * MD_EVENT_PERSISTED tells the outcome of each request. With an @error of 0, the
 * bytes are in the file after any break or crash, save what somebody removes from
 * the file. With ESTALE the grant was recalled, and this peer fenced, before the
 * holder had answered: they may be there or not, write them again. With EOPNOTSUPP the
 * holder cannot tell whether it sees the writes: no queue pair of this peer is attached
 * there, or one on another adapter than the session's, the region has
 * IBV_ACCESS_RELAXED_ORDERING, or the application carries the session without
 * md_peer_ops.verbs. With EIO its flush has failed.
 *
 * Requests travel together, and those of one remote range are answered in their
 * order. Each counts as an open use until it has ended: in a break the holder waits
 * for it, as for any. A lost connection does not end them: they are asked again. Works in an open use also while the range is being recalled. Does not wait.
 *
 * errno: EINVAL (no remote range, or range), EAGAIN (recalled), ESTALE (lost, or
 * fenced), ENOMEM, ECHILD.
 */
int md_persist_remote(struct md_remote *remote, uint64_t offset, uint64_t length, uint64_t wr_id);

/**
 * md_remote_release - give a remote range back for good
 * @remote: a remote range, or NULL (nothing happens)
 *
 * The holder does not wait for this peer any more. Events of it that were not fetched
 * are dropped; the handle is invalid afterwards. Does not wait.
 *
 * errno: EBUSY (open uses, or unacknowledged events), ECHILD.
 */
int md_remote_release(struct md_remote *remote);

/* ---- events ----------------------------------------------------------- */

enum md_event_type {
	MD_EVENT_BREAK = 1,	/* stop using the map, put uses, then ack this event */
	MD_EVENT_QP_FENCED,	/* @qp was set to the error state; not if there is an @error */
	MD_EVENT_RELEASED,	/* the lease is gone; @timeline tells how it went */
	MD_EVENT_RESTORED,	/* leased and registered again, with new keys */
	MD_EVENT_LOST,		/* it will not come back; @error and @message say why */
	MD_EVENT_LATE,		/* pins remain, and the deadline is near; or see @error */
	MD_EVENT_POPULATE,	/* how far md_map() or a restore is: @done of @total */
	MD_EVENT_PEER_REQUEST,	/* @peer wants a session: md_accept() or md_refuse() */
	MD_EVENT_PEER_UP,	/* the session with @peer has a connection */
	MD_EVENT_PEER_DOWN,	/* it has none now; the session goes on with the next */
	MD_EVENT_PEER_CLOSED,	/* the session is over for good; @error and @message say why */
	MD_EVENT_GRANTED,	/* @remote can be used, for the first time or again */
	MD_EVENT_RECALLED,	/* @remote is taken back: put its uses */
	MD_EVENT_REMOTE_FENCED, /* the holder has not waited: see md_remote_get() */
	MD_EVENT_REMOTE_LOST,	/* @remote will not come back; @error and @message say why */
	MD_EVENT_PERSISTED,	/* md_persist_remote() has ended; @wr_id and @error */
};

enum md_reason {
	MD_REASON_NONE,
	MD_REASON_LAYOUT,   /* the file system changes the file's layout */
	MD_REASON_TRUNCATE, /* blocks are taken out of the file */
	MD_REASON_UNMAP,    /* this process unmapped the file under the library */
	MD_REASON_RELEASE,  /* md_release() */
	MD_REASON_REVOKED,  /* the kernel's deadline passed */
	MD_REASON_BUDGET,   /* QP_FENCED: the drain budget ran out */
	MD_REASON_REQUEST,  /* QP_FENCED: md_fence_qp() */
	MD_REASON_OPEN,	    /* MD_PROVIDER_FCNTL: the file is opened or truncated */
	MD_REASON_RECALL,   /* md_recall() */
	MD_REASON_PROTOCOL, /* QP_FENCED: its peer sent what no peer may send */
};

/**
 * struct md_timeline - when the steps of the last break were done
 *
 * CLOCK_MONOTONIC nanoseconds; 0: not reached, or not needed.
 * @broken:       the kernel noticed (md_release(): the call)
 * @noticed:      the library read the event; gate shut
 * @told:         MD_EVENT_BREAK was queued
 * @drained:      uses put and the event acknowledged, or the budget ran out
 * @fenced:       stragglers' queue pairs were set to ERR
 * @deregistered: no region is left
 * @released:     the kernel verified that no pin is left: the breaker goes on
 * @restored:     leased and registered again (in MD_EVENT_RESTORED)
 * @deadline:     the kernel's, 0 if there was none
 */
struct md_timeline {
	uint64_t broken;
	uint64_t noticed;
	uint64_t told;
	uint64_t drained;
	uint64_t fenced;
	uint64_t deregistered;
	uint64_t released;
	uint64_t restored;
	uint64_t deadline;
};

/**
 * struct md_peer_timeline - how one peer was recalled in a break
 *
 * CLOCK_MONOTONIC nanoseconds; 0: not reached.
 * @peer:   who; once it is closed, the handle may become another's
 * @told:   RECALL was handed to its connection
 * @acked:  it has said that it posts nothing new, by the same message as @done if
 *          nothing was under way
 * @done:   it has said that all its work has completed
 * @fenced: it was not waited for any longer, and its queue pairs were set to ERR
 */
struct md_peer_timeline {
	struct md_peer *peer;
	uint64_t told;
	uint64_t acked;
	uint64_t done;
	uint64_t fenced;
};

/**
 * struct md_event - what happened to a map, a peer or a remote range
 * @type:         what
 * @map:          to which map; POPULATE: NULL if it is about md_map(); else NULL
 *                where it is not about a map
 * @generation:   of the lease that it is about; RESTORED: of the new one
 * @count:        1, or more if it happened again before it was fetched (then
 *                the rest tells of the last time)
 * @reason:       why
 * @breaker_pid:  who breaks; 0: not known, or not visible in this namespace
 * @breaker_comm: name of that thread, or ""
 * @qp:           QP_FENCED: the queue pair
 * @peer:         QP_FENCED: as attached; PEER_*: which; of @remote: its holder
 * @error:        LOST, LATE: an errno; LATE with EPERM: this process has lost the
 *                right to end its lease of MD_PROVIDER_FCNTL; QP_FENCED: 0, or
 *                why @qp could not be set to the error state (deregistration
 *                ends its access all the same)
 * @timeline:     so far
 * @message:      a sentence for a log
 * @user_data:    as given for the map, or for the peer
 * @done:         POPULATE: bytes that were gone through, to allocate, copy or fault
 *                them in
 * @total:        POPULATE: bytes to go through. Pages that have to be allocated or
 *                copied count once more, so it may rise; equal to @done at the end
 * @remote:       which; NULL where it is not about a remote range
 * @wr_id:        PERSISTED: as given to md_persist_remote()
 * @peers:        RELEASED: how each grant was recalled, @n_peers of them
 * @n_peers:      see @peers
 * @private_data: PEER_REQUEST: what the peer gave to md_connect(), @private_len
 *                bytes
 * @private_len:  see @private_data
 * @address:      PEER_REQUEST: the peer's, as text
 */
struct md_event {
	enum md_event_type type;
	struct md_map *map;
	uint64_t generation;
	uint32_t count;
	enum md_reason reason;
	int breaker_pid;
	char breaker_comm[16];
	struct ibv_qp *qp;
	struct md_peer *peer;
	int error;
	struct md_timeline timeline;
	char message[192];
	void *user_data;
	uint64_t done;
	uint64_t total;
	struct md_remote *remote;
	uint64_t wr_id;
	const struct md_peer_timeline *peers;
	uint32_t n_peers;
	uint32_t private_len;
	const void *private_data;
	char address[64];
};

/**
 * md_get_event - fetch the next event
 * @ctx:        a context
 * @event:      out
 * @timeout_ms: 0 does not wait, -1 waits for ever. With MD_OPEN_NO_THREAD a
 *              waiting call runs md_process() meanwhile, and so is the one
 *              thread that may
 *
 * Every kind of event has one preallocated place per map, peer or remote range
 * (QP_FENCED: per attachment; PERSISTED: per request), so none is lost and nothing is allocated in a break. The event
 * stays valid until md_ack_event(). No lock is held: any call may follow.
 *
 * errno: EINVAL (no context, no @event), EAGAIN (none within the time), EINTR,
 * ECHILD.
 */
int md_get_event(struct md_context *ctx, struct md_event **event, int timeout_ms);

/**
 * md_ack_event - return an event
 * @event: from md_get_event(), or NULL (nothing happens)
 *
 * MD_EVENT_BREAK: says that the application's own work with the map has ended
 * (its peers told, its stragglers fenced); the break goes on once all uses are
 * put as well. It does not wait for the acknowledgement beyond the drain
 * budget. Does not fail and keeps errno.
 */
void md_ack_event(struct md_event *event);

/**
 * md_event_str, md_reason_str, md_state_str - names, for logs
 *
 * Static text; "unknown" for a value without a name.
 */
const char *md_event_str(enum md_event_type type);
const char *md_reason_str(enum md_reason reason);
const char *md_state_str(enum md_map_state state);

#pragma GCC visibility pop

#ifdef __cplusplus
}
#endif

#endif
