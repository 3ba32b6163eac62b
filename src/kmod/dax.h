/* SPDX-License-Identifier: GPL-2.0-only */
/* What fs/dax.c knows about a page. */
#ifndef MAPDIRECT_DAX_H
#define MAPDIRECT_DAX_H

#include <linux/types.h>

struct address_space;
struct page;

int md_dax_check_page(struct page *page, struct address_space *mapping, pgoff_t index);

#endif
