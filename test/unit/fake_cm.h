/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Connections without hardware: the calls of librdmacm, and those of libibverbs
 * that its connections need, of this executable stand in for the libraries'. Who
 * listens in this process can be connected to, by its port, at any address.
 * Thread-safe.
 */
#ifndef MD_TEST_FAKE_CM_H
#define MD_TEST_FAKE_CM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rdma/rdma_cma.h>

/* What can fail. */
enum fake_cm_step {
	FAKE_CM_CHANNEL,
	FAKE_CM_ID,
	FAKE_CM_BIND,
	FAKE_CM_LISTEN,
	FAKE_CM_ADDR,
	FAKE_CM_ROUTE,
	FAKE_CM_COMP_CHANNEL,
	FAKE_CM_CQ,
	FAKE_CM_QP,
	FAKE_CM_NOTIFY,
	FAKE_CM_RECV,
	FAKE_CM_CONNECT,
	FAKE_CM_ACCEPT,
	FAKE_CM_REJECT,
	FAKE_CM_SEND,
	FAKE_CM_POLL,
	FAKE_CM_GET_EVENT,
	FAKE_CM_DISCONNECT,
	FAKE_CM_STEPS,
};

/* Forget what is to fail or held back, and what was counted. */
void fake_cm_reset(void);

/* The next @times calls of a step fail with @error, after @skip that work. */
void fake_cm_fail(enum fake_cm_step step, unsigned int skip, unsigned int times, int error);

/* The next event of type @good is one of type @bad instead. */
void fake_cm_turn_event(enum rdma_cm_event_type good, enum rdma_cm_event_type bad);

/*
 * Events of that type wait, or ESTABLISHED of who accepts: from now on until
 * fake_cm_let().
 */
void fake_cm_hold(enum rdma_cm_event_type type);
void fake_cm_hold_accepted(void);
void fake_cm_let(void);

/* No message arrives; those that do are not said to have. */
void fake_cm_stall(bool stalled);
void fake_cm_hold_sends(bool held);

/* All connections end: with an event for both sides, or by failed messages only. */
void fake_cm_drop(void);
void fake_cm_break(void);

/* Whoever waits for an answer gives up. */
void fake_cm_give_up(void);

/* The device goes: each of its ids is told. */
void fake_cm_remove_device(void);

/* Calls this with the private data of each request, which it may change. */
extern void (*fake_cm_request)(void *data, uint8_t *length);

/* Is called when a notification is asked for, just before it would be given. */
extern void (*fake_cm_notify)(void);

/* How often somebody began to connect; how many are connected now. */
unsigned int fake_cm_tries(void);
unsigned int fake_cm_connected(void);

/* Messages that found no receive posted: must stay 0. */
unsigned int fake_cm_starved(void);

/*
 * Objects that were made and not destroyed; and rules of the manual pages that
 * were broken (an order of destruction, an event not acknowledged), or connections
 * begun without an ACK timeout: must stay 0.
 */
unsigned int fake_cm_live(void);
unsigned int fake_cm_misuses(void);

#endif
