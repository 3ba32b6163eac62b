/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether the module can lease a range, found out before anything is taken. */
#ifndef MD_LIB_KMOD_CHECK_H
#define MD_LIB_KMOD_CHECK_H

#include <mapdirect/mapdirect.h>

#include "range.h"

/* The device, opened when first asked for and checked; or -1. */
int md__kmod_device(struct md_context *ctx);

/*
 * Does the range of the file fit now: DAX, long enough, without holes unless
 * they may be filled? 0, or -1 with errno and sentence.
 */
int md__kmod_fits(const struct md__range *range);

/* Would the module lease it to this caller, on this file system? 0, or -1. */
int md__kmod_may(const struct md__range *range);

/* md__lease_ops.check */
void md__kmod_check(struct md_context *ctx, const struct md__range *range,
		    struct md_query_result *result);

#endif
