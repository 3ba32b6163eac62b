/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "mem.h"
#include "plan.h"

struct options {
	struct plan plan;
	struct mem_spec mem;
	const char *host; /* NULL: we are the server */
	const char *port;
	const char *device; /* NULL: the first */
	int gid_index;	    /* -1: choose */
	const char *name;   /* of samples */
};

/* Ends the program when they make no sense. Opens the file for samples. */
void parse_options(struct options *opt, bool latency, int argc, char **argv);

#endif
