/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Runs the engine of a map: gathers its inputs, carries out its actions.
 */
#ifndef MD_LIB_DRIVER_H
#define MD_LIB_DRIVER_H

#include <stdbool.h>
#include <stdint.h>

#include <mapdirect/mapdirect.h>

/*
 * Take the first lease of a claimed map. 0, or -1 with errno and sentence;
 * a lease may then be left, for md__driver_stop() to end.
 */
int md__driver_start(struct md_map *map);

/*
 * Do what is due in a claimed map at @now, a restore for about @restore_ns. True: it
 * has more to do.
 */
bool md__driver_turn(struct md_map *map, uint64_t restore_ns, uint64_t now);

/* md_release(). With the map's lock. */
void md__driver_release(struct md_map *map);

/* End what lease a claimed map has; no region is left. With the lock. */
void md__driver_stop(struct md_map *map);

/* Begin an event of a map: all but message and error. With the lock. */
void md__driver_event(struct md_map *map, enum md_event_type type, struct md_event *event);

#endif
