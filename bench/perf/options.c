// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "number.h"
#include "sample.h"

#define DEFAULT_PORT "18515" /* these are perftest's */
#define DEFAULT_BW_SIZE 65536
#define DEFAULT_BW_ITERS 5000
#define DEFAULT_BW_DEPTH 128
#define DEFAULT_LAT_SIZE 2
#define DEFAULT_LAT_ITERS 1000
#define MIN_ITERS 5
#define MAX_ITERS 100000000
#define MAX_DEPTH 8192

static const char usage_text[] =
	"usage: %s [OPTION]...         server: waits for one client\n"
	"       %s [OPTION]... HOST    client; its options say what is measured, the\n"
	"                              server heeds only -d -x -p and --mem of its own\n"
	"  --op=write|read|send  what the client does (write)\n"
	"  --mem=anon|tmpfs|devdax:DEV|lease:FILE|bounce:FILE|odp:FILE\n"
	"                        what this side's memory is (anon); bounce only at the\n"
	"                        server, where it implies --persist\n"
	"  --persist             a message counts when it is durable at the server and\n"
	"                        acknowledged: write and send\n"
	"  -s SIZE               bytes in a message (%d)\n"
	"  -a, --all             sizes from 2 to 2^23\n"
	"  --sizes=N,N...        these sizes\n"
	"  -n, --iters=N         messages of each size and queue pair (%d)\n"
	"%s"
	"  -d, --ib-dev=DEV      RDMA device (the first)\n"
	"  -x, --gid-index=N     its GID (the first RoCEv2 one of an IPv4 address)\n"
	"  -p, --port=PORT       TCP port of the server (" DEFAULT_PORT ")\n"
	"  -F, --CPU-freq        accepted, as perftest's\n"
	"  --samples=FILE        append what was measured to FILE\n"
	"  --name=PREFIX         what samples are called (the program's name)\n"
	"  -h, --help            this text\n";

static const char bw_usage_text[] = "  -q, --qp=N            queue pairs (1)\n"
				    "  -t, --tx-depth=N      messages under way on each (128)\n";

enum {
	OPT_OP = 256,
	OPT_MEM,
	OPT_PERSIST,
	OPT_SIZES,
	OPT_SAMPLES,
	OPT_NAME,
};

static const struct option long_options[] = {
	{ "op", required_argument, NULL, OPT_OP },
	{ "mem", required_argument, NULL, OPT_MEM },
	{ "persist", no_argument, NULL, OPT_PERSIST },
	{ "size", required_argument, NULL, 's' },
	{ "all", no_argument, NULL, 'a' },
	{ "sizes", required_argument, NULL, OPT_SIZES },
	{ "iters", required_argument, NULL, 'n' },
	{ "qp", required_argument, NULL, 'q' },
	{ "tx-depth", required_argument, NULL, 't' },
	{ "ib-dev", required_argument, NULL, 'd' },
	{ "gid-index", required_argument, NULL, 'x' },
	{ "port", required_argument, NULL, 'p' },
	{ "CPU-freq", no_argument, NULL, 'F' },
	{ "samples", required_argument, NULL, OPT_SAMPLES },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "help", no_argument, NULL, 'h' },
	{},
};

static void set_sizes(struct plan *plan, const char *option, const char *text, unsigned int room)
{
	uint64_t sizes[PLAN_SIZES];

	plan->n_sizes = numbers(option, text, 1, PLAN_SIZE_MAX, sizes, room);
	for (uint32_t i = 0; i < plan->n_sizes; i++)
		plan->sizes[i] = (uint32_t)sizes[i];
}

static void set_all_sizes(struct plan *plan)
{
	plan->n_sizes = 0;
	for (uint32_t size = 2; size <= PLAN_SIZE_MAX; size *= 2)
		plan->sizes[plan->n_sizes++] = size;
}

static enum perf_op parse_op(const char *text)
{
	if (!strcmp(text, "write"))
		return OP_WRITE;
	if (!strcmp(text, "read"))
		return OP_READ;
	if (!strcmp(text, "send"))
		return OP_SEND;
	errx(EXIT_USAGE, "--op is write, read or send, not '%s'", text);
}

static void set_defaults(struct options *opt, bool latency)
{
	*opt = (struct options){
		.plan = {
			.latency = latency,
			.iters = latency ? DEFAULT_LAT_ITERS : DEFAULT_BW_ITERS,
			.qps = 1,
			.depth = latency ? 1 : DEFAULT_BW_DEPTH,
			.n_sizes = 1,
			.sizes = { latency ? DEFAULT_LAT_SIZE : DEFAULT_BW_SIZE },
		},
		.mem = { .kind = MEM_ANON },
		.port = DEFAULT_PORT,
		.gid_index = -1,
		.name = latency ? "md_lat" : "md_bw",
	};
}

static void help(bool latency)
{
	const char *name = program_invocation_short_name;

	printf(usage_text, name, name, latency ? DEFAULT_LAT_SIZE : DEFAULT_BW_SIZE,
	       latency ? DEFAULT_LAT_ITERS : DEFAULT_BW_ITERS, latency ? "" : bw_usage_text);
	exit(0);
}

static void check(const struct options *opt)
{
	if (opt->plan.persist && opt->plan.op == OP_READ)
		errx(EXIT_USAGE, "--persist is for write and send: a read changes nothing");
	if (opt->host && opt->mem.kind == MEM_BOUNCE)
		errx(EXIT_USAGE, "--mem=bounce is for the server, which copies what it receives");
}

static void set_option(struct options *opt, int c)
{
	struct plan *plan = &opt->plan;

	switch (c) {
	case OPT_OP:
		plan->op = parse_op(optarg);
		break;
	case OPT_MEM:
		if (mem_parse(optarg, &opt->mem))
			errx(EXIT_USAGE,
			     "--mem is anon, tmpfs, devdax:DEV, lease:FILE, "
			     "bounce:FILE or odp:FILE, not '%s'",
			     optarg);
		break;
	case OPT_PERSIST:
		plan->persist = true;
		break;
	case 's':
		set_sizes(plan, "-s", optarg, 1);
		break;
	case 'a':
		set_all_sizes(plan);
		break;
	case OPT_SIZES:
		set_sizes(plan, "--sizes", optarg, PLAN_SIZES);
		break;
	case 'n':
		plan->iters = (uint32_t)number("-n", optarg, MIN_ITERS, MAX_ITERS);
		break;
	case 'q':
		plan->qps = (uint32_t)number("-q", optarg, 1, PLAN_QPS);
		break;
	case 't':
		plan->depth = (uint32_t)number("-t", optarg, 1, MAX_DEPTH);
		break;
	case 'd':
		opt->device = optarg;
		break;
	case 'x':
		opt->gid_index = (int)number("-x", optarg, 0, 65535);
		break;
	case 'p':
		number("-p", optarg, 1, 65535);
		opt->port = optarg;
		break;
	case OPT_SAMPLES:
		sample_open(optarg);
		break;
	case OPT_NAME:
		opt->name = optarg;
		break;
	case 'F':
		break;
	case 'h':
		help(plan->latency);
		break;
	default:
		errx(EXIT_USAGE, "-h tells which options there are");
	}
}

void parse_options(struct options *opt, bool latency, int argc, char **argv)
{
	const char *letters = latency ? "s:an:d:x:p:Fh" : "s:an:q:t:d:x:p:Fh";
	int c;

	set_defaults(opt, latency);
	while ((c = getopt_long(argc, argv, letters, long_options, NULL)) != -1) {
		if (latency && (c == 'q' || c == 't'))
			errx(EXIT_USAGE, "a latency is that of one message at a time: no --qp, "
					 "no --tx-depth");
		set_option(opt, c);
	}
	if (optind < argc)
		opt->host = argv[optind++];
	if (optind < argc)
		errx(EXIT_USAGE, "one HOST, not '%s' as well", argv[optind]);
	check(opt);
}
