// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "lib_peer.h"

#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "child.h"
#include "lib_far.h"
#include "stream.h"
#include "suite.h"

struct writer {
	struct lib_peer *p;
	struct md_context *ctx;
	struct md_peer *holder;
	struct md_remote *remote;
	struct rdma rdma;
	char *buf;   /* of all writes under way, or of each large one */
	size_t size; /* of a write */
	struct ibv_mr *mr;
	unsigned int posted, completed;
	unsigned int limit;   /* how far it may post in this grant */
	unsigned int covered; /* writes that it has asked to be made durable */
	unsigned int asked;
	unsigned int last_of[LIB_PEER_DEPTH]; /* which record a request is about */
	uint64_t last;			      /* when a write completed last */
	bool paused;			      /* the next to complete is the first after a recall */
};

static unsigned int slots_of(size_t length)
{
	return length / LIB_PAGE / LIB_PEERS_MAX;
}

/* Where the peer's record of this number is. */
static size_t place(const struct lib_peer *p, unsigned int record, size_t length)
{
	return (record % slots_of(length) * LIB_PEERS_MAX + p->index) * LIB_PAGE;
}

/* Of which its page is full. */
static uint64_t content(const struct lib_peer *p, unsigned int record)
{
	return (uint64_t)record * LIB_PEERS_MAX + p->index;
}

static void persisted(struct writer *w, const struct md_event *event)
{
	unsigned int record = w->last_of[event->wr_id % LIB_PEER_DEPTH];

	CHECK_EQ(event->wr_id, atomic_load(&w->p->persisted));
	if (event->error) {
		CHECK_EQ(event->error, ESTALE);
		atomic_fetch_add(&w->p->stale, 1);
	} else if (!w->p->large) {
		atomic_store(&w->p->durable[record % slots_of(w->remote->length)], record);
	}
	atomic_fetch_add(&w->p->persisted, 1);
}

/* Of several grants that were not fetched, the last. */
static void granted(struct writer *w, struct md_remote *remote, unsigned int count)
{
	struct lib_peer *p = w->p;
	void *volatile kept;

	w->paused = w->remote;
	w->remote = remote;
	w->limit = p->per_grant ? w->posted + p->per_grant : UINT_MAX;
	for (unsigned int i = 0; i < p->leaks; i++)
		CHECK(kept = malloc(1));
	atomic_store(&p->heap, mallinfo2().uordblks);
	atomic_fetch_add(&p->grants, count);
}

static void handle(struct writer *w, struct md_event *event)
{
	switch (event->type) {
	case MD_EVENT_PEER_UP:
		atomic_fetch_add(&w->p->connections, 1);
		break;
	case MD_EVENT_GRANTED:
		granted(w, event->remote, event->count);
		break;
	case MD_EVENT_REMOTE_FENCED:
		atomic_fetch_add(&w->p->fenced, 1);
		break;
	case MD_EVENT_PERSISTED:
		persisted(w, event);
		break;
	default:
		break;
	}
	md_ack_event(event);
}

static void handle_events(struct writer *w, int timeout_ms)
{
	struct md_event *event;

	while (!md_get_event(w->ctx, &event, timeout_ms)) {
		handle(w, event);
		timeout_ms = 0;
	}
}

static void note_completion(struct writer *w)
{
	uint64_t now = now_ns();
	unsigned int n = atomic_load(&w->p->pauses);

	if (w->paused && n < LIB_PEER_PAUSES) {
		w->p->pause_ns[n] = now - w->last;
		atomic_store(&w->p->pauses, n + 1);
	}
	w->paused = false;
	w->last = now;
}

static void reap(struct writer *w)
{
	enum ibv_wc_status status = rdma_poll(&w->rdma, SUITE_WAIT_MS);

	w->completed++;
	md_remote_put(w->remote);
	if (status == IBV_WC_SUCCESS) {
		atomic_fetch_add(&w->p->writes, 1);
		note_completion(w);
	} else {
		atomic_fetch_add(&w->p->errors, 1);
	}
}

/* Record @n, or something large. Returns where it is to be written. */
static size_t fill(struct writer *w, unsigned int n, struct ibv_sge *sge)
{
	const struct lib_peer *p = w->p;
	uint64_t *words;

	*sge = (struct ibv_sge){ (uintptr_t)w->buf, w->size, w->mr->lkey };
	if (p->large)
		return (size_t)n * w->size % w->remote->length;
	sge->addr += n % LIB_PEER_DEPTH * LIB_PAGE;
	words = (uint64_t *)sge->addr;
	for (unsigned int i = 0; i < LIB_PAGE / sizeof(*words); i++)
		words[i] = content(p, n);
	return place(p, n, w->remote->length);
}

/* Posts until the queue is full, or there is no grant. */
static void post(struct writer *w)
{
	const struct md_remote *r = w->remote;

	while (w->posted - w->completed < w->p->depth && w->posted != w->limit &&
	       !md_remote_get(w->remote)) {
		struct ibv_sge sge;
		size_t at = fill(w, ++w->posted, &sge);

		atomic_store(&w->p->posted, w->posted);
		rdma_post_from(&w->rdma, &sge, r->addr + at, r->rkey);
	}
}

/* Have what was written last made durable; several requests are under way. */
static void ask(struct writer *w)
{
	const struct md_remote *r = w->remote;
	size_t at;

	if (w->covered == w->completed ||
	    w->asked - atomic_load(&w->p->persisted) >= LIB_PEER_DEPTH)
		return;
	at = w->p->large ? 0 : place(w->p, w->completed, r->length);
	w->last_of[w->asked % LIB_PEER_DEPTH] = w->completed;
	if (!md_persist_remote(w->remote, at, w->size, w->asked)) {
		atomic_store(&w->p->asked, ++w->asked);
		w->covered = w->completed;
	} else if (errno != EAGAIN && errno != ESTALE) { /* recalled, or fenced */
		suite_fail(__FILE__, __LINE__, "md_persist_remote: %s", md_errmsg());
	}
}

static void be_lazy(struct writer *w)
{
	if (!atomic_load(&w->p->lazy) || md_remote_get(w->remote))
		return;
	atomic_store(&w->p->is_lazy, true);
	while (atomic_load(&w->p->lazy))
		usleep(1000);
	md_remote_put(w->remote);
}

static void write_on(struct writer *w)
{
	while (!atomic_load(&w->p->stop)) {
		be_lazy(w);
		post(w);
		ask(w);
		handle_events(w, 0);
		if (w->posted != w->completed)
			reap(w);
		else if (atomic_load(&w->p->errors))
			usleep(1000); /* its queue pair is gone */
		else if (w->posted == w->limit)
			handle_events(w, 100);
		else
			md_remote_wait(w->remote, 100);
	}
	while (w->posted != w->completed)
		reap(w);
	while (w->asked != atomic_load(&w->p->persisted))
		handle_events(w, SUITE_WAIT_MS);
}

static void prepare(struct writer *w)
{
	size_t size = w->p->large ? w->size : LIB_PEER_DEPTH * LIB_PAGE;

	w->buf = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(w->buf != MAP_FAILED);
	memset(w->buf, STREAM_BYTE, size);
	w->mr = ibv_reg_mr(w->rdma.pd, w->buf, size, IBV_ACCESS_LOCAL_WRITE);
	CHECK(w->mr);
}

static void run_peer(void *arg)
{
	struct lib_peer *p = arg;
	const struct md_connect_attr attr = {
		.size = sizeof(attr),
		.private_data = &p->index,
		.private_len = sizeof(p->index),
	};
	struct writer w = { .p = p, .size = p->large ? p->large : LIB_PAGE };
	char port[8];

	while (atomic_load(&p->waits))
		usleep(10000);
	snprintf(port, sizeof(port), "%d", LIB_PORT);
	rdma_open(&w.rdma);
	prepare(&w);
	p->peer = rdma_name(&w.rdma);
	w.ctx = lib_context(0, 0, 0);
	CHECK_MD(w.holder = md_connect(w.ctx, getenv("MD_ADDR"), port, &attr));
	atomic_store(&p->peer_named, true);
	CHECK(wait_until(is_true, &p->holder_ready, 3 * SUITE_WAIT_MS)); /* for all of us */
	rdma_join(&w.rdma, &p->holder);
	while (!w.remote)
		handle_events(&w, 100);
	write_on(&w);
	handle_events(&w, 0);
	CHECK_MD(!md_peer_close(w.holder));
	CHECK_MD(!md_close(w.ctx));
	CHECK_EQ(ibv_dereg_mr(w.mr), 0);
	rdma_close(&w.rdma);
}

struct lib_peer *lib_peer_new(unsigned int index)
{
	struct lib_peer *p = shared_new(sizeof(*p));

	p->index = index;
	p->depth = LIB_PEER_DEPTH;
	return p;
}

void lib_peer_start(struct lib_peer *p)
{
	p->pid = child_start(lib_far_wanted() ? lib_far_stand_in : run_peer, p);
}

static bool was_signalled(void *peer)
{
	struct lib_peer *p = peer;

	return atomic_load(&p->signalled) == atomic_load(&p->signal);
}

void lib_peer_signal(struct lib_peer *p, int signal)
{
	atomic_store(&p->signal, signal);
	if (lib_far_wanted())
		CHECK(wait_until(was_signalled, p, SUITE_WAIT_MS));
	else
		CHECK(!kill(p->pid, signal));
}

/* Which record of the peer the page is, 0 if it is empty; false: it is neither. */
static bool read_record(const struct lib_peer *p, int fd, size_t at, unsigned int *record)
{
	uint64_t words[LIB_PAGE / sizeof(uint64_t)];

	CHECK_EQ(pread(fd, words, sizeof(words), at), (ssize_t)sizeof(words));
	*record = words[0] / LIB_PEERS_MAX;
	return (!words[0] || words[0] == content(p, *record)) &&
	       !memcmp(words, words + 1, sizeof(words) - sizeof(words[0]));
}

unsigned int lib_peer_lost(const struct lib_peer *p, const char *path, size_t length, size_t gone,
			   unsigned int since)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int lost = 0, there;

	CHECK(fd >= 0);
	for (unsigned int i = 0; i < slots_of(length); i++) {
		unsigned int durable = atomic_load(&p->durable[i]);
		size_t at = place(p, i, length);
		bool may_go = at >= gone && durable <= since;

		if (!read_record(p, fd, at, &there) || (there && there % slots_of(length) != i) ||
		    (there < durable && !may_go))
			lost++;
	}
	close(fd);
	return lost;
}
