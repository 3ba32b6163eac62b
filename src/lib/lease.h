/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A lease, and who gives it. A provider keeps the blocks of a range in place
 * from acquire() to release(), and tells by events when it is asked for them.
 */
#ifndef MD_LIB_LEASE_H
#define MD_LIB_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include <mapdirect/mapdirect.h>

#include "range.h"

struct md__populate;

/* What a map of the module is about with its file; for other maps to know. */
enum md__lease_stage {
	MD__NO_LEASE = 0,
	MD__COPYING = 1, /* changes the file, and waits if it is leased */
	MD__ASKING = 2,	 /* is about to have a lease, or not */
	MD__LEASED = 4,	 /* has one */
};

/* One generation. @addr and @anchor are reserved for the life of the map. */
struct md__lease {
	int fd; /* polled for events; -1: there is no lease */
	uint64_t generation;
	void *addr;   /* where acquire() shows the pages */
	void *anchor; /* as long, for the provider's own use; NULL: left behind */
	size_t length;
	/*
	 * acquire() is to restore. Then it runs in the thread that serves all
	 * others, and pauses (EAGAIN) when md__populate_step() says so. If it has
	 * counted a step, the next call goes on there, with so many bytes of it
	 * done; else it begins anew. Both are 0 when it begins, and when there is
	 * a lease.
	 */
	bool restored;
	unsigned int step;
	size_t done;
	struct md__populate *populate; /* for acquire(): how far it is */
	_Atomic int *stage;	       /* enum md__lease_stage, set by acquire() */
	/* acquire() found that the file fits the range, whatever came of it. */
	bool fits;
	void *data; /* the provider's own, by malloc(); freed with the lease */
};

/* What a lease says. Times are CLOCK_MONOTONIC in ns. */
struct md__notice {
	bool revoked; /* the deadline passed, the mapping is gone */
	enum md_reason reason;
	uint64_t time;
	uint64_t deadline;
	int breaker_pid;
	char breaker_comm[16];
};

/*
 * Failures set errno and the sentence.
 *
 * @at_deadline: what the kernel does to who does not release; NULL: it kills
 * @check:   fills @result in; no failure is possible but a refusal, in it
 * @acquire: takes the lease and maps the range at @lease->addr; sets
 *           @lease->fd and @lease->generation, and @lease->fits as soon as it
 *           knows. On failure md__lease_drop() cleans up, but not in a pause
 *           after the first step. The errno tells the caller whether to try again:
 *           EAGAIN, EBUSY, EEXIST: yes; ENXIO, ENODATA: for some time
 * @read:    1 with a notice, 0 without; never blocks
 * @release: shuts the mapping, then 0 when the lease is over, EBUSY while
 *           foreign pins remain, or what time alone does not change, with its
 *           sentence; never blocks; may be repeated
 * @foreign: how many pages somebody else holds, for a message; NULL: release()
 *           never finds any
 * @persist: makes bytes of the mapping durable; NULL: by flushing CPU caches
 */
struct md__lease_ops {
	enum md_provider provider;
	const char *at_deadline;
	void (*check)(struct md_context *ctx, const struct md__range *range,
		      struct md_query_result *result);
	int (*acquire)(struct md_context *ctx, const struct md__range *range,
		       struct md__lease *lease);
	int (*read)(struct md__lease *lease, struct md__notice *notice);
	int (*release)(struct md__lease *lease);
	uint64_t (*foreign)(struct md__lease *lease);
	int (*persist)(struct md__lease *lease, const struct md__range *range, size_t offset,
		       size_t length);
};

/*
 * A number for a lease that does not come from the module. It is above all
 * that this process had since the machine was started.
 */
uint64_t md__lease_number(void);

/* Reserve the addresses; there is no lease yet. 0 or -1. */
int md__lease_init(struct md__lease *lease, const struct md__range *range);

/**
 * md__lease_drop - give up what acquire() made, as far as it came
 *
 * Normally after release(). Else the provider goes on in the background.
 */
void md__lease_drop(struct md__lease *lease);

/**
 * md__lease_keep_anchor - leave the anchor mapped until the process ends
 *
 * For a lease that is closed while others still pin its pages: the provider
 * goes on in the background, and to unmap the anchor would be a break with a
 * deadline, at which this process is killed for pins that are not its own.
 */
void md__lease_keep_anchor(struct md__lease *lease);

/* Give the addresses back too. */
void md__lease_fini(struct md__lease *lease);

#endif
