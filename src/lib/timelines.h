/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* How each grant of a map was recalled in a break, for its event. With the map's lock. */
#ifndef MD_LIB_TIMELINES_H
#define MD_LIB_TIMELINES_H

#include <mapdirect/mapdirect.h>

/* Have room for one more grant than there is. 0 or -1: nothing is allocated in a break. */
int md__timelines_reserve(struct md_map *map);

/* Those of all grants, in memory that stays while the event is pending or lent. */
void md__timelines_fill(struct md_map *map, struct md_event *event);

/* Free it: no event of the map is lent. */
void md__timelines_free(struct md_map *map);

#endif
