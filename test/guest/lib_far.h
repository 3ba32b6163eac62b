/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Peers on the other machine of a pair, for cases that are written for peers of this one. */
#ifndef MD_TEST_GUEST_LIB_FAR_H
#define MD_TEST_GUEST_LIB_FAR_H

#include "lib_peer.h"

/* Is there another machine that has the peers? */
bool lib_far_wanted(void);

/* Here: stands in for the peer's process, and keeps what is shared the same on both. */
void lib_far_stand_in(void *peer);

/* There: runs a peer for each that is started here, and does not return. */
void lib_far_serve(void) __attribute__((noreturn));

#endif
