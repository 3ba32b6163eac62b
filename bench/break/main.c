// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdio.h>
#include <stdlib.h>

#include "child.h"
#include "options.h"
#include "row.h"

#define PAGE 4096

static uint64_t larger(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* A region has a page at least, and a peer a queue pair. */
static struct row make_row(const struct options *o, enum axis axis, uint64_t value)
{
	uint64_t v[AXES];
	struct row row;

	for (int i = 0; i < AXES; i++)
		v[i] = o->axis[i].value[0];
	v[axis] = value;
	row = (struct row){
		.options = o,
		.axis = axis,
		.value = value,
		.regions = v[AXIS_REGIONS],
		.qps = larger(v[AXIS_QPS], v[AXIS_PEERS]),
		.peers = v[AXIS_PEERS],
		.bytes = larger(v[AXIS_BYTES], v[AXIS_REGIONS] * PAGE) & ~(uint64_t)(PAGE - 1),
	};
	return row;
}

static void run(void *row)
{
	row_run(row);
}

/* In a process of its own: who makes children must not have used verbs. */
static void run_axis(const struct options *o, enum axis axis)
{
	for (int i = 0; i < o->axis[axis].count; i++) {
		struct row row = make_row(o, axis, o->axis[axis].value[i]);
		int code = child_wait(child_start(run, &row));

		if (code)
			exit(code);
	}
}

/* Without a list, the row is one on the first axis that was named, or of regions. */
static enum axis only_axis(const struct options *o)
{
	for (int i = 0; i < AXES; i++) {
		if (o->axis[i].named)
			return i;
	}
	return AXIS_REGIONS;
}

int main(int argc, char **argv)
{
	struct options o;
	int lists = 0;

	options_parse(&o, argc, argv);
	setlinebuf(stdout);
	row_header();
	for (int i = 0; i < AXES; i++) {
		if (o.axis[i].count == 1)
			continue;
		run_axis(&o, i);
		lists++;
	}
	if (!lists)
		run_axis(&o, only_axis(&o));
	return 0;
}
