/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Verbs without hardware: ibv_reg_mr(), ibv_dereg_mr() and ibv_modify_qp() of
 * this executable stand in for libibverbs'. Thread-safe.
 */
#ifndef MD_TEST_FAKE_VERBS_H
#define MD_TEST_FAKE_VERBS_H

#include <stdbool.h>
#include <stdint.h>

#include <infiniband/verbs.h>

#define FAKE_QPS 4

extern struct ibv_pd fake_pd;
extern struct ibv_qp fake_qp[FAKE_QPS]; /* on the first adapter, until a case says else */
extern struct ibv_device fake_device[2];
extern struct ibv_context fake_adapter[2];

/* Forget everything that was made, counted or is to fail; queue pairs to RTS. */
void fake_verbs_reset(void);

/* Of the calls from now on, let the @nth (1: the next) and those after fail. */
void fake_verbs_fail_reg(unsigned int nth, unsigned int times, int error);
void fake_verbs_fail_dereg(unsigned int nth, unsigned int times, int error);
void fake_verbs_fail_modify(int error);

/* The same for that region only, from its next deregistration on. */
void fake_verbs_fail_dereg_of(uint32_t rkey, unsigned int times, int error);

/* Without a lock, what is called before each registration and deregistration; NULL: none. */
void fake_verbs_at_reg(void (*call)(void));
void fake_verbs_at_dereg(void (*call)(void));

/* From now on the number of a key that is gone is the next one again. */
void fake_verbs_reuse_keys(void);

/* Regions registered now, in all and that touch a range of addresses. */
unsigned int fake_verbs_live(void);
unsigned int fake_verbs_live_in(const void *addr, size_t length);

/*
 * Registrations in fake_pd that were not inside a lease: must stay 0. What is inside
 * says the fake provider, until the next reset unless a test sets another function.
 * Another domain is of message buffers, which have no lease.
 */
unsigned int fake_verbs_strays(void);
extern bool (*fake_verbs_covers)(const void *addr, size_t length);

/* What a peer does with a key: false if it is dead. Stores @value at @offset. */
bool fake_verbs_write(uint32_t rkey, size_t offset, uint8_t value);

bool fake_qp_fenced(const struct ibv_qp *qp);

/* The same by a queue pair, which may be fenced; and the application makes it anew. */
bool fake_qp_write(const struct ibv_qp *qp, uint32_t rkey, size_t offset, uint8_t value);
void fake_qp_renew(struct ibv_qp *qp);

#endif
