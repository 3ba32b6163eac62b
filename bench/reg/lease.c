// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdio.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "clock.h"
#include "file.h"
#include "lease.h"
#include "must.h"
#include "reg.h"

/* -1 where there is no room. */
static int open_size(const char *name, size_t size)
{
	char path[4096], text[32];
	size_t extents;
	bool huge;
	int fd;

	snprintf(path, sizeof(path), "%s.%zu", name, size);
	fd = file_make(path, reg_map_length(size));
	if (fd < 0) {
		fprintf(stderr, "lease: no room for %s: left out\n", size_text(size, text));
		return -1;
	}
	extents = file_extents(fd, &huge);
	if (!huge)
		fprintf(stderr,
			"lease: the file of %s has %zu extents, not all fit for huge pages\n",
			size_text(size, text), extents);
	return fd;
}

/*
 * The first map of a context opens the module's device. Where a page alone is faulted in,
 * the file system does not map a huge one later.
 */
static void warm_up(struct lease *l, size_t n_sizes)
{
	struct md_map *map;

	for (size_t i = 0; i < n_sizes; i++) {
		if (l->fds[i] < 0)
			continue;
		map = md_map(l->ctx, l->fds[i], 0, REG_HUGE, NULL);
		MD_MUST(map);
		MD_MUST(!md_unmap(map));
		break;
	}
}

void lease_open(struct lease *l, const struct options *opt)
{
	l->ctx = md_open(NULL);
	MD_MUST(l->ctx);
	for (size_t i = 0; i < opt->n_sizes; i++)
		l->fds[i] = open_size(opt->lease, opt->sizes[i]);
	warm_up(l, opt->n_sizes);
}

void lease_close(struct lease *l, const struct options *opt)
{
	for (size_t i = 0; i < opt->n_sizes; i++) {
		if (l->fds[i] >= 0)
			close(l->fds[i]);
	}
	MD_MUST(!md_close(l->ctx));
}

static void measure_again(struct md_map *map, struct ibv_pd *pd, struct table *t, size_t size)
{
	uint64_t begin = clock_ns();
	struct md_mr *mr = md_reg_mr(pd, map, 0, size, REG_ACCESS);

	table_add(t, LEASE_AGAIN, clock_ns() - begin);
	MD_MUST(mr);
	MD_MUST(!md_dereg_mr(mr));
}

/* What the library does, without the library. */
static void measure_raw(struct md_map *map, struct ibv_pd *pd, struct table *t, size_t size)
{
	struct ibv_mr *mr;
	uint64_t begin;

	MD_MUST(!md_map_get(map));
	begin = clock_ns();
	mr = ibv_reg_mr(pd, md_map_addr(map), size, REG_ACCESS);
	table_add(t, LEASE_RAW, clock_ns() - begin);
	MUST(mr);
	ERRNO_MUST(ibv_dereg_mr(mr));
	md_map_put(map);
}

static void measure_pair(struct md_map *map, struct ibv_pd *pd, struct table *t, size_t size,
			 bool odd)
{
	if (odd)
		measure_raw(map, pd, t, size);
	measure_again(map, pd, t, size);
	if (!odd)
		measure_raw(map, pd, t, size);
}

static void measure_once(struct lease *l, struct ibv_pd *pd, struct table *t, int fd, size_t size,
			 bool odd)
{
	uint64_t begin, mapped, registered;
	struct md_map *map;
	struct md_mr *mr;

	begin = clock_ns();
	map = md_map(l->ctx, fd, 0, reg_map_length(size), NULL);
	mapped = clock_ns();
	MD_MUST(map);
	mr = md_reg_mr(pd, map, 0, size, REG_ACCESS);
	registered = clock_ns();
	MD_MUST(mr);
	table_add(t, MAP, mapped - begin);
	table_add(t, LEASE, registered - mapped);
	table_add(t, MAP_REG, registered - begin);
	begin = clock_ns();
	MD_MUST(!md_dereg_mr(mr));
	table_add(t, DEREG_LEASE, clock_ns() - begin);
	for (unsigned int i = 0; i < reg_pairs(size); i++)
		measure_pair(map, pd, t, size, odd ^ (i & 1));
	begin = clock_ns();
	MD_MUST(!md_unmap(map));
	table_add(t, UNMAP, clock_ns() - begin);
}

void lease_measure(struct lease *l, struct ibv_pd *pd, struct table *t, size_t index, size_t size,
		   bool odd)
{
	if (l->fds[index] < 0)
		return;
	for (unsigned int i = 0; i < reg_repeats(size); i++)
		measure_once(l, pd, t, l->fds[index], size, odd);
}
