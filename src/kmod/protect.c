// SPDX-License-Identifier: GPL-2.0-only
/* Test builds only: /sys/module/mapdirect/parameters/unprotected. */

#include <linux/bits.h>
#include <linux/moduleparam.h>

#include "protect.h"

static unsigned int unprotected;
module_param(unprotected, uint, 0644);
MODULE_PARM_DESC(unprotected, "bit mask of protections that are off (enum md_protection)");

bool md_protected(enum md_protection p)
{
	return !(READ_ONCE(unprotected) & BIT(p));
}
