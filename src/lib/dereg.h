/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Deregistration of all regions of a map. Each is a call of its own into the kernel, which
 * takes its time; where there are many, several threads do it at once.
 */
#ifndef MD_LIB_DEREG_H
#define MD_LIB_DEREG_H

struct md_map;

/**
 * md__dereg_all - deregister what is registered
 * @map: with its lock
 *
 * Returns 0, or the errno of the first region that could not be. The threads that it
 * starts have ended when it returns; it starts none in a context that was opened without
 * one (MD_OPEN_NO_THREAD), and needs none.
 */
int md__dereg_all(struct md_map *map);

#endif
