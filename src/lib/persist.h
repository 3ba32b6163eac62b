/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * md_persist() flushes while the pages are the file's: from the moment that a
 * lease is shown until its release begins. Release waits for who is flushing.
 */
#ifndef MD_LIB_PERSIST_H
#define MD_LIB_PERSIST_H

struct md_map;

void md__persist_init(struct md_map *map);
void md__persist_fini(struct md_map *map);
void md__persist_open(struct md_map *map);
void md__persist_shut(struct md_map *map);

#endif
