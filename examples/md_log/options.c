/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "log.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "format.h"

#define DEFAULT_PORT "7176"
#define DEFAULT_SIZE (16UL << 20)
#define DEFAULT_LIMIT 960 /* slots of 1 KiB */
#define DEFAULT_RECORD 256
#define DEFAULT_DEPTH 16
#define DEPTH_MAX 1024

static const char usage_text[] =
	"usage: md_log -s -a ADDRESS -f FILE [OPTION]...\n"
	"       md_log -c -a ADDRESS [OPTION]...\n"
	"       md_log --verify FILE [ACKED]...\n"
	"  -s               server; the log is in FILE\n"
	"  -c               client; appends to it\n"
	"  -a ADDRESS       the server's address, that of an RDMA device\n"
	"  -p PORT          the server's port (" DEFAULT_PORT "); the next one is used, too\n"
	"  -d               tell what happens\n"
	"  -f FILE          server: file on a DAX file system, made if there is none\n"
	"  --size N         server: bytes of a new file (16 MiB)\n"
	"  --record-size N  client: bytes in a record (256); server: the most that they\n"
	"                   may have in a new file (960)\n"
	"  -n RECORDS       client: how many (until the log is full)\n"
	"  --depth N        client: how many at a time (16)\n"
	"  -o ACKED         client: add a line to this file for each acknowledged record\n"
	"  --verify FILE    read FILE, and prove that it has all records of each ACKED,\n"
	"                   in order and once\n";

static __attribute__((noreturn)) void usage(const char *what)
{
	fprintf(stderr, "md_log: %s\n%s", what, usage_text);
	exit(2);
}

static unsigned long number(const char *text, unsigned long most, const char *what)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n > most)
		usage(what);
	return n;
}

static void check(struct options *opt)
{
	unsigned long port;

	if (opt->server + opt->client + !!opt->verify != 1)
		usage("one of -s, -c and --verify is needed");
	if (opt->verify)
		return;
	if (!opt->addr)
		usage("-a is needed");
	if (opt->server && !opt->file)
		usage("the server needs -f");
	port = number(opt->port, 65534, "-p wants a number");
	if (!port)
		usage("-p wants a port");
	snprintf(opt->data_port, sizeof(opt->data_port), "%lu", port + 1);
	if (!opt->record_size)
		opt->record_size = opt->server ? DEFAULT_LIMIT : DEFAULT_RECORD;
	if (!opt->depth)
		usage("--depth wants 1 or more");
}

void parse_options(struct options *opt, int argc, char **argv)
{
	static const struct option options[] = {
		{ "size", required_argument, NULL, 'l' },
		{ "record-size", required_argument, NULL, 'S' },
		{ "depth", required_argument, NULL, 'q' },
		{ "verify", required_argument, NULL, 'V' },
		{},
	};
	int c;

	*opt = (struct options){
		.port = DEFAULT_PORT,
		.size = DEFAULT_SIZE,
		.depth = DEFAULT_DEPTH,
	};
	while ((c = getopt_long(argc, argv, "sca:p:df:n:o:", options, NULL)) != -1) {
		switch (c) {
		case 's':
			opt->server = true;
			break;
		case 'c':
			opt->client = true;
			break;
		case 'a':
			opt->addr = optarg;
			break;
		case 'p':
			opt->port = optarg;
			break;
		case 'd':
			opt->debug = true;
			break;
		case 'f':
			opt->file = optarg;
			break;
		case 'n':
			opt->records = number(optarg, LONG_MAX, "-n wants a number");
			break;
		case 'o':
			opt->acked = optarg;
			break;
		case 'l':
			opt->size = number(optarg, LONG_MAX, "--size wants a number");
			break;
		case 'S':
			opt->record_size = number(optarg, LOG_PAYLOAD_MAX,
						  "--record-size wants a number up to 1 MiB");
			break;
		case 'q':
			opt->depth = number(optarg, DEPTH_MAX, "--depth wants a number up to 1024");
			break;
		case 'V':
			opt->verify = optarg;
			break;
		default:
			usage("unknown option");
		}
	}
	opt->acked_files = argv + optind;
	if (optind < argc && !opt->verify)
		usage("there are no arguments besides options");
	check(opt);
}

void debug(const struct options *opt, const char *fmt, ...)
{
	va_list args;

	if (!opt->debug)
		return;
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}
