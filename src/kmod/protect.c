// SPDX-License-Identifier: GPL-2.0-only
/* Test builds only: parameters in /sys/module/mapdirect/parameters. */

#include <linux/atomic.h>
#include <linux/bits.h>
#include <linux/delay.h>
#include <linux/errno.h>
#include <linux/moduleparam.h>

#include "protect.h"

/* The value of pause_step in the pause, and its end if the test sets no other. */
#define MD_PAUSED (-1)
#define MD_PAUSE_MS 5000

static unsigned int unprotected;
module_param(unprotected, uint, 0644);
MODULE_PARM_DESC(unprotected, "bit mask of protections that are off (enum md_protection)");

static atomic_t fail_step = ATOMIC_INIT(0);
module_param_named(fail_step, fail_step.counter, int, 0644);
MODULE_PARM_DESC(fail_step, "which step of taking a lease is to fail, counted from now; 0: none");

static atomic_t pause_step = ATOMIC_INIT(0);
module_param_named(pause_step, pause_step.counter, int, 0644);
MODULE_PARM_DESC(pause_step, "at which step to wait, counted as for fail_step; -1 meanwhile, until another value is set");

bool md_protected(enum md_protection p)
{
	return !(READ_ONCE(unprotected) & BIT(p));
}

static bool md_is_chosen(atomic_t *step)
{
	return atomic_dec_if_positive(step) == 0;
}

void md_pause_here(void)
{
	int ms;

	might_sleep();
	if (!md_is_chosen(&pause_step))
		return;
	atomic_set(&pause_step, MD_PAUSED);
	for (ms = 0; ms < MD_PAUSE_MS && atomic_read(&pause_step) == MD_PAUSED; ms += 5)
		usleep_range(5000, 6000);
}

int md_fault_here(void)
{
	md_pause_here();
	return md_is_chosen(&fail_step) ? -ENOMEM : 0;
}
