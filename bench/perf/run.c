// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "run.h"

#include <stdio.h>

#include "cycles.h"
#include "stream.h"

static void run_server(struct perf *p, uint32_t size)
{
	stream_server(p, size);
}

static void run_client(struct perf *p, uint32_t size, struct times *t)
{
	stream_client(p, size, t);
	if (p->plan.latency)
		report_latency(p, t, size);
	else
		report_bandwidth(p, t, size);
}

static void run_size(struct perf *p, uint32_t size)
{
	struct times t;

	perf_clear(p);
	wire_meet(&p->wire);
	if (p->server) {
		run_server(p, size);
	} else {
		times_open(&t, &p->plan);
		run_client(p, size, &t);
		times_close(&t);
	}
	wire_meet(&p->wire);
}

int run_perf(bool latency, int argc, char **argv)
{
	static struct options opt;
	static struct perf p;

	setvbuf(stdout, NULL, _IOLBF, 0);
	cycles_start(); /* the longer ago, the better they are known */
	parse_options(&opt, latency, argc, argv);
	perf_open(&p, &opt);
	report_header(&p);
	for (uint32_t i = 0; i < p.plan.n_sizes; i++)
		run_size(&p, p.plan.sizes[i]);
	report_breaks(&p);
	perf_close(&p);
	return 0;
}
