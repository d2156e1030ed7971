/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * region.pml - blocking regions, with BLOCKING a set of mutators, and threads without a slot, with
 * SLOTLESS a set of mutators
 *
 * A thread in a blocking region is scanned by the agent, which claims it for that time.  Its first local
 * stands for a register, which the agent sees only as the thread has saved it; the others for words of
 * its stack.
 *
 *	SAVED	the registers are saved
 *	REGION	in the region: the thread does nothing.  It comes out when it is not claimed; so does a
 *		signal handler of the program that interrupts the region and calls the library
 *
 * A fence by signals does not reach a thread in a region: going in and coming out are fences.
 *
 * A thread without a slot is not in the list.  It has no flags: each of its stores takes the list lock,
 * reads the phase, and shades into the buffer that all such threads share.  The agent has the lock
 * through H1, the waits of H3, and H4.  It is scanned as a thread that the library does not know.
 */

#define IS_BLOCKING(m) ((BLOCKING >> (m)) & 1)
#define IS_SLOTLESS(m) ((SLOTLESS >> (m)) & 1)

#if BLOCKING
#define B_OUT 0
#define B_IN 1
#define B_HELD 2

byte blocked[MUTATORS];
byte saved[MUTATORS];		/* the register */

mtype = { SAVED, REGION };

#ifdef MUTANT_UNBLOCK_NO_WAIT
#define MAY_LEAVE(m) true
#else
#define MAY_LEAVE(m) (blocked[m] == B_IN)
#endif

#define FENCED(t) (blocked[t] == B_OUT)

/* Steps of a mutator. */
#ifdef MUTANT_BLOCK_SAVES_LATE
#define REGION_STEPS(m)							\
	:: atomic {							\
		RUNS && IS_BLOCKING(m) ->				\
		drain(m);						\
		blocked[m] = B_IN;					\
		at = SAVED						\
	}								\
	:: atomic {							\
		at == SAVED ->						\
		saved[m] = LOC(m, 0);					\
		at = REGION						\
	}								\
	COME_OUT(m)
#else
#ifdef MUTANT_BLOCK_NO_FENCE
#define ENTER_FENCE(m) skip
#else
#define ENTER_FENCE(m) drain(m)
#endif
#define REGION_STEPS(m)							\
	:: atomic {							\
		RUNS && IS_BLOCKING(m) ->				\
		saved[m] = LOC(m, 0);					\
		at = SAVED						\
	}								\
	:: atomic {							\
		at == SAVED ->						\
		ENTER_FENCE(m);						\
		blocked[m] = B_IN;					\
		at = REGION						\
	}								\
	COME_OUT(m)
#endif

/* A handler that does not end the region leaves the word as it is, and the thread acts. */
#ifdef MUTANT_HANDLER_STAYS
#define COME_OUT(m)							\
	:: atomic { at == REGION -> at = IDLE }
#else
#define COME_OUT(m)							\
	:: atomic {							\
		at == REGION && MAY_LEAVE(m) ->				\
		drain(m);						\
		blocked[m] = B_OUT;					\
		saved[m] = 0;						\
		at = IDLE						\
	}
#endif

/* Steps of the agent, in H2: claim, read one word after the other, let go. */
#ifdef MUTANT_BLOCK_NOT_HELD
#define CLAIM_REGION(t) skip
#else
#define CLAIM_REGION(t) blocked[t] = B_HELD
#endif

#define REGION_WORD(m, l) ((l) -> LOC(m, l) : saved[m])

#define SCAN_REGION_STEPS						\
	:: atomic {							\
		!holding && todo ->					\
		if							\
		:: (todo & 1) && blocked[0] == B_IN -> holding = 1	\
		:: (todo & 2) && blocked[1 % MUTATORS] == B_IN -> holding = 2	\
		fi;							\
		CLAIM_REGION(holding - 1)				\
	}								\
	:: atomic {							\
		holding ->						\
		if							\
		:: MATTERS(REGION_WORD(holding - 1, word_at)) ->	\
			queue = queue | BIT(REGION_WORD(holding - 1, word_at)) \
		:: else							\
		fi;							\
		word_at++;						\
		if							\
		:: word_at == NLOC ->					\
			word_at = 0;					\
			todo = todo & ~BIT(holding - 1);		\
			if						\
			:: blocked[holding - 1] == B_HELD ->		\
				blocked[holding - 1] = B_IN		\
			:: else						\
			fi;						\
			holding = 0					\
		:: else							\
		fi							\
	}

#define MAY_SIGNAL(t) (blocked[t] == B_OUT && holding != (t) + 1)
#else
#define FENCED(t) true
#define MAY_SIGNAL(t) true
#endif

#if SLOTLESS
bit common_in;			/* the list lock: such a thread has it */
bit agent_in;			/* the agent has it */

#ifdef MUTANT_COMMON_UNLOCKED
#define MAY_CALL(m) true
#define CALLED(m) skip
#else
#define MAY_CALL(m) (!IS_SLOTLESS(m) || (!agent_in && !common_in))
#define CALLED(m)							\
	if								\
	:: IS_SLOTLESS(m) -> drain(m); common_in = 1			\
	:: else								\
	fi
#endif
#define RETURNED(m)							\
	if								\
	:: IS_SLOTLESS(m) -> drain(m); common_in = 0			\
	:: else								\
	fi

#define FLAG_OF(m) (IS_SLOTLESS(m) -> PHASE_ON : on[m])
#ifdef MUTANT_COMMON_PLAIN
#define SHADES(m) (!IS_SLOTLESS(m))
#else
#define SHADES(m) true
#endif
/* Within an atomic step. */
#define AGENT_LOCKS !common_in; agent_in = 1;
#define AGENT_UNLOCKS agent_in = 0;
#else
#define MAY_CALL(m) true
#define CALLED(m) skip
#define RETURNED(m) skip
#define FLAG_OF(m) on[m]
#define SHADES(m) true
#define AGENT_LOCKS
#define AGENT_UNLOCKS
#endif

#ifdef MUTANT_UNKNOWN_NO_SCAN
#define UNKNOWN 0
#else
#define UNKNOWN SLOTLESS
#endif
#ifdef MUTANT_COMMON_NO_READ
#define SHARED_BUFFERS 0
#else
#define SHARED_BUFFERS SLOTLESS
#endif
