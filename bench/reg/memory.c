// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "cgroup.h"
#include "file.h"
#include "memory.h"
#include "must.h"
#include "sample.h"
#include "table.h"

/*
 * The kernel counts whole pages, so a lease alone is seen to within one or two. As many
 * as are in 1 GiB are taken at once, side by side in a file, and their sum is divided.
 */
#define TOTAL ((size_t)1 << 30)
#define MAPS_MAX 64
/* Page tables and structures are freed a little after they were given back (RCU). */
#define SETTLE_US 200000

#define FRAGMENTED ((size_t)16 << 20)
/*
 * Of each piece the module keeps four words (struct md_extent), in an array that
 * doubles. A lease of one piece takes about a page.
 */
#define EXTENT_SIZE (4 * sizeof(void *))
#define EXTENTS_MIN 256
#define FIXED_MAX (16 * 1024)

struct usage {
	double held, pagetables;
};

struct measure {
	struct cgroup group;
	struct md_context *ctx;
};

static struct usage usage_now(const struct measure *m)
{
	double pagetables, kernel;

	usleep(SETTLE_US);
	pagetables = (double)cgroup_stat(&m->group, "pagetables");
	kernel = (double)cgroup_stat(&m->group, "kernel");
	return (struct usage){ kernel - pagetables, pagetables };
}

static unsigned int maps_of(size_t size)
{
	size_t n = TOTAL / size;

	return n < 1 ? 1 : n > MAPS_MAX ? MAPS_MAX : (unsigned int)n;
}

/* Of one of @n maps. */
static struct usage measure_maps(const struct measure *m, int fd, size_t size, unsigned int n)
{
	struct usage before = usage_now(m), after;
	struct md_map *maps[MAPS_MAX];

	for (unsigned int i = 0; i < n; i++) {
		maps[i] = md_map(m->ctx, fd, (off_t)(i * size), size, NULL);
		MD_MUST(maps[i]);
	}
	after = usage_now(m);
	for (unsigned int i = 0; i < n; i++)
		MD_MUST(!md_unmap(maps[i]));
	return (struct usage){
		(after.held - before.held) / n,
		(after.pagetables - before.pagetables) / n,
	};
}

static void measure_size(const struct measure *m, const struct options *opt, size_t size)
{
	struct series held = { 0 }, pagetables = { 0 };
	unsigned int n = maps_of(size);
	char path[4096], text[32];
	size_t extents;
	bool huge;
	int fd;

	snprintf(path, sizeof(path), "%s.%zu", opt->lease, size);
	fd = file_make(path, n * size);
	if (fd < 0) {
		fprintf(stderr, "no room for %u of %s: left out\n", n, size_text(size, text));
		return;
	}
	extents = file_extents(fd, &huge);
	if (!huge)
		fprintf(stderr, "the file is not in whole huge pages\n");
	measure_maps(m, fd, size, n); /* what is only the first time */
	for (unsigned int i = 0; i < opt->rounds; i++) {
		struct usage u = measure_maps(m, fd, size, n);

		sample(u.held, "B", "mem/lease/%zu", size);
		sample(u.pagetables, "B", "mem/lease_pagetables/%zu", size);
		series_add(&held, u.held);
		series_add(&pagetables, u.pagetables);
	}
	printf("%-10s  %6u  %7zu  %10.0f  %11.0f\n", size_text(size, text), n, extents,
	       series_median(&held), series_median(&pagetables));
	series_free(&held);
	series_free(&pagetables);
	close(fd);
}

/* Is what must be there seen, and no more? */
static int control(const struct measure *m, const struct options *opt)
{
	char path[4096], text[32];
	struct usage u;
	size_t extents;
	bool huge;
	int fd;

	snprintf(path, sizeof(path), "%s.fragmented", opt->lease);
	fd = file_make_fragmented(path, FRAGMENTED);
	if (fd < 0)
		errx(1, "no room for the fragmented file");
	extents = file_extents(fd, &huge);
	u = measure_maps(m, fd, FRAGMENTED, 1);
	close(fd);
	sample(u.held, "B", "mem/lease_fragmented/%zu", FRAGMENTED);
	printf("%-10s  %6u  %7zu  %10.0f  %11.0f  (control: a fragmented file)\n",
	       size_text(FRAGMENTED, text), 1, extents, u.held, u.pagetables);
	if (extents < EXTENTS_MIN) {
		warnx("the file system made %zu extents only: no control", extents);
		return 1;
	}
	if (u.held < (double)(extents * EXTENT_SIZE) ||
	    u.held > (double)(2 * extents * EXTENT_SIZE + FIXED_MAX)) {
		warnx("the measure does not work: %zu extents, and %.0f bytes", extents, u.held);
		return 1;
	}
	return 0;
}

int memory_measure(const struct options *opt)
{
	struct measure m;
	cpu_set_t cpus;
	int status;

	/* Each CPU keeps up to a page of what it has not counted yet. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	MUST(!sched_setaffinity(0, sizeof(cpus), &cpus));
	cgroup_enter(&m.group);
	m.ctx = md_open(NULL);
	MD_MUST(m.ctx);
	printf("%-10s  %6s  %7s  %10s  %11s\n", "size", "leases", "extents", "held B",
	       "pagetable B");
	for (size_t i = 0; i < opt->n_sizes; i++)
		measure_size(&m, opt, opt->sizes[i]);
	status = control(&m, opt);
	MD_MUST(!md_close(m.ctx));
	cgroup_leave(&m.group);
	return status;
}
