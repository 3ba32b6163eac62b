// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "perf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "must.h"

#define MAGIC 0x6d647031 /* "mdp1"; another byte order would not match */
#define PAGE 4096
#define RING_MAX (64U << 20) /* bytes of all slots together */

/* First words of both sides. */
struct hello {
	uint32_t magic;
	enum mem_kind kind;
	struct plan plan;
};

static void greet(struct perf *p)
{
	const struct hello mine = {
		.magic = MAGIC,
		.kind = p->opt->mem.kind,
		.plan = p->opt->plan,
	};
	struct hello theirs;

	wire_send(&p->wire, &mine, sizeof(mine));
	wire_recv(&p->wire, &theirs, sizeof(theirs));
	if (theirs.magic != MAGIC)
		errx(1, "the other side is not a program of this kind and version");
	if (theirs.plan.latency != mine.plan.latency)
		errx(1, "the other side measures %s: start the same program on both",
		     theirs.plan.latency ? "latency" : "bandwidth");
	p->plan = p->server ? theirs.plan : mine.plan;
	p->server_kind = p->server ? mine.kind : theirs.kind;
	p->client_kind = p->server ? theirs.kind : mine.kind;
}

static enum mode choose_mode(const struct perf *p)
{
	if (p->plan.persist || p->server_kind == MEM_BOUNCE)
		return MODE_DURABLE;
	if (p->plan.latency && p->plan.op != OP_READ)
		return MODE_PINGPONG;
	return MODE_STREAM;
}

/* ---- memory ------------------------------------------------------------------- */

static void lay_out(struct perf *p)
{
	uint32_t size = 0;

	for (uint32_t i = 0; i < p->plan.n_sizes; i++)
		if (size < p->plan.sizes[i])
			size = p->plan.sizes[i];
	p->stride = (size + PAGE - 1) & ~(PAGE - 1U);
	p->slots = 1;
	if (p->mode != MODE_DURABLE)
		return;
	p->slots = RING_MAX / p->plan.qps / p->stride;
	if (p->slots > p->plan.depth)
		p->slots = p->plan.depth;
	if (!p->slots)
		p->slots = 1;
}

size_t perf_own_at(const struct perf *p, uint32_t qp)
{
	return (size_t)p->stride * qp;
}

size_t perf_slot_at(const struct perf *p, uint32_t qp, uint32_t slot)
{
	return (size_t)p->stride * (p->plan.qps + (size_t)qp * p->slots + slot);
}

void perf_clear(struct perf *p)
{
	while (!session_get_map(&p->session))
		session_wait_map(&p->session);
	memset(p->mem.addr, 0, p->mem.length);
	session_put_map(&p->session);
}

static __attribute__((format(printf, 3, 4))) void refuse(struct side_info *mine, int status,
							 const char *format, ...)
{
	va_list ap;

	mine->status = status;
	va_start(ap, format);
	vsnprintf(mine->text, sizeof(mine->text), format, ap);
	va_end(ap);
}

/* Without it the refusal would be an EINVAL that says nothing. */
static bool has_on_demand(const struct device *dev)
{
	struct ibv_device_attr_ex attr;

	return !ibv_query_device_ex(dev->verbs, NULL, &attr) &&
	       attr.odp_caps.general_caps & IBV_ODP_SUPPORT;
}

static void register_memory(struct perf *p)
{
	const int access =
		IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ;
	const char *kind = mem_kind_str(p->mem.kind);

	if (p->mem.kind == MEM_ODP && !has_on_demand(&p->dev))
		refuse(&p->mine, EXIT_CANNOT,
		       "%s has no on-demand paging on this kernel: no memory of the kind '%s'",
		       ibv_get_device_name(p->dev.verbs->device), kind);
	else if (!mem_reg(&p->mem, p->dev.pd, access))
		return;
	else if (errno == EOPNOTSUPP)
		refuse(&p->mine, EXIT_CANNOT,
		       "memory of the kind '%s' cannot be registered here: %s", kind,
		       mem_error(&p->mem));
	else
		refuse(&p->mine, 1, "cannot register %zu bytes of the kind '%s': %s", p->mem.length,
		       kind, mem_error(&p->mem));
}

static void open_memory(struct perf *p)
{
	const bool ring = p->server || p->mode != MODE_DURABLE;
	const size_t length = ring ? perf_slot_at(p, p->plan.qps, 0) : perf_own_at(p, p->plan.qps);

	mem_open(&p->mem, &p->opt->mem, length, p->session.ctx);
	register_memory(p);
}

/* ---- who grants what ------------------------------------------------------------ */

/* Only what the other side names by its key has to be granted to it. */
static bool server_grants(const struct perf *p)
{
	return p->server_kind == MEM_LEASE && p->plan.op != OP_SEND;
}

static bool client_grants(const struct perf *p)
{
	return p->client_kind == MEM_LEASE && p->plan.op == OP_WRITE && p->mode == MODE_PINGPONG;
}

/* Receives are posted there that cannot be taken back. */
static bool is_renewable(const struct perf *p)
{
	return p->plan.op == OP_SEND && (p->server_kind == MEM_LEASE ||
					 (p->client_kind == MEM_LEASE && p->mode == MODE_PINGPONG));
}

static bool is_session(const struct perf *p)
{
	return server_grants(p) || client_grants(p);
}

static void start_session(struct perf *p)
{
	const bool we_grant = p->server ? server_grants(p) : client_grants(p);
	const bool they_grant = p->server ? client_grants(p) : server_grants(p);
	char address[INET6_ADDRSTRLEN];

	if (is_session(p)) {
		device_address(&p->theirs.qps.gid, address);
		session_start(&p->session, p->server ? NULL : address, p->theirs.md_port,
			      p->theirs.token);
	}
	if (p->mem.map)
		session_attach(&p->session, p->mem.map, &p->qps, we_grant ? p->mem.md_mr : NULL);
	if (they_grant)
		session_await(&p->session);
}

/* ---- start and end ---------------------------------------------------------------- */

static void create_qps(struct perf *p)
{
	/* Durable runs send acknowledgements and requests beside the messages. */
	const uint32_t sends =
		p->mode == MODE_DURABLE ? 2 * p->plan.depth + POLL_BATCH : p->plan.depth;

	const uint32_t recvs = p->slots > RECV_DEPTH ? p->slots : RECV_DEPTH;

	qps_create(&p->qps, &p->dev, p->plan.qps, sends, recvs);
	qps_describe(&p->qps, &p->mine.qps);
}

static void describe(struct perf *p)
{
	p->mine.kind = p->mem.kind;
	p->mine.addr = (uintptr_t)p->mem.addr;
	p->mine.rkey = p->mine.status ? 0 : mem_rkey(&p->mem);
	if (!p->server || !is_session(p))
		return;
	MUST(getrandom(&p->mine.token, sizeof(p->mine.token), 0) == sizeof(p->mine.token));
	p->mine.md_port = session_listen(&p->session, &p->dev, p->mine.token);
}

static void introduce(struct perf *p)
{
	wire_send(&p->wire, &p->mine, sizeof(p->mine));
	wire_recv(&p->wire, &p->theirs, sizeof(p->theirs));
	p->theirs.text[sizeof(p->theirs.text) - 1] = 0;
	if (p->mine.status)
		errx(p->mine.status, "%s", p->mine.text);
	if (p->theirs.status)
		errx(p->theirs.status, "the other side: %s", p->theirs.text);
}

void perf_open(struct perf *p, const struct options *opt)
{
	*p = (struct perf){ .opt = opt, .server = !opt->host };
	device_open(&p->dev, opt->device, opt->gid_index);
	if (p->server)
		wire_accept(&p->wire, opt->port);
	else
		wire_connect(&p->wire, opt->host, opt->port);
	greet(p);
	p->mode = choose_mode(p);
	p->renewable = is_renewable(p);
	lay_out(p);
	session_open(&p->session, &p->wire, opt->mem.kind == MEM_LEASE || is_session(p));
	open_memory(p);
	create_qps(p);
	describe(p);
	introduce(p);
	qps_connect(&p->qps, &p->mine.qps, &p->theirs.qps);
	wire_meet(&p->wire);
	start_session(p);
	wire_meet(&p->wire);
}

void perf_close(struct perf *p)
{
	wire_meet(&p->wire);
	session_stop(&p->session);
	qps_destroy(&p->qps);
	if (mem_dereg(&p->mem))
		errx(1, "cannot deregister: %s", mem_error(&p->mem));
	mem_close(&p->mem);
	session_close(&p->session);
	device_close(&p->dev);
	wire_close(&p->wire);
}
