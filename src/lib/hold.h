/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The peer's side of one grant: may it be used, and what is the holder to be
 * told? Pure: an input goes in; what to do with the guard, what to tell the
 * application and what is due to the holder come out.
 *
 * The peer answers, and sends nothing again: the holder asks again until it has
 * the answer. What is at or below the barrier is dead, in whatever order the
 * messages come.
 */
#ifndef MD_LIB_HOLD_H
#define MD_LIB_HOLD_H

#include <stdbool.h>
#include <stdint.h>

enum md__hold_state {
	MD__HOLD_NONE,	   /* recalled and drained, or not granted yet */
	MD__HOLD_VALID,	   /* may be used */
	MD__HOLD_DRAINING, /* recalled; uses may be open */
	MD__HOLD_LOST,	   /* never again */
	MD__HOLD_STATES,
};

enum md__hold_in {
	MD__HOLD_IN_GRANT,   /* with @generation */
	MD__HOLD_IN_RECALL,  /* with @generation (the barrier), @id and @final */
	MD__HOLD_IN_FENCED,  /* the same */
	MD__HOLD_IN_DRAINED, /* no use is open; the gate is shut */
	MD__HOLD_IN_RELEASE, /* no use is open, and there will be none */
	MD__HOLD_IN_OPEN,    /* the link is open again */
	MD__HOLD_IN_LOST,    /* the session is over */
	MD__HOLD_INS,
};

/* What is to be done at once, in this order. */
#define MD__HOLD_SHUT (1U << 0) /* let no new use in */
#define MD__HOLD_LOSE (1U << 1) /* the same, for good */
#define MD__HOLD_TAKE (1U << 2) /* address, key and name of the grant */
#define MD__HOLD_OPEN (1U << 3) /* let uses in */
#define MD__HOLD_TELL_GRANTED (1U << 4)
#define MD__HOLD_TELL_RECALLED (1U << 5)
#define MD__HOLD_TELL_FENCED (1U << 6)
#define MD__HOLD_TELL_LOST (1U << 7)
#define MD__HOLD_WRONG (1U << 8) /* no holder may send that: nothing was changed */

/* Messages that are due. */
#define MD__HOLD_SEND_GRANT_ACK (1U << 0)
#define MD__HOLD_SEND_ACK (1U << 1)
#define MD__HOLD_SEND_DONE (1U << 2)
#define MD__HOLD_SEND_FENCED_ACK (1U << 3)
#define MD__HOLD_SEND_RELEASE (1U << 4)

struct md__hold_input {
	enum md__hold_in what;
	uint64_t generation;
	uint64_t id;
	bool final;
};

struct md__hold {
	enum md__hold_state state;
	uint64_t generation; /* of the last grant that was taken */
	uint64_t barrier;
	uint64_t id;	  /* of the last recall */
	bool fenced;	  /* that recall was over before we were done */
	bool final;	  /* there will be no other grant */
	unsigned int due; /* MD__HOLD_SEND_* */
};

/* Zeroes are the state before the first GRANT. Returns MD__HOLD_* actions. */
unsigned int md__hold_step(struct md__hold *h, const struct md__hold_input *in);

const char *md__hold_state_str(enum md__hold_state state);

#endif
