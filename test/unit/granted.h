/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A region of a map that is granted to each of a few peers. */
#ifndef MD_TEST_GRANTED_H
#define MD_TEST_GRANTED_H

#include "session.h"

#define PEERS 3

extern struct session s[PEERS];
extern struct md_map *map;
extern struct md_mr *mr;
extern struct md_grant *grant[PEERS]; /* NULL: a case has recalled it */
extern struct md_remote *remote[PEERS];

/* Peer i has fake_qp[i] attached. All know it when this returns. */
void grant_all(void);
void end_all(void);

/* The same with a drain budget that a case may use up. */
void grant_all_within(uint32_t budget_ms);

/* A write of peer i, in a use. */
void use(int i);

/* What every peer but one has to say of a break that ends with a restore. */
void pass_restored_but(int but);

#endif
