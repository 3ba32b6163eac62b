/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * fork(2): the child's copies of the library's descriptors are closed, so that
 * a child cannot keep a lease, and its contexts are dead (ECHILD).
 *
 * The fork lock is held around every change of a descriptor field and of a
 * list that the child walks: of maps, regions and attachments, of connections
 * and listeners. Many may hold it at once, only fork() excludes them; nothing is
 * locked inside it.
 */
#ifndef MD_LIB_FORK_H
#define MD_LIB_FORK_H

#include <stdbool.h>

struct md_context;

void md__fork_hold(void);
void md__fork_let(void);

/* Include a context in what fork() takes care of; forget it again. */
int md__fork_add(struct md_context *ctx);
void md__fork_remove(struct md_context *ctx);

/* Is it true of any context of this process? Calls is() with a lock held. */
bool md__fork_any(bool (*is)(struct md_context *ctx, const void *arg), const void *arg);

#endif
