/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef MD_LIB_HOLE_H
#define MD_LIB_HOLE_H

#include "range.h"

/* Part of a file, before its end, without blocks or with unwritten ones. */
struct md__hole {
	uint64_t offset;
	uint64_t length; /* 0: there is none */
};

/* Find the first hole in a range. 0, or -1 with errno and sentence. */
int md__hole_find(const struct md__range *range, struct md__hole *hole);

#endif
