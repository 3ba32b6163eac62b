/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Who drives the maps of a context: the service thread, or the caller of
 * md_process(). A map is driven by one thread at a time, the one that claimed
 * it; md_map() and md_unmap() claim theirs as well.
 */
#ifndef MD_LIB_SERVICE_H
#define MD_LIB_SERVICE_H

#include <stdbool.h>

#include "clock.h"

struct md_context;
struct md_map;
struct md__lease;
struct md__range;

/*
 * What each kind of work takes of a turn, about: messages, requests of peers, restores.
 * Breaks are seen to once in a turn.
 */
#define MD__TURN_NS (10 * MD__MSEC)

/* Start and stop the thread. 0 or -1. */
int md__service_start(struct md_context *ctx);
void md__service_stop(struct md_context *ctx);

/*
 * For calls that wait, in a context without a thread: do what is due, then wait a
 * little for more. Returns the time.
 */
uint64_t md__service_help(struct md_context *ctx);

/* Have every map looked at soon. From anywhere, with any lock held. */
void md__service_wake(struct md_context *ctx);

/* Is the calling thread the one that serves the context now? */
bool md__service_is_me(const struct md_context *ctx);

/*
 * Is a map of the context in a break, or about to be, and not stuck in it?
 * Without the list lock.
 */
bool md__service_breaking(struct md_context *ctx);

/*
 * Is another map of this process, on the same file, in one of these stages (a
 * mask)? One thread may drive several contexts, so all are looked at.
 */
bool md__service_others(const struct md__range *range, const struct md__lease *own, int stages);

/* List a map, claimed by the caller. */
void md__service_add(struct md_map *map);

/* Claim a listed map; waits while somebody else drives it. */
void md__service_claim(struct md_map *map);

/* Let others drive it again. */
void md__service_unclaim(struct md_map *map);

/* Take a map that the caller claimed off the list and retire it (map.h). */
void md__service_remove(struct md_map *map);

#endif
