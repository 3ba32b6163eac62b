// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "number.h"
#include "options.h"
#include "sample.h"

static const char usage[] =
	"Usage: md_break --file=FILE [OPTION]...\n"
	"How long a process waits that changes a leased file, and for what.\n"
	"\n"
	"  --file=FILE      on a DAX file system; it and FILE.bare are written over\n"
	"  --addr=ADDR      of the RDMA device (default: $MD_ADDR)\n"
	"  --regions=N,...  the map is cut into, 1 to 4096 (default 1)\n"
	"  --qps=N,...      attached, all in all, 1 to 128 (default 1)\n"
	"  --peers=N,...    with a grant each, 0 to 16 (default 1)\n"
	"  --bytes=SIZE,... of the map, 1M to 1G (default 1M)\n"
	"  --peer=KIND      cooperating (default), idle, silent or dead\n"
	"  --breaker=KIND   punch (default), write or truncate\n"
	"  --count=N        breaks of each row (default 20)\n"
	"  --budget=MS      how long the holder waits for peers (default 250)\n"
	"  --apart=MS       how long the map is live before each break (default 0)\n"
	"  --samples=FILE   append each measurement to FILE\n"
	"  -h, --help       this\n"
	"\n"
	"Each value of a list is a row, with the first value of the other lists. Between two\n"
	"breaks of the library's lease comes one of a bare lease, which has no library, no\n"
	"region and no peer; floor is that, and to deregister as many regions, and to set\n"
	"as many queue pairs to the error state as were fenced. No part of it is echo: one\n"
	"message to another process and back, without the library. All times are us, medians\n"
	"unless they have another name. A file that is broken more than once in a second is\n"
	"not leased again at once (md_map(3)); md_restore() cuts that pause short here, so\n"
	"nothing is leased while the breaker returns. With --apart=1000 it is as it is\n"
	"elsewhere.\n";

static const struct {
	const char *name;
	uint64_t min, max, preset;
} axes[AXES] = {
	[AXIS_REGIONS] = { "regions", 1, REGIONS_MAX, 1 },
	[AXIS_QPS] = { "qps", 1, QPS_MAX, 1 },
	[AXIS_PEERS] = { "peers", 0, PEERS_MAX, 1 },
	[AXIS_BYTES] = { "bytes", 1 << 20, 1 << 30, 1 << 20 },
};

static const char *const peer_kinds[] = {
	[PEER_COOPERATING] = "cooperating",
	[PEER_IDLE] = "idle",
	[PEER_SILENT] = "silent",
	[PEER_DEAD] = "dead",
};

static const char *const breaker_kinds[] = {
	[BREAKER_PUNCH] = "punch",
	[BREAKER_WRITE] = "write",
	[BREAKER_TRUNCATE] = "truncate",
};

const char *axis_str(enum axis axis)
{
	return axes[axis].name;
}

const char *peer_kind_str(enum peer_kind kind)
{
	return peer_kinds[kind];
}

static unsigned int count(const char *option, const char *text, unsigned int min, unsigned int max)
{
	return (unsigned int)number(option, text, min, max);
}

static void parse_axis(struct options *o, enum axis axis, const char *text)
{
	struct axis_values *v = &o->axis[axis];
	char option[16];

	snprintf(option, sizeof(option), "--%s", axes[axis].name);
	v->named = true;
	v->count = (int)numbers(option, text, axes[axis].min, axes[axis].max, v->value, VALUES_MAX);
}

static int kind(const char *option, const char *text, const char *const *names, int n)
{
	for (int i = 0; i < n; i++) {
		if (!strcmp(names[i], text))
			return i;
	}
	refuse("--%s: there is no %s", option, text);
}

static const struct option longs[] = {
	{ "file", required_argument, NULL, 'f' },
	{ "addr", required_argument, NULL, 'a' },
	{ "peer", required_argument, NULL, 'p' },
	{ "breaker", required_argument, NULL, 'b' },
	{ "count", required_argument, NULL, 'c' },
	{ "budget", required_argument, NULL, 'm' },
	{ "apart", required_argument, NULL, 't' },
	{ "samples", required_argument, NULL, 's' },
	{ "help", no_argument, NULL, 'h' },
	/* An axis, by its number. */
	{ "regions", required_argument, NULL, AXIS_REGIONS },
	{ "qps", required_argument, NULL, AXIS_QPS },
	{ "peers", required_argument, NULL, AXIS_PEERS },
	{ "bytes", required_argument, NULL, AXIS_BYTES },
	{ 0 },
};

static void take(struct options *o, int option)
{
	switch (option) {
	case 'f':
		o->file = optarg;
		break;
	case 'a':
		o->addr = optarg;
		break;
	case 'p':
		o->peer = kind("peer", optarg, peer_kinds, PEER_DEAD + 1);
		break;
	case 'b':
		o->breaker = kind("breaker", optarg, breaker_kinds, BREAKER_TRUNCATE + 1);
		break;
	case 'c':
		o->count = count("--count", optarg, 1, 1000000);
		break;
	case 'm':
		o->budget_ms = count("--budget", optarg, 1, 60000);
		break;
	case 't':
		o->apart_ms = count("--apart", optarg, 0, 60000);
		break;
	case 's':
		sample_open(optarg);
		break;
	case 'h':
		fputs(usage, stdout);
		exit(0);
	default:
		if (option >= AXES)
			refuse("there is no such option");
		parse_axis(o, option, optarg);
	}
}

void options_parse(struct options *o, int argc, char **argv)
{
	int option;

	*o = (struct options){ .addr = getenv("MD_ADDR"), .count = 20 };
	for (int i = 0; i < AXES; i++)
		o->axis[i] = (struct axis_values){ .value = { axes[i].preset }, .count = 1 };
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1)
		take(o, option);
	if (optind < argc)
		refuse("what is %s?", argv[optind]);
	if (!o->file)
		refuse("--file is missing");
	if (!o->addr)
		refuse("--addr is missing, and there is no MD_ADDR");
}
