// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bare.h"
#include "child.h"
#include "holder.h"
#include "mem.h"
#include "must.h"
#include "row.h"
#include "sample.h"
#include "stats.h"

#define NONE (-1e99) /* there was no such step */

struct round {
	struct holder_break lib;
	struct bare_round bare;
};

/* ---- what is measured -------------------------------------------------- */

static double us(uint64_t from, uint64_t to)
{
	return from && to ? ((double)to - (double)from) / 1000 : NONE;
}

static double lib_wait(const struct round *r)
{
	return us(r->lib.breaker.called, r->lib.breaker.returned);
}

static double bare_wait(const struct round *r)
{
	return us(r->bare.breaker.called, r->bare.breaker.returned);
}

static double floor_dereg(const struct round *r)
{
	return (double)r->bare.dereg / 1000;
}

static double floor_modify(const struct round *r)
{
	return (double)r->bare.modify / 1000;
}

static double echo(const struct round *r)
{
	return (double)r->bare.echo / 1000;
}

static double floor_sum(const struct round *r)
{
	return bare_wait(r) + floor_dereg(r) + floor_modify(r);
}

static double dereg_parallel2(const struct round *r)
{
	return r->bare.dereg_parallel[2] ? (double)r->bare.dereg_parallel[2] / 1000 : NONE;
}

static double dereg_parallel4(const struct round *r)
{
	return r->bare.dereg_parallel[4] ? (double)r->bare.dereg_parallel[4] / 1000 : NONE;
}

#define STEP(name, from, to)                                                                       \
	static double name(const struct round *r)                                                  \
	{                                                                                          \
		const struct md_timeline *t = &r->lib.timeline;                                    \
                                                                                                   \
		(void)t;                                                                           \
		return us(from, to);                                                               \
	}

STEP(step_broken, r->lib.breaker.called, t->broken)
STEP(step_noticed, t->broken, t->noticed)
STEP(step_told, t->noticed, t->told)
STEP(step_drained, t->told, t->drained)
STEP(step_fenced, t->drained, t->fenced)
STEP(step_deregistered, t->fenced ?: t->drained, t->deregistered)
STEP(step_released, t->deregistered, t->released)
STEP(step_returned, t->released, r->lib.breaker.returned)
STEP(step_restored, t->released, t->restored)
STEP(peers_told, t->told, r->lib.peers_told)
STEP(peers_acked, t->told, r->lib.peers_acked)
STEP(peers_done, t->told, r->lib.peers_done)

static const struct {
	const char *name;
	double (*value)(const struct round *r);
} steps[] = {
	/* One after the other, from the call to its return. */
	{ "broken", step_broken },
	{ "noticed", step_noticed },
	{ "told", step_told },
	{ "drained", step_drained },
	{ "fenced", step_fenced },
	{ "deregistered", step_deregistered },
	{ "released", step_released },
	{ "returned", step_returned },
	/* Beside these: after the release; and each counted from told. */
	{ "restored", step_restored },
	{ "peers_told", peers_told },
	{ "peers_acked", peers_acked },
	{ "peers_done", peers_done },
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

static const struct {
	const char *name;
	double (*value)(const struct round *r);
} floors[] = {
	{ "", floor_sum },
	{ "/bare", bare_wait },
	{ "/dereg", floor_dereg },
	{ "/modify", floor_modify },
	{ "/echo", echo },
	{ "/dereg_parallel2", dereg_parallel2 },
	{ "/dereg_parallel4", dereg_parallel4 },
};

/* ---- what is told ------------------------------------------------------ */

static void write_samples(const struct row *row, const struct round *r)
{
	const char *axis = axis_str(row->axis), *kind = peer_kind_str(row->options->peer);
	unsigned long long value = row->value;

	sample(lib_wait(r), "us", "break/%s/%llu/%s", axis, value, kind);
	for (size_t i = 0; i < STEPS; i++) {
		double step = steps[i].value(r);

		if (step != NONE)
			sample(step, "us", "break/%s/%llu/%s/%s", axis, value, kind, steps[i].name);
	}
	for (size_t i = 0; i < sizeof(floors) / sizeof(floors[0]); i++) {
		double floor = floors[i].value(r);

		if (floor != NONE)
			sample(floor, "us", "floor/%s/%llu/%s%s", axis, value, kind,
			       floors[i].name);
	}
}

/* Those that there are, sorted. */
static size_t collect(const struct round *rounds, unsigned int count,
		      double (*value)(const struct round *r), double *out)
{
	size_t n = 0;

	for (unsigned int i = 0; i < count; i++) {
		double v = value(&rounds[i]);

		if (v != NONE)
			out[n++] = v;
	}
	stats_sort(out, n);
	return n;
}

static void print_median(const struct round *rounds, unsigned int count,
			 double (*value)(const struct round *r), double *room)
{
	size_t n = collect(rounds, count, value, room);

	if (n)
		printf(" %9.0f", stats_percentile(room, n, 50));
	else
		printf(" %9s", "-");
}

void row_header(void)
{
	printf("%-8s %10s %-12s %7s %4s %5s %10s %5s %9s %9s %9s %9s %9s %9s", "axis", "value",
	       "peer", "regions", "qps", "peers", "bytes", "count", "p50", "p99", "max", "floor",
	       "bare", "echo");
	for (size_t i = 0; i < STEPS; i++)
		printf(" %9.9s", steps[i].name);
	puts("");
}

static void print_row(const struct row *row, const struct round *rounds)
{
	unsigned int count = row->options->count;
	double *room = calloc(count, sizeof(*room));

	MUST(room);
	collect(rounds, count, lib_wait, room);
	printf("%-8s %10llu %-12s %7llu %4llu %5llu %10llu %5u %9.0f %9.0f %9.0f",
	       axis_str(row->axis), (unsigned long long)row->value,
	       peer_kind_str(row->options->peer), (unsigned long long)row->regions,
	       (unsigned long long)row->qps, (unsigned long long)row->peers,
	       (unsigned long long)row->bytes, count, stats_percentile(room, count, 50),
	       stats_percentile(room, count, 99), stats_percentile(room, count, 100));
	print_median(rounds, count, floor_sum, room);
	print_median(rounds, count, bare_wait, room);
	print_median(rounds, count, echo, room);
	for (size_t i = 0; i < STEPS; i++)
		print_median(rounds, count, steps[i].value, room);
	puts("");
	free(room);
}

/* ---- run --------------------------------------------------------------- */

/* If it is as long already, the blocks that it has will do. */
static int open_file(const char *path, uint64_t bytes)
{
	int fd = mem_file(path, bytes);

	MUST(!ftruncate(fd, (off_t)bytes));
	return fd;
}

static struct peer *start_peers(const struct row *row)
{
	struct peer *peers = shared_new((row->peers ?: 1) * sizeof(*peers));

	for (uint64_t i = 0; i < row->peers; i++) {
		peers[i].index = (int)i;
		peers[i].kind = row->options->peer;
		peers[i].addr = row->options->addr;
		peers[i].n_qps = (int)((row->qps + row->peers - 1 - i) / row->peers);
		peer_start(&peers[i]);
	}
	return peers;
}

static void play(struct holder *h, struct bare *bare, struct breaker *b, struct round *r)
{
	holder_break(h, b, 0, &r->lib);
	bare_round(bare, b, 1, r->lib.fenced, &r->bare);
}

void row_run(const struct row *row)
{
	static struct holder holder;
	static struct bare bare;
	unsigned int count = row->options->count;
	struct breaker breaker = { .kind = row->options->breaker, .bytes = row->bytes };
	struct round *rounds = calloc(count, sizeof(*rounds));
	struct peer *peers;
	struct echo *other;
	char beside[4096];
	int fd[2];

	MUST(rounds);
	snprintf(beside, sizeof(beside), "%s.bare", row->options->file);
	breaker.path[0] = row->options->file;
	breaker.path[1] = beside;
	for (int i = 0; i < 2; i++)
		fd[i] = open_file(breaker.path[i], row->bytes);
	breaker_start(&breaker);
	peers = start_peers(row);
	other = echo_start(row->options->addr);
	holder_open(&holder, row, peers, fd[0]);
	bare_open(&bare, row, other, fd[1]);
	play(&holder, &bare, &breaker, &rounds[0]); /* the first of each is slow, and not counted */
	for (unsigned int i = 0; i < count; i++) {
		play(&holder, &bare, &breaker, &rounds[i]);
		write_samples(row, &rounds[i]);
	}
	print_row(row, rounds);
}
