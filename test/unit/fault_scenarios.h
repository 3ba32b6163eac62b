/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Whole lives of a context, in steps of which one may fail: fault_steps.h. */
#ifndef MD_TEST_FAULT_SCENARIOS_H
#define MD_TEST_FAULT_SCENARIOS_H

void scenario_live(void);
void scenario_broken(void);
void scenario_granted(void);
void scenario_released(void);
void scenario_revoked(void);
void scenario_late(void);
void scenario_populated(void);
void scenario_cancelled(void);
void scenario_full(void);
void scenario_two(void);
void scenario_leased_by_fcntl(void);
void scenario_leased_by_devdax(void);
void scenario_asked(void);
void scenario_forked(void);
void scenario_carrier(void);

/* Parts of them: a context with a region that is registered, and its end. */
struct md_mr *scenario_begin(void);
void scenario_end(void);

/* Before each: nothing is there yet; after each: nothing is left. */
void scenario_prepare(void);
void scenario_check_rest(void);

#endif
