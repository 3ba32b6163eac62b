// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * md_reg: what it costs to register memory, by size, in interleaved rounds.
 *
 * Of a lease: reg/map is md_map() of a written file, reg/map_reg the same and
 * md_reg_mr(), reg/lease that md_reg_mr() alone, reg/lease_again one when the page
 * tables are filled, and reg/lease_raw ibv_reg_mr() of the same pages: the ratio of
 * these two is the library's own part. Of the others, which plain verbs register:
 * reg/MEMORY_cold the first in a fresh mapping, reg/MEMORY another in the same.
 */
#include <stdlib.h>
#include <string.h>

#include <infiniband/verbs.h>

#include "must.h"
#include "reg/lease.h"
#include "reg/memory.h"
#include "reg/options.h"
#include "reg/plain.h"
#include "reg/table.h"
#include "sample.h"

static struct ibv_context *open_device(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;

	if (!list)
		err(EXIT_CANNOT, "no RDMA devices");
	for (struct ibv_device **d = list; *d; d++) {
		if (name && strcmp(name, ibv_get_device_name(*d)) != 0)
			continue;
		context = ibv_open_device(*d);
		if (!context)
			err(1, "cannot open %s", ibv_get_device_name(*d));
		break;
	}
	if (!context)
		errx(EXIT_CANNOT, "no RDMA device%s%s", name ? " " : "", name ? name : "");
	ibv_free_device_list(list);
	return context;
}

static void measure(const struct options *opt, struct ibv_pd *pd, struct table *t)
{
	struct plain devdax, tmpfs;
	struct lease lease;

	if (opt->lease)
		lease_open(&lease, opt);
	if (opt->devdax)
		plain_open_devdax(&devdax, opt);
	if (opt->tmpfs)
		plain_open_tmpfs(&tmpfs, opt);
	for (unsigned int round = 0; round < opt->rounds; round++) {
		for (size_t i = 0; i < opt->n_sizes; i++) {
			size_t size = opt->sizes[i];

			if (opt->lease)
				lease_measure(&lease, pd, t, i, size, round & 1);
			if (opt->devdax)
				plain_measure(&devdax, pd, t, size);
			if (opt->tmpfs)
				plain_measure(&tmpfs, pd, t, size);
			table_round(t, i, size);
		}
	}
	if (opt->tmpfs)
		plain_close(&tmpfs);
	if (opt->devdax)
		plain_close(&devdax);
	if (opt->lease)
		lease_close(&lease, opt);
}

int main(int argc, char **argv)
{
	static struct table table;
	struct ibv_context *device;
	struct options opt;
	struct ibv_pd *pd;

	options_parse(&opt, argc, argv);
	if (opt.samples)
		sample_open(opt.samples);
	if (opt.memory)
		return memory_measure(&opt);
	device = open_device(opt.device);
	pd = ibv_alloc_pd(device);
	MUST(pd);
	measure(&opt, pd, &table);
	table_print(&table, &opt);
	table_free(&table);
	ERRNO_MUST(ibv_dealloc_pd(pd));
	MUST(!ibv_close_device(device));
	return 0;
}
