/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * How far acquire() is with the pages of a range, and whether it is to go on:
 * gigabytes that have to be allocated take long. A provider goes through them
 * in pieces of a few MiB, and asks after each. A restore runs in the thread that
 * serves everything else, so it is to pause there, and is gone on with later.
 */
#ifndef MD_LIB_POPULATE_H
#define MD_LIB_POPULATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct md_map;

/* Used by who drives the map, except @impatient. */
struct md__populate {
	struct md_map *map;
	bool report;		    /* MD_MAP_PROGRESS */
	const volatile int *cancel; /* md_map_attr.cancel; NULL once md_map() is over */
	atomic_uint impatient;	    /* calls that wait for who drives the map */
	uint64_t done;
	uint64_t total;
	uint64_t told;	/* when the last event was queued, ns */
	bool paused;	/* md__populate_step() had acquire() pause */
	uint64_t again; /* until when, ns */
	uint64_t slice; /* how long a restore may take of a turn, ns */
	uint64_t until; /* when it is to pause, ns */
};

/*
 * An acquire begins: each of so many bytes will be gone through once; @done of them
 * need it no more.
 */
void md__populate_begin(struct md__populate *p, uint64_t bytes, uint64_t done);

/* So many bytes more have to be gone through than was thought, or fewer. */
void md__populate_more(struct md__populate *p, int64_t bytes);

/*
 * So many bytes were gone through, perhaps 0. -1: acquire() is to fail with
 * this errno; ECANCELED or, in a restore that has to pause, EAGAIN.
 */
int md__populate_step(struct md__populate *p, uint64_t bytes);

/* Lock a map for a call that is not to wait for a restore under way: that pauses. */
void md__populate_lock(struct md_map *map);

#endif
