/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Regions of a map. Everything here while somebody holds the map's lock for it. */
#ifndef MD_LIB_MR_H
#define MD_LIB_MR_H

#include <sys/queue.h>

#include <mapdirect/mapdirect.h>

/* The ibv_mr comes and goes with the lease, the handle stays. */
struct md__mr {
	struct md_mr pub;
	struct ibv_mr *ibv; /* NULL: not registered */
	unsigned int grants;
	TAILQ_ENTRY(md__mr) mrs;
};

/* Register every region of a map again, or none: -1, errno and sentence. */
int md__mr_register_all(struct md_map *map);

/* Deregister one, if it is registered. Returns 0, or the errno. */
int md__mr_dereg(struct md__mr *mr);

#endif
