/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A memory cgroup (version 2) for this process alone: its kernel memory is counted there. */
#ifndef BENCH_REG_CGROUP_H
#define BENCH_REG_CGROUP_H

#include <stddef.h>

struct cgroup {
	char path[256];
	char before[256]; /* where the process was */
};

/* Ends the program where there is none, or no right to. */
void cgroup_enter(struct cgroup *g);
void cgroup_leave(struct cgroup *g);

/* Bytes, by the name in memory.stat, as counted by now. */
size_t cgroup_stat(const struct cgroup *g, const char *name);

#endif
