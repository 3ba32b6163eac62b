// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "run.h"

#include <stdio.h>

#include "cycles.h"
#include "durable.h"
#include "pingpong.h"
#include "stream.h"

/* Each begins with wire_meet(), when it is ready. */
static void run(struct perf *p, uint32_t size, struct times *t)
{
	switch (p->mode) {
	case MODE_STREAM:
		if (p->server)
			stream_server(p, size);
		else
			stream_client(p, size, t);
		break;
	case MODE_PINGPONG:
		if (p->plan.op == OP_WRITE)
			pingpong_write(p, size, t);
		else
			pingpong_send(p, size, t);
		break;
	case MODE_DURABLE:
		if (p->server)
			durable_server(p, size);
		else
			durable_client(p, size, t);
		break;
	}
}

static void run_size(struct perf *p, uint32_t size)
{
	struct times t;

	times_open(&t, &p->plan);
	perf_clear(p);
	run(p, size, &t);
	wire_meet(&p->wire);
	if (!p->server && p->plan.latency)
		report_latency(p, &t, size);
	else if (!p->server)
		report_bandwidth(p, &t, size);
	times_close(&t);
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
