/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The holder's side of one grant: what the peer was told of it, and what it has
 * answered. Pure: inputs and the time go in, what is due comes out.
 *
 * What is due is sent again until it is answered; the peer sends nothing again.
 */
#ifndef MD_LIB_OFFER_H
#define MD_LIB_OFFER_H

#include <stdbool.h>
#include <stdint.h>

enum md__offer_state {
	MD__OFFER_IDLE,	    /* the peer has nothing, and knows it */
	MD__OFFER_DUE,	    /* GRANT is to be sent */
	MD__OFFER_GRANTED,  /* GRANT was sent: from here on it has to be recalled */
	MD__OFFER_RECALLED, /* RECALL is sent until DONE comes */
	MD__OFFER_FENCED,   /* not waited for; FENCED is sent until it is acknowledged */
	MD__OFFER_STATES,
};

enum md__offer_in {
	MD__OFFER_IN_OFFER,  /* with @generation: the region is registered */
	MD__OFFER_IN_RECALL, /* stop it; with @final */
	MD__OFFER_IN_FENCE,  /* the time is over, or the peer broke the rules */
	MD__OFFER_IN_SENT,   /* what was due was handed to the connection */
	MD__OFFER_IN_GRANT_ACK,
	MD__OFFER_IN_ACK,  /* RECALL_ACK */
	MD__OFFER_IN_DONE, /* RECALL_DONE */
	MD__OFFER_IN_FENCED_ACK,
	MD__OFFER_IN_GONE, /* the session is over in peace: the peer is done */
	MD__OFFER_IN_OPEN, /* the link is open again */
	MD__OFFER_IN_TIMER,
	MD__OFFER_INS,
};

/* What is to be sent, at most one of them. */
#define MD__OFFER_SEND_GRANT (1U << 0)
#define MD__OFFER_SEND_RECALL (1U << 1)
#define MD__OFFER_SEND_FENCED (1U << 2)

struct md__offer_input {
	enum md__offer_in what;
	uint64_t now;
	uint64_t generation; /* OFFER; of answers: as they say */
	uint64_t id;	     /* of answers: as they say */
	bool final;	     /* RECALL: nothing will be offered any more */
};

struct md__offer {
	enum md__offer_state state;
	uint64_t generation; /* the last that was offered */
	uint64_t next;	     /* FENCED: to be offered once that is acknowledged, or 0 */
	uint64_t id;	     /* of the last recall; they rise */
	bool known;	     /* the peer has heard of the region, or may have */
	bool held;	     /* the peer has a grant that it has not given back, or may have */
	bool final;	     /* nothing is offered any more */
	bool unsaid;	     /* FENCED: that it is final was decided after it was said */
	bool answered;	     /* GRANT_ACK came */
	unsigned int due;    /* MD__OFFER_SEND_* */
	uint64_t again_at;   /* when to send it again, ns; 0: it is due, or need not be */
	uint64_t pause;	     /* until then, ns */

	/* Of the last recall, ns; 0: not reached. */
	uint64_t told, acked, done, fenced;
};

/* Zeroes are the state before the first OFFER. */

void md__offer_step(struct md__offer *o, const struct md__offer_input *in);

/* Does a break not wait for this peer (any more)? */
bool md__offer_is_over(const struct md__offer *o);

/* Has the peer a grant of this generation, and has not given it up? */
bool md__offer_is_held(const struct md__offer *o, uint64_t generation);

const char *md__offer_state_str(enum md__offer_state state);

#endif
