/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A recall: the break engine (src/lib/engine.c), the grants of one map, and the
 * peers that hold them. Each peer has one session and one region; test/model/run.sh
 * has the searches. What is modelled:
 *
 * engine	its states, and who moves from which to which
 * grant	NONE (not sent in this generation), GRANTED (sent), RECALLED, DONE,
 *		FENCED (queue pairs in ERR, until FENCED_ACK)
 * peer		a barrier, the generation that it may use, one use, and, with FAULTS,
 *		the answers that wait for the end of it
 * channel	a set of generations for each kind of message and direction: what is
 *		in it may arrive at any time and in any order. Without FAULTS nothing
 *		is ever taken out: a message is then delayed, repeated or (never
 *		arriving) lost without limit, and need not be sent again. With FAULTS
 *		it is taken out as it arrives, but for that many that are repeated or
 *		lost, and lost ones are sent again.
 * DEATHS	as many peers crash or hang. A crashed peer that comes back is another
 *		session, so the old one is only silent. For a rule about what may
 *		not happen, a peer that takes no steps is already among the runs.
 *
 * What is not:
 * - Time. A budget may be over as soon as RECALLING begins; a deadline that moves
 *   changes nothing.
 * - USES and APP. In RECALLING they only delay the engine, which may take any time
 *   for a step; so do pauses, and tries that fail.
 * - Who wants the lease: that is by chance. There are GENS generations, counted
 *   when live; then the map is RELEASED or LOST.
 * - RECALL_ACK, which decides nothing. Loss of a connection is loss of messages.
 * - The fence takes hold at once, and FENCED_ACK stands for new queue pairs.
 * - Uses in number: a peer takes a grant only while it has no use, so all that it
 *   has are of one generation, and one stands for them.
 *
 * What must hold, by the assertions rule(N, ...), end states and ltl:
 * 1	A peer that is not fenced posts nothing, and has nothing under way, but with
 *	the generation that is registered: at a post, when DEREG begins, and when a
 *	fence ends.
 * 2	When DEREG begins, each grant is DONE or FENCED, or was never sent.
 * 3	No deadlock: the engine stops in LIVE, RELEASED and LOST only (end labels).
 * 4	ends: RECALLING is followed by BACKOFF, RELEASED or LOST, whoever is dead.
 * 5	No GRANT is sent while a FENCED is not answered; no use is at or below the
 *	barrier, or of a grant younger than the fence; no grant goes back.
 * 6	restores: if the map stays live, each peer comes to have the generation.
 * 4 and 6 are under weak fairness: a process that can go on does so in the end.
 *
 * Mistakes that can be built in, to see that they are found:
 * EARLY_DEREG	regions go before DONE
 * GRANT_FENCED	GRANT before FENCED_ACK
 * STALE_DONE, STALE_FENCED_ACK	the answer to an earlier recall or fence counts
 * DONE_UNFENCES	a DONE that comes after the fence ends it
 * MARK_LATE	a grant is GRANTED after GRANT was sent, not before
 * NO_BUDGET, NO_RESEND, NO_GRANT_RESEND, NO_FENCED_RESEND	as they say
 * NO_BARRIER	the peer takes a GRANT at or below its barrier
 * NO_TOMBSTONE	RECALL of a region that is not known is answered, but not kept
 * EARLY_DONE, EARLY_FENCED_ACK	answered while a use is under way
 * FORGET	a peer that has lost its memory goes on in the same session
 */
#ifndef GENS
#define GENS 3
#endif
#ifndef PEERS
#define PEERS 2
#endif
#ifndef PROP
#define PROP 0
#endif
#ifndef REACH
#define REACH 0
#endif

/* PROP: the one rule to look at, 0 for all; REACH: the place to get to, 0 for none. */
#define rule(n, what) assert((PROP != 0 && PROP != n) || (what))
#define seen(n) assert(REACH != n)

#define a_post 1
#define a_late_grant 2
#define a_use_in_recall 3
#define a_use_in_fence 4
#define a_break_while_registering 5
#define a_second_break 6
#define a_break_after_dereg 7
#define all_done_before_budget 8
#define a_fence 9
#define a_fence_answered 10
#define a_post_after_fence 11
#define a_live_beside_fenced 12
#define a_stale_done 13
#define a_stale_fenced_ack 14
#define a_duplicate 15
#define a_loss 16
#define a_dead_peer_fenced 17

#if PEERS == 2
#define all(what) (what(0) && what(1))
#define each(what) what(0); what(1)
#else
#define all(what) what(0)
#define each(what) what(0)
#endif

mtype = { ACQUIRING, REGISTERING, LIVE, RECALLING, DEREG, RELEASING, BACKOFF, RELEASED, LOST };
mtype = { NONE, GRANTED, RECALLED, DONE, FENCED };

/* The holder. */
mtype state = ACQUIRING;
byte gen; /* the last that was live */
mtype grant[PEERS] = NONE;
byte fenced_at[PEERS]; /* while FENCED: the generation that was recalled */
#ifdef FAULTS
bool acked[PEERS]; /* GRANT_ACK of this generation came */
#endif

/* The peers. */
byte barrier[PEERS];
byte current[PEERS]; /* generation that may be used, or 0 */
byte used[PEERS];    /* generation of the work request under way, or 0 */
#ifdef FAULTS
byte owed[PEERS];	 /* DONE of this generation waits for the use, or 0 */
byte owed_fenced[PEERS]; /* FENCED_ACK likewise */
#endif
#ifdef DEATHS
bool dead[PEERS];
byte deaths = DEATHS;
#define alive(i) !dead[i]
#else
#define alive(i) true
#endif

/* The channel: for each kind of message, a set of generations. */
byte m_grant[PEERS], m_recall[PEERS], m_fenced[PEERS]; /* to the peer */
byte m_done[PEERS], m_fenced_ack[PEERS];	       /* to the holder */
#ifdef FAULTS
byte m_grant_ack[PEERS];
byte faults = FAULTS;
#endif

#define bit(g) (1 << (g))
#define has(set, g) ((set) & bit(g))

inline send(set, g)
{
	set = set | bit(g)
}

/* g = a generation of the set, or 0 if the message is lost. */
inline receive(set)
{
	if
	:: has(set, 1) -> g = 1
	:: has(set, 2) -> g = 2
	:: has(set, 3) -> g = 3
	fi
#ifdef FAULTS
	;
	if
	:: set = set & ~bit(g)
	:: faults -> faults--; seen(a_duplicate)
	:: faults -> faults--; seen(a_loss); set = set & ~bit(g); g = 0
	fi
#endif
}

/* ---- what must hold -------------------------------------------------- */

/* The generation whose region is registered, or 0. */
#define registered (state == LIVE || state == RECALLING -> gen : 0)
#define no_stray(i) (grant[i] == FENCED || !used[i] || used[i] == registered)
#define settled(i) (grant[i] == NONE || grant[i] == DONE || grant[i] == FENCED)
#define at_rest(i) (grant[i] == FENCED || !used[i])
#ifdef FAULTS
#define was_sent(i) false
#define fence_open(i) false
#else /* what was sent stays to be seen */
#define was_sent(i) has(m_grant[i], gen)
#define fence_open(i) (m_fenced[i] & ~m_fenced_ack[i])
#endif

inline check_drained(i)
{
	rule(1, at_rest(i));
	rule(2, settled(i));
	rule(2, grant[i] != NONE || !was_sent(i))
}

/* ---- the engine ------------------------------------------------------ */

inline renew(i)
{
	if
	:: grant[i] != FENCED -> grant[i] = NONE
	:: else
	fi
#ifdef FAULTS
	;
	acked[i] = false
#endif
}

inline fence(i)
{
	if
	:: settled(i)
	:: else ->
		seen(a_fence);
#ifdef DEATHS
		assert(REACH != a_dead_peer_fenced || !dead[i]);
#endif
		grant[i] = FENCED;
		fenced_at[i] = gen;
		send(m_fenced[i], gen)
	fi
}

/* The first region may be gone as soon as DEREG is entered. */
inline deregister()
{
	each(check_drained);
	state = DEREG
}

active proctype engine()
{
acquiring:
	atomic {
		if
		:: state = REGISTERING; goto registering
		:: state = BACKOFF; goto backoff
		:: state = RELEASED; goto end_released
		:: state = LOST; goto end_lost
		fi
	}
registering:
	atomic {
		if
		:: gen++; each(renew); state = LIVE; goto live
		/* BREAK, REVOKED, REG_FAILED, or no lease is wanted any more */
		:: seen(a_break_while_registering); state = DEREG; goto dereg
		fi
	}
live:
	atomic {
		if
		:: state = RECALLING; goto recalling /* BREAK, RELEASE */
		:: each(fence); deregister(); goto dereg /* REVOKED */
		:: goto end_live /* no break comes any more */
		fi
	}
recalling:
	atomic {
		if
#ifdef EARLY_DEREG
		:: deregister(); goto dereg
#endif
		:: all(settled) ->
			assert(REACH != all_done_before_budget ||
			       grant[0] != DONE || grant[PEERS - 1] != DONE);
			deregister(); goto dereg
#ifndef NO_BUDGET
		:: each(fence); deregister(); goto dereg /* TIMER, REVOKED */
#endif
		fi
	}
dereg:
	state = RELEASING;
	atomic {
		if
		:: gen < GENS -> state = BACKOFF; goto backoff
		:: state = RELEASED; goto end_released
		:: state = LOST; goto end_lost
		fi
	}
backoff:
	atomic {
		if
		:: state = ACQUIRING; goto acquiring
		:: state = RELEASED; goto end_released
		fi
	}
end_released:
	atomic {
		gen < GENS -> state = BACKOFF; goto backoff /* RESTORE */
	}
end_lost:
end_live:
	false
}

#if !defined(FAULTS) && !defined(CLAIM)
/* A break while one is under way changes nothing but the deadline. */
active proctype second_break()
{
end:
	do
	:: state == RECALLING -> seen(a_second_break)
	:: state == DEREG || state == RELEASING -> seen(a_break_after_dereg)
	od
}
#endif

/* ---- the holder's side of a session ---------------------------------- */

proctype sender(byte i)
{
end:
	do
#ifdef MARK_LATE
	:: atomic {
		state == LIVE && grant[i] == NONE ->
		send(m_grant[i], gen); goto mark
	}
#else
	:: atomic {
		state == LIVE && grant[i] == NONE ->
		rule(5, !fence_open(i));
		grant[i] = GRANTED; send(m_grant[i], gen)
	}
#endif
#ifdef GRANT_FENCED
	:: atomic {
		state == LIVE && grant[i] == FENCED ->
		rule(5, !fence_open(i));
		grant[i] = GRANTED; fenced_at[i] = 0; send(m_grant[i], gen)
	}
#endif
	:: atomic {
		state == RECALLING && grant[i] == GRANTED ->
		grant[i] = RECALLED; send(m_recall[i], gen)
	}
#ifdef FAULTS /* else there is nothing to send again */
#ifndef NO_GRANT_RESEND
	:: atomic {
		state == LIVE && grant[i] == GRANTED && !acked[i] && !has(m_grant[i], gen) ->
		send(m_grant[i], gen)
	}
#endif
#ifndef NO_RESEND
	:: atomic {
		state == RECALLING && grant[i] == RECALLED && !has(m_recall[i], gen) ->
		send(m_recall[i], gen)
	}
#endif
#ifndef NO_FENCED_RESEND
	:: atomic {
		grant[i] == FENCED && !has(m_fenced[i], fenced_at[i]) ->
		send(m_fenced[i], fenced_at[i])
	}
#endif
#endif
	od;
#ifdef MARK_LATE
mark:
	atomic { grant[i] = GRANTED; goto end }
#endif
}

proctype receiver(byte i)
{
	byte g;

end:
	do
	:: atomic {
		m_done[i] -> receive(m_done[i]);
		if
		:: g && g == gen && grant[i] == RECALLED -> grant[i] = DONE
		:: g && g != gen && grant[i] == RECALLED ->
			seen(a_stale_done)
#ifdef STALE_DONE
			; grant[i] = DONE
#endif
#ifdef DONE_UNFENCES
		:: g && g == gen && grant[i] == FENCED -> grant[i] = DONE; fenced_at[i] = 0
#endif
		:: else
		fi;
		g = 0
	}
	:: atomic {
		m_fenced_ack[i] -> receive(m_fenced_ack[i]);
		if
		:: g && grant[i] == FENCED && g != fenced_at[i] ->
			seen(a_stale_fenced_ack)
#ifdef STALE_FENCED_ACK
			; grant[i] = NONE; fenced_at[i] = 0
#endif
		:: g && grant[i] == FENCED && g == fenced_at[i] ->
			seen(a_fence_answered);
			grant[i] = (state == LIVE && gen != fenced_at[i] -> NONE : DONE);
			fenced_at[i] = 0;
			rule(1, no_stray(i))
		:: else
		fi;
		g = 0
	}
#ifdef FAULTS
	:: atomic {
		m_grant_ack[i] -> receive(m_grant_ack[i]);
		if
		:: g && g == gen -> acked[i] = true
		:: else
		fi;
		g = 0
	}
#endif
	od
}

/* ---- a peer ---------------------------------------------------------- */

inline raise_barrier()
{
	if
	:: barrier[i] < g -> barrier[i] = g
	:: else
	fi;
	if
	:: current[i] <= barrier[i] -> current[i] = 0
	:: else
	fi
}

inline forget()
{
	barrier[i] = 0; current[i] = 0; used[i] = 0
#ifdef FAULTS
	;
	owed[i] = 0; owed_fenced[i] = 0
#endif
}

/* Uses of a later generation do not keep an answer back. */
#define drained (!used[i] || used[i] > g)

proctype listener(byte i)
{
	byte g;

end:
	do
	:: atomic {
		m_grant[i] && alive(i) -> receive(m_grant[i]);
		if
		:: g && g <= barrier[i] ->
			seen(a_late_grant)
#ifdef NO_BARRIER
			;
			if
			:: !used[i] -> current[i] = g
			:: else
			fi
#endif
		:: g > barrier[i] && g != current[i] && !used[i] ->
			rule(5, g > current[i]);
			current[i] = g
#ifdef FAULTS
			;
			send(m_grant_ack[i], g)
		:: g > barrier[i] && g == current[i] -> send(m_grant_ack[i], g)
#endif
		:: else
		fi;
		g = 0
	}
	:: atomic {
		m_recall[i] && alive(i) -> receive(m_recall[i]);
		if
		:: g ->
#ifdef NO_TOMBSTONE
			if
			:: barrier[i] || current[i] -> raise_barrier()
			:: else
			fi;
#else
			raise_barrier();
#endif
			if
#ifdef EARLY_DONE
			:: !drained -> send(m_done[i], g)
#endif
			:: drained -> send(m_done[i], g)
			:: !drained ->
				seen(a_use_in_recall)
#ifdef FAULTS
				;
				owed[i] = (owed[i] < g -> g : owed[i])
#endif
			fi
		:: else
		fi;
		g = 0
	}
	:: atomic {
		m_fenced[i] && alive(i) -> receive(m_fenced[i]);
		if
		:: g ->
			raise_barrier();
			if
#ifdef EARLY_FENCED_ACK
			:: !drained -> send(m_fenced_ack[i], g)
#endif
			:: drained -> send(m_fenced_ack[i], g)
			:: !drained ->
				seen(a_use_in_fence)
#ifdef FAULTS
				;
				owed_fenced[i] = (owed_fenced[i] < g -> g : owed_fenced[i])
#endif
			fi
		:: else
		fi;
		g = 0
	}
	od
}

proctype user(byte i)
{
end:
	do
	:: atomic {
		current[i] && !used[i] && alive(i) ->
		used[i] = current[i];
		rule(1, no_stray(i));
		rule(5, used[i] > barrier[i]);
		rule(5, grant[i] != FENCED || used[i] <= fenced_at[i]);
		seen(a_post);
		assert(REACH != a_post_after_fence || m_fenced_ack[i] == 0 ||
		       bit(used[i]) < m_fenced_ack[i]);
		assert(REACH != a_live_beside_fenced || used[i] != GENS ||
		       grant[PEERS - 1 - i] != FENCED)
	}
	:: atomic {
		used[i] && alive(i) -> used[i] = 0
	}
#ifdef FAULTS
	:: atomic {
		owed[i] && !used[i] && alive(i) ->
		send(m_done[i], owed[i]); owed[i] = 0
	}
	:: atomic {
		owed_fenced[i] && !used[i] && alive(i) ->
		send(m_fenced_ack[i], owed_fenced[i]); owed_fenced[i] = 0
	}
#endif
#ifdef FORGET
	:: atomic {
		alive(i) -> forget()
	}
#endif
#ifdef DEATHS
	:: atomic {
		deaths && alive(i) ->
		deaths--; dead[i] = true;
		if
		:: forget() /* it crashes */
		:: skip	    /* it hangs */
		fi
	}
#endif
	od
}

#define start(i) run sender(i); run receiver(i); run listener(i); run user(i)

init
{
	atomic {
		each(start)
	}
}

#ifdef CLAIM
/* A run that has come to rest goes on for ever: pan -f looks at no other. */
active proctype idle()
{
	do
	:: gen <= GENS
	od
}
#endif

/* ---- what must come -------------------------------------------------- */

#define over (state == BACKOFF || state == RELEASED || state == LOST)
#define usable(i) (current[i] == gen)

ltl ends { [] (state == RECALLING -> <> over) }
ltl restores { (<> [] (state == LIVE)) -> (<> [] (all(usable))) }
