// SPDX-License-Identifier: GPL-2.0-only
/* Test builds only: parameters in /sys/module/mapdirect/parameters. */

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/moduleparam.h>

#include "protect.h"

static unsigned int unprotected;
module_param(unprotected, uint, 0644);
MODULE_PARM_DESC(unprotected, "bit mask of protections that are off (enum md_protection)");

static atomic_t fail_step = ATOMIC_INIT(0);
module_param_named(fail_step, fail_step.counter, int, 0644);
MODULE_PARM_DESC(fail_step, "which step of taking a lease is to fail, counted from now; 0: none");

bool md_protected(enum md_protection p)
{
	return !(READ_ONCE(unprotected) & BIT(p));
}

int md_fault_here(void)
{
	return atomic_add_unless(&fail_step, -1, 0) && !atomic_read(&fail_step) ? -ENOMEM : 0;
}
