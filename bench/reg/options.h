/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_REG_OPTIONS_H
#define BENCH_REG_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIZES_MAX 16

struct options {
	uint64_t sizes[SIZES_MAX]; /* multiples of the page size */
	size_t n_sizes;
	unsigned int rounds;
	const char *lease;  /* FILE, or NULL */
	const char *devdax; /* DEV, or NULL */
	bool tmpfs;
	bool memory;
	const char *device;  /* RDMA device, or NULL: the first */
	const char *samples; /* FILE, or NULL */
};

/* Ends the program when there is nothing sensible to do. */
void options_parse(struct options *opt, int argc, char **argv);

#endif
