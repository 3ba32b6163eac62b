/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "acked.h"
#include "format.h"
#include "session.h"

#define CHUNK (256UL << 10) /* read at a time, or one slot if that is more */
#define BUFFER (LOG_PAYLOAD_MAX + 4096UL)
#define GIVE_UP_MS 60000 /* without a record acknowledged */
#define RETRY_US 200000

/*
 * Of its records the client has the numbers below @acked acknowledged, those below
 * @written in the file, and those below @asked on their way to be durable. Number N
 * has sequence number base + N; both go on from the end of the log in each session.
 */
struct client {
	const struct options *opt;
	struct session session;
	struct log_super super;
	uint64_t id; /* this writer's */
	char *ring;  /* opt->depth slots */
	char *chunk; /* for reading */
	size_t chunk_slots;
	struct ibv_mr *ring_mr, *chunk_mr;
	struct log_walk walk;
	uint64_t base;
	uint64_t acked, written, asked;
	uint64_t *sums; /* opt->depth: of payloads not yet acknowledged */
	int acked_fd;
	unsigned long sessions;
	bool durable; /* what was found in the log is */
	bool full, broken;
};

static struct log_record *slot_of(const struct client *cl, uint64_t number)
{
	return (struct log_record *)(cl->ring + number % cl->opt->depth * cl->super.slot_size);
}

static bool wants_more(const struct client *cl)
{
	return !cl->opt->records || cl->acked < cl->opt->records;
}

/* ---- acknowledged --------------------------------------------------------- */

static void note(struct client *cl, uint64_t number)
{
	if (cl->acked_fd < 0)
		return;
	if (acked_add(cl->acked_fd, cl->base + number, cl->sums[number % cl->opt->depth])) {
		perror(cl->opt->acked);
		cl->broken = true;
	}
}

/*
 * The requests of a session are answered in their order, and after one that failed
 * none counts: so all records before these are durable, too.
 */
static void persisted(void *arg, uint64_t end)
{
	struct client *cl = arg;

	cl->durable = true;
	if (end > cl->acked)
		cl->session.give_up = now_ms() + GIVE_UP_MS;
	for (; cl->acked < end && !cl->broken; cl->acked++)
		note(cl, cl->acked);
}

/* ---- where the log ends --------------------------------------------------- */

/* Once it is not recalled. */
static int read_remote(struct client *cl, uint64_t offset, size_t length)
{
	const struct transfer t = {
		.opcode = IBV_WR_RDMA_READ,
		.mr = cl->chunk_mr,
		.size = length,
		.count = 1,
		.ring = 1,
		.offset = offset,
	};
	int n;

	while (!(n = session_transfer(&cl->session, &t)))
		if (session_turn(&cl->session, 100))
			return -1;
	return n < 0 ? -1 : 0;
}

/* A record of this client that the log has: is it one that is not acknowledged yet? */
static void found(struct client *cl, const struct log_record *r, uint64_t seq)
{
	if (r->writer != cl->id || r->number < cl->acked || r->number >= cl->acked + cl->opt->depth)
		return;
	cl->sums[r->number % cl->opt->depth] = r->payload_sum;
	cl->base = seq - r->number;
	cl->written = r->number + 1;
}

static int walk_chunk(struct client *cl, bool *end)
{
	const uint64_t left = cl->super.slots - cl->walk.next;
	const uint64_t slots = left < cl->chunk_slots ? left : cl->chunk_slots;

	*end = true;
	if (!slots)
		return 0;
	if (read_remote(cl, log_offset(&cl->super, cl->walk.next), slots * cl->super.slot_size))
		return -1;
	for (uint64_t i = 0; i < slots; i++) {
		const char *slot = cl->chunk + i * cl->super.slot_size;

		if (!log_walk_next(&cl->walk, &cl->super, slot))
			return 0;
		found(cl, (const struct log_record *)slot, cl->walk.next - 1);
	}
	*end = false;
	return 0;
}

/*
 * What was found is there, but perhaps not yet durable: nothing is appended to it
 * before it is, so no crash can take it from below records that are acknowledged.
 */
static int make_durable(struct client *cl)
{
	struct session *s = &cl->session;

	cl->durable = false;
	while (md_persist_remote(s->remote, 0, log_offset(&cl->super, cl->walk.next),
				 cl->written)) {
		if (errno != EAGAIN)
			return session_lose(s, md_errmsg());
		if (session_turn(s, 100))
			return -1;
	}
	while (!cl->durable)
		if (session_turn(s, 100))
			return -1;
	return 0;
}

static int find_end(struct client *cl)
{
	bool end = false;

	cl->walk = (struct log_walk){ 0 };
	cl->written = cl->acked;
	while (!end)
		if (walk_chunk(cl, &end))
			return -1;
	if (make_durable(cl))
		return -1;
	/* Somebody else may have written meanwhile. */
	cl->base = cl->walk.next - cl->acked;
	cl->asked = cl->written;
	debug(cl->opt, "client: the log ends at %" PRIu64 ", epoch %" PRIu64, cl->walk.next,
	      cl->session.epoch);
	return 0;
}

/* ---- appending ------------------------------------------------------------ */

static void make_record(struct client *cl, uint64_t number)
{
	struct log_record *r = slot_of(cl, number);

	*r = (struct log_record){
		.seq = cl->base + number,
		.epoch = cl->session.epoch,
		.writer = cl->id,
		.number = number,
		.length = cl->opt->record_size,
	};
	log_payload_make(r + 1, r->length, cl->id, number);
	log_record_seal(&cl->super, r);
	cl->sums[number % cl->opt->depth] = r->payload_sum;
}

/* So many that several requests are on their way at a time. */
static unsigned int batch(struct client *cl)
{
	const unsigned int depth = cl->opt->depth;
	uint64_t n = depth < 4 ? 1 : depth / 4;
	const uint64_t room = depth - (cl->written - cl->acked);
	const uint64_t left = cl->super.slots - (cl->base + cl->written);

	if (n > CONN_POST_MAX)
		n = CONN_POST_MAX;
	if (n > room)
		n = room;
	if (cl->opt->records && n > cl->opt->records - cl->written)
		n = cl->opt->records - cl->written;
	cl->full = !left;
	return n > left ? left : n;
}

/* 1, 0 if nothing can be written now, -1 */
static int write_batch(struct client *cl)
{
	const struct transfer t = {
		.opcode = IBV_WR_RDMA_WRITE,
		.mr = cl->ring_mr,
		.size = cl->super.slot_size,
		.count = batch(cl),
		.first = cl->written,
		.ring = cl->opt->depth,
		.offset = log_offset(&cl->super, cl->base + cl->written),
	};
	int n;

	if (!t.count)
		return 0;
	for (unsigned int i = 0; i < t.count; i++)
		make_record(cl, cl->written + i);
	n = session_transfer(&cl->session, &t);
	if (n > 0)
		cl->written += t.count;
	return n;
}

/* For what has been written; it stays written if it cannot be asked for now. */
static int ask(struct client *cl)
{
	struct session *s = &cl->session;

	if (cl->asked == cl->written)
		return 0;
	if (md_persist_remote(s->remote, log_offset(&cl->super, cl->base + cl->asked),
			      (cl->written - cl->asked) * cl->super.slot_size, cl->written))
		return errno == EAGAIN ? 0 : session_lose(s, md_errmsg());
	cl->asked = cl->written;
	return 1;
}

static int append(struct client *cl)
{
	while (wants_more(cl) && !cl->broken) {
		const int wrote = write_batch(cl);
		const int asked = wrote < 0 ? -1 : ask(cl);

		if (asked < 0)
			return -1;
		if (cl->full && cl->acked == cl->written)
			return 0;
		if (session_turn(&cl->session, wrote || asked ? 0 : 100))
			return -1;
	}
	return 0;
}

/* ---- sessions -------------------------------------------------------------- */

static int make_buffers(struct client *cl)
{
	const char *wrong = log_super_wrong(&cl->super, cl->session.remote->length);

	if (!wrong && cl->opt->record_size > log_payload_max(&cl->super))
		wrong = "--record-size is more than this log's records may have";
	if (wrong) {
		fprintf(stderr, "md_log: the server's file: %s\n", wrong);
		cl->broken = true;
		return -1;
	}
	if (cl->ring)
		return 0;
	cl->ring = calloc(cl->opt->depth, cl->super.slot_size);
	cl->broken = !cl->ring;
	return cl->ring ? 0 : -1;
}

static int learn_log(struct client *cl)
{
	struct ibv_pd *pd = cl->session.conn.id->pd;

	cl->chunk_mr = ibv_reg_mr(pd, cl->chunk, BUFFER, IBV_ACCESS_LOCAL_WRITE);
	if (!cl->chunk_mr)
		return session_lose(&cl->session, "no memory region");
	if (read_remote(cl, 0, sizeof(cl->super)))
		return -1;
	memcpy(&cl->super, cl->chunk, sizeof(cl->super));
	if (make_buffers(cl))
		return session_lose(&cl->session, "it is not for this client");
	cl->chunk_slots = CHUNK / cl->super.slot_size ?: 1;
	cl->ring_mr = ibv_reg_mr(pd, cl->ring, cl->opt->depth * cl->super.slot_size, 0);
	return cl->ring_mr ? 0 : session_lose(&cl->session, "no memory region");
}

static int serve_session(struct client *cl)
{
	if (session_begin(&cl->session) || learn_log(cl) || find_end(cl))
		return -1;
	cl->sessions++;
	return append(cl);
}

static void end_session(struct client *cl)
{
	if (cl->ring_mr)
		ibv_dereg_mr(cl->ring_mr);
	if (cl->chunk_mr)
		ibv_dereg_mr(cl->chunk_mr);
	cl->ring_mr = cl->chunk_mr = NULL;
	while (session_end(&cl->session) && now_ms() < cl->session.give_up)
		usleep(RETRY_US / 10);
}

static int run_sessions(struct client *cl)
{
	cl->session.give_up = now_ms() + GIVE_UP_MS;
	for (;;) {
		const int ret = serve_session(cl);

		end_session(cl);
		if (cl->broken)
			return -1;
		if (!ret)
			return 0;
		if (now_ms() >= cl->session.give_up) {
			fprintf(stderr, "md_log: no record was acknowledged for %d s: %s\n",
				GIVE_UP_MS / 1000, cl->session.why);
			return -1;
		}
		usleep(RETRY_US);
	}
}

static int start(struct client *cl)
{
	const struct options *opt = cl->opt;

	cl->sums = calloc(opt->depth, sizeof(*cl->sums));
	cl->chunk = malloc(BUFFER);
	if (!cl->sums || !cl->chunk || getrandom(&cl->id, sizeof(cl->id), 0) < 0) {
		perror("md_log");
		return -1;
	}
	if (opt->acked)
		cl->acked_fd = acked_open(opt->acked);
	if (opt->acked && cl->acked_fd < 0) {
		perror(opt->acked);
		return -1;
	}
	cl->session.ctx = md_open(NULL);
	if (!cl->session.ctx)
		fprintf(stderr, "md_log: %s\n", md_errmsg());
	return cl->session.ctx ? 0 : -1;
}

int run_client(const struct options *opt)
{
	struct client cl = {
		.opt = opt,
		.session = { .opt = opt, .persisted = persisted, .arg = &cl },
		.acked_fd = -1,
	};
	int ret = start(&cl) || run_sessions(&cl) ? 1 : 0;

	if (cl.full && wants_more(&cl)) {
		fprintf(stderr, "md_log: the log is full: it has all of its %" PRIu64 " records\n",
			cl.super.slots);
		ret |= opt->records != 0;
	}
	printf("%" PRIu64 " records, %lu sessions\n", cl.acked, cl.sessions);
	if (cl.session.ctx && !cl.session.peer)
		md_close(cl.session.ctx);
	if (cl.acked_fd >= 0)
		close(cl.acked_fd);
	free(cl.ring);
	free(cl.chunk);
	free(cl.sums);
	return ret;
}
