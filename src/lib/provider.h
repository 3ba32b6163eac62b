/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Which provider serves a map. */
#ifndef MD_LIB_PROVIDER_H
#define MD_LIB_PROVIDER_H

#include "lease.h"

/**
 * md__provider_choose - by what was asked for and what the file is
 * @ctx:   the context
 * @range: of the file
 * @asked: as in md_map_attr
 *
 * Without being asked by name only one that keeps all that md_map() promises is
 * chosen. NULL with errno and sentence if there is none.
 */
const struct md__lease_ops *
md__provider_choose(struct md_context *ctx, const struct md__range *range, enum md_provider asked);

#endif
