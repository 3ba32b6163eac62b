// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "must.h"
#include "number.h"
#include "options.h"

static const char usage[] =
	"Usage: md_reg [OPTION]... MEMORY...\n"
	"What it costs to register memory with an RDMA device, by size.\n"
	"\n"
	"MEMORY, at least one:\n"
	"  --lease=FILE    a DAX file, by md_map() and md_reg_mr(); makes FILE.SIZE for each\n"
	"                  size, and removes them\n"
	"  --devdax=DEV    a device-dax, by ibv_reg_mr(); it is written to\n"
	"  --tmpfs         a file on a tmpfs, by ibv_reg_mr()\n"
	"\n"
	"  --sizes=S,...   of regions: multiples of the page size, with K, M or G\n"
	"                  (64K,256K,1M,4M,16M,64M,256M,1G), in mappings of whole 2 MiB\n"
	"  --rounds=N      1 to 1000 (7)\n"
	"  --memory        instead, the kernel memory of a lease by size (64M,256M,1G): needs\n"
	"                  root and --lease\n"
	"  -d DEVICE       RDMA device (the first)\n"
	"  --samples=FILE  append each value to FILE, in JSON\n"
	"  -h              this text\n"
	"\n"
	"Sizes for which there is no room are left out. Exits with 77 when what was asked for\n"
	"does not exist here.\n";

static void parse_sizes(struct options *opt, const char *text)
{
	opt->n_sizes = numbers("--sizes", text, 1, UINT64_C(1) << 40, opt->sizes, SIZES_MAX);
	for (size_t i = 0; i < opt->n_sizes; i++) {
		if (opt->sizes[i] % (uint64_t)sysconf(_SC_PAGESIZE))
			refuse("--sizes: not of whole pages: %s", text);
	}
}

static void check(struct options *opt)
{
	if (opt->memory && !opt->lease)
		refuse("--memory needs --lease=FILE");
	if (opt->memory && (opt->devdax || opt->tmpfs))
		refuse("--memory is about leases only");
	if (!opt->lease && !opt->devdax && !opt->tmpfs)
		refuse("no memory to register: --lease=FILE, --devdax=DEV or --tmpfs");
	if (!opt->n_sizes)
		parse_sizes(opt, opt->memory ? "64M,256M,1G" : "64K,256K,1M,4M,16M,64M,256M,1G");
}

void options_parse(struct options *opt, int argc, char **argv)
{
	enum {
		SIZES = 256,
		ROUNDS,
		LEASE,
		DEVDAX,
		TMPFS,
		MEMORY,
		SAMPLES
	};
	static const struct option longs[] = {
		{ "sizes", required_argument, NULL, SIZES },
		{ "rounds", required_argument, NULL, ROUNDS },
		{ "lease", required_argument, NULL, LEASE },
		{ "devdax", required_argument, NULL, DEVDAX },
		{ "tmpfs", no_argument, NULL, TMPFS },
		{ "memory", no_argument, NULL, MEMORY },
		{ "samples", required_argument, NULL, SAMPLES },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	*opt = (struct options){ .rounds = 7 };
	while ((c = getopt_long(argc, argv, "d:h", longs, NULL)) >= 0) {
		switch (c) {
		case SIZES:
			parse_sizes(opt, optarg);
			break;
		case ROUNDS:
			opt->rounds = (unsigned int)number("--rounds", optarg, 1, 1000);
			break;
		case LEASE:
			opt->lease = optarg;
			break;
		case DEVDAX:
			opt->devdax = optarg;
			break;
		case TMPFS:
			opt->tmpfs = true;
			break;
		case MEMORY:
			opt->memory = true;
			break;
		case 'd':
			opt->device = optarg;
			break;
		case SAMPLES:
			opt->samples = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default: /* getopt has said what */
			exit(EXIT_USAGE);
		}
	}
	if (optind < argc)
		refuse("what is %s?", argv[optind]);
	check(opt);
}
