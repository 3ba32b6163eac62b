/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "ping.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define DEFAULT_PORT "7174"
#define DEFAULT_SIZE 64 /* as rping */
#define SIZE_LIMIT (64 << 20)
#define BUDGET_LIMIT_MS 60000

static const char usage_text[] =
	"usage: md_ping -s -a ADDRESS -f FILE [--offset N] [--length N] [--budget N]\n"
	"               [OPTION]...\n"
	"       md_ping -c -a ADDRESS [OPTION]...\n"
	"  -s             server; its buffer is a range of FILE\n"
	"  -c             client\n"
	"  -a ADDRESS     the server's address, that of an RDMA device\n"
	"  -p PORT        the server's port (" DEFAULT_PORT "), the next one is used, too\n"
	"  -C COUNT       client: how many pings (without end)\n"
	"  -S SIZE        bytes in a ping (64); server: the default of --length\n"
	"  -v             print the data of each ping\n"
	"  -V             prove every byte: the client in what comes back, the server\n"
	"                 in the file, by read(2)\n"
	"  -d             tell what happens\n"
	"  -f FILE        server: file on a DAX file system, made or extended if need be\n"
	"  --offset N     server: where in the file (0), a multiple of the page size\n"
	"  --length N     server: bytes (SIZE)\n"
	"  --budget N     server: ms that a break waits for the client (250)\n";

static __attribute__((noreturn)) void usage(const char *what)
{
	fprintf(stderr, "md_ping: %s\n%s", what, usage_text);
	exit(2);
}

static unsigned long number(const char *text, const char *what)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 0);
	if (errno || end == text || *end || *text == '-' || n > LONG_MAX)
		usage(what);
	return n;
}

static const char *port_after(const char *port)
{
	static char text[8];
	const unsigned long n = number(port, "-p wants a number");

	if (!n || n >= 65535)
		usage("-p is out of range");
	snprintf(text, sizeof(text), "%lu", n + 1);
	return text;
}

static void check(struct options *opt)
{
	if (opt->server == opt->client)
		usage("one of -s and -c is needed");
	if (!opt->addr)
		usage("-a is needed");
	if (opt->server && !opt->file)
		usage("the server needs -f");
	if (opt->size < PING_MIN_SIZE || opt->size > SIZE_LIMIT)
		usage("-S is too small or too large");
	opt->data_port = port_after(opt->port);
	if (!opt->length)
		opt->length = opt->size;
	if (opt->length < opt->size)
		usage("--length is less than -S");
}

void parse_options(struct options *opt, int argc, char **argv)
{
	static const struct option options[] = {
		{ "offset", required_argument, NULL, 'o' },
		{ "length", required_argument, NULL, 'l' },
		{ "budget", required_argument, NULL, 'b' },
		{},
	};
	int c;

	*opt = (struct options){ .port = DEFAULT_PORT, .size = DEFAULT_SIZE };
	while ((c = getopt_long(argc, argv, "sca:p:C:S:vVdf:", options, NULL)) != -1) {
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
		case 'C':
			opt->count = number(optarg, "-C wants a number");
			break;
		case 'S':
			opt->size = number(optarg, "-S wants a number");
			break;
		case 'v':
			opt->print = true;
			break;
		case 'V':
			opt->validate = true;
			break;
		case 'd':
			opt->debug = true;
			break;
		case 'f':
			opt->file = optarg;
			break;
		case 'o':
			opt->offset = number(optarg, "--offset wants a number");
			break;
		case 'l':
			opt->length = number(optarg, "--length wants a number");
			break;
		case 'b':
			opt->budget_ms = number(optarg, "--budget wants a number");
			if (!opt->budget_ms || opt->budget_ms > BUDGET_LIMIT_MS)
				usage("--budget is too small or too large");
			break;
		default:
			usage("unknown option");
		}
	}
	if (optind < argc)
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
