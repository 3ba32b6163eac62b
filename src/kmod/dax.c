// SPDX-License-Identifier: GPL-2.0-only
/* Whose page is it? The proof that a mapping belongs to the leased file. */

#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/memremap.h>
#include <linux/mm.h>
#include <linux/page-flags.h>
#include <linux/xarray.h>

#include "compat.h"
#include "dax.h"
#include "protect.h"

/* How fs/dax.c packs an entry of i_pages; it has no header for this. */
#define MD_DAX_SHIFT 4
#define MD_DAX_PMD BIT(1)
#define MD_DAX_ZERO BIT(2)
#define MD_DAX_EMPTY BIT(3)

/* Under xa_lock: does the file's index hold this very page frame? */
static bool md_dax_entry_is(struct address_space *mapping, pgoff_t index, unsigned long pfn)
{
	void *entry = xa_load(&mapping->i_pages, index);
	unsigned long value;

	if (!xa_is_value(entry))
		return false;
	value = xa_to_value(entry);
	if (value & (MD_DAX_ZERO | MD_DAX_EMPTY))
		return false;
	if (value & MD_DAX_PMD)
		index &= (PMD_SIZE >> PAGE_SHIFT) - 1;
	else
		index = 0;
	return (value >> MD_DAX_SHIFT) + index == pfn;
}

/*
 * A write fault on a reflinked extent leaves the new page, which is this
 * file's alone, with the mark of a shared one (dax_associate_entry()), and
 * dax_disassociate_entry() then never takes the mark off: the next file that
 * gets the block trips over it with a WARN. If the file's own entry is the only
 * one that was counted, say what is true.
 */
static bool md_dax_adopt(struct page *page, struct address_space *mapping, pgoff_t index)
{
	bool ours;

	xa_lock_irq(&mapping->i_pages);
	ours = md_dax_page_marked(page) && page->index == 1 &&
	       md_dax_entry_is(mapping, index, page_to_pfn(page));
	if (ours) {
		page->mapping = mapping;
		page->index = index;
	}
	xa_unlock_irq(&mapping->i_pages);
	return ours;
}

/* The page is pinned. -EBUSY: it has been taken out of its file meanwhile. */
int md_dax_check_page(struct page *page, struct address_space *mapping, pgoff_t index)
{
	if (!is_zone_device_page(page) || page->pgmap->type != MEMORY_DEVICE_FS_DAX)
		return -EADDRNOTAVAIL;
	if (page->mapping == mapping && page->index == index)
		return 0;
	if (!md_protected(MD_PROTECT_ANCHOR))
		return 0;
	if (!page->mapping)
		return -EBUSY;
	return md_dax_adopt(page, mapping, index) ? 0 : -EADDRNOTAVAIL;
}
