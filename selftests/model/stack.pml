/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stack.pml - stacks that threads switch between, with STACKS=n
 *
 * Without it a thread's locals stand for its registers and its stack.  With it they are its registers,
 * which go with the thread, and each stack has a frame of one word, which stays.  The thread on a stack
 * loads and stores the word as it likes, without a barrier.  Stack m is the one that mutator m begins on,
 * and no other one takes; the rest are coroutines', to which any thread may switch if nobody runs there.
 *
 * Being scanned belongs to the stack: a stack that nobody runs on is SUSPENDED, or SCANNED in this cycle,
 * or CLAIMED while the agent reads it.  Of a RUNNING one it belongs to the thread (@answered).
 *
 *	CALL	in-library word on (as for stores)
 *	SW_FLAG	read the barrier flag
 *	SW_FAST	it was off: change the two words
 *	SW_TAKE	it was on: make the new stack RUNNING, by an exchange, whatever the agent does with it
 *	SW_SCAN	a thread that has answered scans it, if nobody has
 *	SW_LEFT	the old stack: scanned, if the thread has answered
 *
 * Nobody runs on a stack that is unregistered, and its last owner has read what is on it: US_TAKE and
 * US_SCAN.  After that it is another stack, empty.
 */

#define RUNNING 0
#define SUSPENDED 1
#define CLAIMED 2
#define SCANNED 3

byte frame[STACKS];		/* what is on it */
byte state[STACKS];
byte current[MUTATORS];		/* the stack that the thread runs on */
bit answered[MUTATORS];		/* the thread, and the stack that it runs on, in this cycle */
bit owned[STACKS];		/* somebody is about to unregister it: nobody switches to it */

mtype = { SW_FLAG, SW_FAST, SW_TAKE, SW_SCAN, SW_LEFT, US_FLAG, US_TAKE, US_SCAN };

#ifdef MUTANT_STACK_TRUST_CLAIM
#define NEEDS_SCAN(s) ((s) == SUSPENDED)
#else
#define NEEDS_SCAN(s) ((s) != SCANNED)
#endif

#ifdef MUTANT_STACK_KEEPS_COLOUR
#define LEFT_AS(m) SCANNED
#else
#define LEFT_AS(m) (answered[m] -> SCANNED : SUSPENDED)
#endif

/* The stack that a thread was started on is no other thread's. */
#define MAY_TAKE(m, s) (((s) >= MUTATORS || (s) == (m)) && state[s] != RUNNING && !owned[s])

inline any_suspended(m, s)
{
	if
	:: MAY_TAKE(m, 0) -> s = 0
#if STACKS > 1
	:: MAY_TAKE(m, 1) -> s = 1
#endif
#if STACKS > 2
	:: MAY_TAKE(m, 2) -> s = 2
#endif
	fi
}

/* Steps of a mutator; @to and @was are its own. */
#define STACK_STEPS(m)							\
	:: atomic {							\
		RUNS ->							\
		value = frame[current[m]];				\
		set_local(m, value);					\
		value = 0						\
	}								\
	:: atomic { RUNS && LOC(m, 0) -> frame[current[m]] = LOC(m, 0) } \
	:: atomic { RUNS -> frame[current[m]] = 0 }			\
	:: atomic {							\
		RUNS ->							\
		any_suspended(m, to);					\
		put(m, SB_INLIB, 1);					\
		owned[to] = 1;						\
		at = SW_FLAG						\
	}								\
	:: atomic { at == SW_FLAG -> at = (on[m] -> SW_TAKE : SW_FAST) } \
	:: atomic {							\
		at == SW_FAST ->					\
		drain(m);						\
		state[to] = RUNNING;					\
		state[current[m]] = SUSPENDED;				\
		end_switch(m)						\
	}								\
	:: atomic {							\
		at == SW_TAKE ->					\
		drain(m);						\
		was = state[to];					\
		state[to] = RUNNING;					\
		at = SW_SCAN						\
	}								\
	:: atomic {							\
		at == SW_SCAN ->					\
		scan_switched(m);					\
		was = 0;						\
		at = SW_LEFT						\
	}								\
	:: atomic {							\
		at == SW_LEFT ->					\
		state[current[m]] = LEFT_AS(m);				\
		end_switch(m)						\
	}

#if UNREGISTER
#define UNREGISTER_STEPS(m)						\
	:: atomic {							\
		RUNS ->							\
		any_suspended(m, to);					\
		owned[to] = 1;						\
		set_local(m, frame[to]);				\
		put(m, SB_INLIB, 1);					\
		at = US_FLAG						\
	}								\
	:: atomic { at == US_FLAG -> at = US_TAKE }			\
	:: atomic {							\
		at == US_TAKE ->					\
		drain(m);						\
		was = state[to];					\
		state[to] = RUNNING;					\
		at = US_SCAN						\
	}								\
	:: atomic {							\
		at == US_SCAN ->					\
		scan_unregistered(m);					\
		frame[to] = 0;						\
		state[to] = LEFT_AS(m);					\
		was = 0;						\
		owned[to] = 0;						\
		to = 0;							\
		leave(m)						\
	}
#else
#define UNREGISTER_STEPS(m)
#endif

inline end_switch(m)
{
	current[m] = to;
	owned[to] = 0;
	to = 0;
	leave(m)
}

inline scan_switched(m)
{
#ifdef MUTANT_STACK_NO_SCAN
	skip
#else
	if
	:: answered[m] && NEEDS_SCAN(was) -> append(m, frame[to])
	:: else
	fi
#endif
}

/* Also by a thread that has not answered: what it has read may be on the way to one that has. */
inline scan_unregistered(m)
{
#ifdef MUTANT_UNREGISTER_NO_SCAN
	skip
#else
	if
	:: on[m] && was != SCANNED -> append(m, frame[to])
	:: else
	fi
#endif
}

/* ---- the agent --------------------------------------------------------------------------- */

/*
 * After all threads have answered: claim, read, and say so if nobody has taken the stack meanwhile.
 * @stacks: the ones to look at; @claimed: 1 + the one that is being read; @read: it was.
 */
#ifdef MUTANT_STACK_WALK_EARLY
#define MAY_WALK true
#else
#define MAY_WALK (!todo)
#endif

#define WALK_STEPS							\
	:: atomic {							\
		stacks && !claimed && MAY_WALK ->			\
		if							\
		:: stacks & 1 -> claimed = 1				\
		:: stacks & 2 -> claimed = 2				\
		:: stacks & 4 -> claimed = 3				\
		fi;							\
		stacks = stacks & ~BIT(claimed - 1);			\
		if							\
		:: state[claimed - 1] == SUSPENDED ->			\
			state[claimed - 1] = CLAIMED			\
		:: else -> claimed = 0					\
		fi							\
	}								\
	:: atomic {							\
		claimed && !read ->					\
		if							\
		:: MATTERS(frame[claimed - 1]) ->			\
			queue = queue | BIT(frame[claimed - 1])		\
		:: else							\
		fi;							\
		read = 1						\
	}								\
	:: atomic {							\
		read ->							\
		if							\
		:: state[claimed - 1] == CLAIMED ->			\
			state[claimed - 1] = SCANNED			\
		:: else							\
		fi;							\
		claimed = 0;						\
		read = 0						\
	}

#define WALKED (!stacks && !claimed)

/* When no thread is in a switch that began before the barrier was off. */
inline forget_scans()
{
	for (i : 0 .. MUTATORS - 1) {
		answered[i] = 0
	}
	for (i : 0 .. STACKS - 1) {
		if
		:: state[i] == SCANNED -> state[i] = SUSPENDED
		:: else
		fi
	}
	i = 0
}
