// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "report.h"

#include <stdio.h>
#include <stdlib.h>

#include "cycles.h"
#include "must.h"
#include "sample.h"
#include "stats.h"

#define MIB ((double)(1 << 20))
#define PEAK_MAX 20000 /* as perftest: the peak takes time that grows by the square */

static const char line[] = "--------------------------------------------------------------------"
			   "-------------------";

static const char *const op_names[] = {
	[OP_WRITE] = "RDMA_Write",
	[OP_READ] = "RDMA_Read",
	[OP_SEND] = "Send",
};

void times_open(struct times *t, const struct plan *plan)
{
	*t = (struct times){ .count = plan->iters * plan->qps };
	if (!plan->latency && t->count > PEAK_MAX)
		return;
	t->posted = calloc(t->count, sizeof(*t->posted));
	t->completed = calloc(t->count, sizeof(*t->completed));
	MUST(t->posted && t->completed);
}

void times_close(struct times *t)
{
	free(t->posted);
	free(t->completed);
}

/* ---- header ------------------------------------------------------------------- */

static const char *counted_when(const struct perf *p)
{
	if (p->mode == MODE_DURABLE)
		return p->plan.op == OP_READ ? "copied from the file and read" :
					       "durable at the server and acknowledged";
	return p->mode == MODE_PINGPONG ? "arrived (half of a round trip)" : "completed";
}

void report_header(const struct perf *p)
{
	printf("%s\n                    %s %s Test\n", line, op_names[p->plan.op],
	       p->plan.latency ? "Latency" : "BW");
	printf(" Device          : %s\n", ibv_get_device_name(p->dev.verbs->device));
	printf(" Number of qps   : %u\n Connection type : RC\n", p->plan.qps);
	printf(" TX depth        : %u\n", p->plan.depth);
	if (p->mode == MODE_DURABLE)
		printf(" Unacknowledged  : %u\n", p->slots);
	printf(" Mtu             : %d[B]\n", 128 << p->dev.port.active_mtu);
	printf(" GID index       : %d\n", p->dev.gid_index);
	printf(" Max inline data : 0[B]\n");
	printf(" Memory          : %s at the client, %s at the server\n",
	       mem_kind_str(p->client_kind), mem_kind_str(p->server_kind));
	printf(" Counted when    : %s\n%s\n", counted_when(p), line);
	if (p->server)
		return;
	printf(p->plan.latency ?
		       " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    "
		       "t_avg[usec]    t_stdev[usec]   99%% percentile[usec]   "
		       "99.9%% percentile[usec] \n" :
		       " #bytes     #iterations    BW peak[MB/sec]    BW average[MB/sec]   "
		       "MsgRate[Mpps]\n");
}

/* ---- bandwidth ---------------------------------------------------------------- */

/* Cycles for each message in the best stretch of them. */
static double best_stretch(const struct times *t)
{
	double best = (double)(t->end - t->start);

	for (uint32_t i = 0; i < t->count; i++) {
		for (uint32_t j = i; j < t->count; j++) {
			double each = (double)(t->completed[j] - t->posted[i]) / (j - i + 1);

			if (t->completed[j] && each < best)
				best = each;
		}
	}
	return best;
}

void report_bandwidth(const struct perf *p, const struct times *t, uint32_t size)
{
	const double per_s = cycles_per_us() * 1e6;
	const double rate = t->count / ((double)(t->end - t->start) / per_s);
	const double peak = t->posted ? per_s / best_stretch(t) : 0;

	printf(" %-10u %-10u       %-7.2f            %-7.2f  \t\t   %-7.6f\n", size, p->plan.iters,
	       peak * size / MIB, rate * size / MIB, rate / 1e6);
	sample(rate * size / MIB, "MB/s", "%s/%u", p->opt->name, size);
}

/* ---- latency ------------------------------------------------------------------- */

/*
 * As perftest: from one message to the next, which is a round trip in ping-pong. Of a
 * durable one it is from its post to its acknowledgement, that is the full way there
 * and back.
 */
static uint32_t latencies(const struct perf *p, const struct times *t, double *us)
{
	const double per_us = cycles_per_us() * (p->mode == MODE_PINGPONG ? 2 : 1);
	uint32_t count = 0;

	for (uint32_t i = 0; i < t->count; i++) {
		uint64_t end = p->mode == MODE_DURABLE ? t->completed[i] :
			       i + 1 < t->count	       ? t->posted[i + 1] :
							 0;

		if (end)
			us[count++] = (double)(end - t->posted[i]) / per_us;
	}
	return count;
}

void report_latency(const struct perf *p, const struct times *t, uint32_t size)
{
	double *us = calloc(t->count, sizeof(*us));
	double average, deviation;
	uint32_t count;

	MUST(us);
	count = latencies(p, t, us);
	average = stats_mean(us, count);
	deviation = stats_deviation(us, count);
	stats_sort(us, count);
	printf(" %-7u %-10u %-7.2f        %-7.2f      %-7.2f  \t       %-7.2f     \t%-7.2f\t\t"
	       "%-7.2f \t\t%-7.2f\n",
	       size, p->plan.iters, us[0], us[count - 1], stats_percentile(us, count, 50), average,
	       deviation, stats_percentile(us, count, 99), stats_percentile(us, count, 99.9));
	sample(stats_percentile(us, count, 50), "us", "%s/%u", p->opt->name, size);
	sample(stats_percentile(us, count, 99), "us", "%s/%u/p99", p->opt->name, size);
	free(us);
}

void report_breaks(const struct perf *p)
{
	if (p->server_kind == MEM_LEASE || p->client_kind == MEM_LEASE)
		printf("# breaks: %u\n", p->session.breaks);
}
