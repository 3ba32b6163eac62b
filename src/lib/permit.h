/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whether the kernel would let the caller lease a file. */
#ifndef MD_LIB_PERMIT_H
#define MD_LIB_PERMIT_H

#include "range.h"

/* 0, or -1 with EPERM or ENOLCK and a sentence. */
int md__permit_lease(const struct md__range *range);

#endif
