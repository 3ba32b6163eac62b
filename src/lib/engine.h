/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The break engine of one map: a pure state machine.
 *
 * An input and the time go in, a set of actions comes out. No I/O, no clock,
 * no lock, no allocation: the caller ("the driver") serialises the steps of
 * one engine, carries out the actions and feeds their answers back.
 *
 * The driver's part of the contract:
 * - Actions are carried out in the order of their bits, all of them, before
 *   the next input. Four of them are questions, at most one per step, always
 *   the last to be carried out, and each has exactly one answer as an input:
 *     ACQUIRE  -> LEASED, LEASE_BUSY, LEASE_UNFIT or LEASE_REFUSED; or, not to
 *                 the first one, LEASE_PAUSED
 *     REGISTER -> REGISTERED or REG_FAILED; a BREAK or REVOKED that is seen
 *                 while it registers may be fed instead of the answer
 *     DEREG    -> DEREGISTERED or DEREG_FAILED
 *     RELEASE  -> RELEASED or PINNED
 *   Other inputs may come between a question and its answer.
 * - After each step the timer is set to engine.timer (0: none), and when that
 *   time has come, TIMER is fed. A TIMER too early or out of date is harmless.
 * - DONE is fed once for each party that the break waits for, see below.
 * - BREAK and REVOKED come from the current lease only: once RELEASED was fed,
 *   that lease is not read any more.
 */
#ifndef MD_LIB_ENGINE_H
#define MD_LIB_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <mapdirect/mapdirect.h>

enum md__state {
	MD__ACQUIRING,	 /* the lease call is under way, or pausing between two parts */
	MD__REGISTERING, /* leased; regions are being registered */
	MD__LIVE,
	MD__RECALLING, /* gate shut; waits for all parties or the budget */
	MD__DEREG,     /* deregistering, or pausing before the next try */
	MD__RELEASING, /* releasing, or pausing before the next try */
	MD__BACKOFF,   /* no lease; pausing before the next acquire */
	MD__RELEASED,  /* no lease, and none is wanted */
	MD__LOST,
	MD__STATES,
};

enum md__in {
	MD__IN_LEASED,
	MD__IN_LEASE_BUSY,    /* EAGAIN, EEXIST, EBUSY: try again; with @fits */
	MD__IN_LEASE_UNFIT,   /* the file does not fit now, or something is short */
	MD__IN_LEASE_REFUSED, /* any other errno */
	MD__IN_LEASE_PAUSED,  /* there is more to do; with @again */
	MD__IN_REGISTERED,    /* all regions, or there are none */
	MD__IN_REG_FAILED,    /* one at least; DEREG follows and undoes the rest */
	MD__IN_BREAK,	      /* with @broken and @deadline */
	MD__IN_REVOKED,	      /* the kernel shut the lease's mapping */
	MD__IN_RELEASE,	      /* md_release() */
	MD__IN_RESTORE,	      /* md_restore() */
	MD__IN_WANT,	      /* a peer waits for a grant of the map */
	MD__IN_DONE,	      /* with @parties */
	MD__IN_TIMER,
	MD__IN_DEREGISTERED, /* no region of the map is registered */
	MD__IN_DEREG_FAILED, /* one at least still is */
	MD__IN_RELEASED,     /* the lease is over, the range is only reserved */
	MD__IN_PINNED,	     /* foreign pins remain, the lease is held; with @stuck */
	MD__INS,
};

/* Actions, in the order in which they are to be carried out. */
#define MD__DO_SHUT (1U << 0)	  /* shut the gate: EAGAIN */
#define MD__DO_LOSE (1U << 1)	  /* set the gate to ESTALE */
#define MD__DO_OPEN (1U << 2)	  /* open the gate */
#define MD__DO_TELL (1U << 3)	  /* queue MD_EVENT_BREAK, recall all peers */
#define MD__EV_LATE (1U << 4)	  /* queue MD_EVENT_LATE */
#define MD__EV_RELEASED (1U << 5) /* queue MD_EVENT_RELEASED */
#define MD__EV_RESTORED (1U << 6) /* queue MD_EVENT_RESTORED */
#define MD__EV_LOST (1U << 7)	  /* queue MD_EVENT_LOST */
#define MD__DO_FENCE (1U << 8)	  /* queue pairs of whom it still waits for to ERR */
#define MD__DO_ACQUIRE (1U << 9)
#define MD__DO_REGISTER (1U << 10) /* all regions of the map */
#define MD__DO_DEREG (1U << 11)	   /* finish persists, then all regions */
#define MD__DO_RELEASE (1U << 12)  /* give the lease back, reserve the range */
/* The pair of state and input cannot happen; nothing was changed. */
#define MD__DO_COMPLAIN (1U << 13)

/*
 * Whom a break waits for. USES: no use of the map is open; the gate is shut,
 * so once true it stays true. It also holds the restore back, in every state.
 * APP: MD_EVENT_BREAK of this generation was acknowledged (an acknowledgement
 * of an older one is not fed). PEERS: each that was granted something in this
 * generation has said that it is done, or was fenced.
 */
#define MD__PARTY_USES (1U << 0)
#define MD__PARTY_APP (1U << 1)
#define MD__PARTY_PEERS (1U << 2)

/*
 * One input.
 * @what:     which
 * @now:      CLOCK_MONOTONIC in ns, not 0
 * @broken:   BREAK: when the kernel noticed, ns
 * @deadline: BREAK: the kernel's, ns, not before @broken
 * @fits:     LEASE_BUSY: the file was seen to fit
 * @again:    LEASE_PAUSED: when to go on, ns
 * @stuck:    PINNED: it is not pins, and will not go by itself
 * @parties:  DONE: MD__PARTY_* bits
 * @random:   any number: jitter of a pause that this input begins
 */
struct md__input {
	enum md__in what;
	uint64_t now;
	uint64_t broken;
	uint64_t deadline;
	uint64_t again;
	bool fits;
	bool stuck;
	unsigned int parties;
	uint32_t random;
};

/* Read @state and @timer; the rest is the engine's own. */
struct md__engine {
	enum md__state state;
	uint64_t timer; /* when to feed TIMER, ns; 0: never */

	uint64_t budget;    /* longest wait in RECALLING, ns */
	uint64_t fit_limit; /* longest try with a file that does not fit, ns */
	bool restore;	    /* MD_MAP_RESTORE */
	bool on_demand;	    /* MD_MAP_ON_DEMAND */

	bool wanted;	      /* lease again once released (or go on acquiring) */
	bool by_choice;	      /* md_release() ended the lease: peers are not heard */
	bool shown;	      /* the application has seen this generation live */
	bool started;	      /* it has seen any generation live */
	bool revoked;	      /* this break ended in MD__IN_REVOKED */
	bool late;	      /* this break had its LATE */
	unsigned int waiting; /* MD__PARTY_* bits not DONE yet */
	uint64_t deadline;    /* earliest of this break, UINT64_MAX: none */
	uint64_t late_at;     /* a quarter of the deadline's time is left */
	uint64_t live_since;
	uint64_t unfit_since; /* since then it did not fit in this restore, or 0 */
	uint64_t retry;	      /* last pause in DEREG or RELEASING, 0: none yet */
	uint64_t pause;	      /* last pause in BACKOFF without jitter, 0: none */
};

/**
 * md__engine_start - begin with the first acquire
 * @e:          filled in
 * @restore:    MD_MAP_RESTORE
 * @on_demand:  MD_MAP_ON_DEMAND
 * @budget_ns:  drain budget
 * @fit_limit_ns: restore limit
 *
 * Returns the first actions: MD__DO_ACQUIRE. If this first acquire does not
 * lead to LIVE, the engine ends in LOST without an event (md_map() fails).
 */
unsigned int md__engine_start(struct md__engine *e, bool restore, bool on_demand,
			      uint64_t budget_ns, uint64_t fit_limit_ns);

/**
 * md__engine_step - take one input
 * @e:  the engine
 * @in: the input
 *
 * Returns MD__DO_* and MD__EV_* bits; @e->state and @e->timer are up to date.
 */
unsigned int md__engine_step(struct md__engine *e, const struct md__input *in);

/**
 * md__engine_public - the state as md_map_state() shows it
 * @e: the engine
 *
 * A lease that was never seen live is not shown: while it is taken or undone
 * the map is RELEASED.
 */
enum md_map_state md__engine_public(const struct md__engine *e);

/* Names, for messages and tests; "unknown" for a value without a name. */
const char *md__engine_state_str(enum md__state state);
const char *md__engine_in_str(enum md__in in);

#endif
