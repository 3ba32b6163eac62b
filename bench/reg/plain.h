/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Memory that plain verbs register: a device-dax, and a tmpfs. */
#ifndef BENCH_REG_PLAIN_H
#define BENCH_REG_PLAIN_H

#include "table.h"

struct ibv_pd;

struct plain {
	const char *name;
	int fd;
	size_t room;	  /* what is larger is left out */
	enum column cold; /* the first registration in a mapping; the other two follow it */
};

/* All pages that will be registered are there, and written. */
void plain_open_devdax(struct plain *p, const struct options *opt);
void plain_open_tmpfs(struct plain *p, const struct options *opt);

/* One round of a size. */
void plain_measure(struct plain *p, struct ibv_pd *pd, struct table *t, size_t size);
void plain_close(struct plain *p);

#endif
