/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * shrink.pml - a model of its own (-DSHRINK): stacks whose unused memory the agent gives back
 *
 * Threads switch between stacks, unregister one, use its memory for something else and register it
 * again.  A switch is announced (tri_stack_switch()) and made some time later; in between the
 * thread is still on the stack that it has said it leaves, and may be asked for its scan.  What
 * is scanned is the matter of stack.pml; here it is only who is on a stack, and memory is in order.
 *
 *	state	of a stack, as in coroutine.c
 *	on_it	a thread that was asked was still on the stack that it had left
 *	cur	the stack that a thread has announced last; at: the one that it is on
 *	handed	the program gives a stack to one thread at a time
 *
 * The property: while the agent gives memory of a stack back, no thread is on that stack, and its
 * memory is not used for anything else.
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef STACKS
#define STACKS 3		/* stack m is the one that thread m begins on */
#endif

bit sound = 1;
#define MUST(x) assert((x) || !sound)
#ifndef WITNESS
#define WITNESS 0
#endif

#define FREE 0
#define RUNNING 1
#define SUSPENDED 2
#define CLAIMED 3
#define SCANNED 4
#define SHRINKING 5

byte state[STACKS];
bit on_it[STACKS], handed[STACKS], elsewhere[STACKS];
byte cur[THREADS], at[THREADS];
bit marking, answered[THREADS], inside[THREADS], asked;

#ifdef MUTANT_SHRINK_NO_WAIT
#define MAY_TAKE(s) true
#else
#define MAY_TAKE(s) (state[s] != SHRINKING)
#endif

#ifdef MUTANT_SHRINK_UNREGISTERED
#define MAY_FREE(s) true
#else
#define MAY_FREE(s) (state[s] != SHRINKING)
#endif

inline choose(s)
{
	if
	:: s = 0
	:: s = 1
#if STACKS > 2
	:: s = 2
#endif
#if STACKS > 3
	:: s = 3
#endif
	fi
}

mtype = { OUT, FLAG, FAST, TAKE, LEFT, GOING, USED };

proctype Thread(byte m)
{
	mtype pc = OUT;
	byte to;

end:
	do
	/* ---- a switch ------------------------------------------------------------------------ */
	:: atomic {
		pc == OUT && cur[m] == at[m] ->
		choose(to);
		if
		:: (to >= THREADS || to == m) && to != cur[m] && !handed[to] &&
		   !elsewhere[to] ->
			handed[to] = 1;
			inside[m] = 1;
			pc = FLAG
		:: else -> to = 0
		fi
	}
	:: atomic { pc == FLAG -> pc = (marking -> TAKE : FAST) }
	:: atomic {
		pc == FAST ->
		state[to] = RUNNING;
		state[cur[m]] = SUSPENDED;
		cur[m] = to;
		inside[m] = 0;
		pc = OUT
	}
	:: atomic {
		pc == TAKE && MAY_TAKE(to) ->
		assert(WITNESS != 2 || state[to] != CLAIMED);
		state[to] = RUNNING;
		pc = LEFT
	}
	:: atomic {
		pc == LEFT ->
		state[cur[m]] = (answered[m] -> SCANNED : SUSPENDED);
		cur[m] = to;
		inside[m] = 0;
		pc = OUT
	}
	/* the switch itself; from then on the program may give the old stack to another thread */
	:: atomic {
		pc == OUT && cur[m] != at[m] ->
		handed[at[m]] = 0;
		at[m] = cur[m];
		to = 0
	}
	/* ---- its scan, when it is outside ---------------------------------------------------- */
	:: atomic {
		asked && !answered[m] && !inside[m] ->
		if
		:: cur[m] != at[m] ->
			on_it[at[m]] = 1;
			assert(WITNESS != 3)
		:: else
		fi;
		answered[m] = 1
	}
	/* ---- a stack goes -------------------------------------------------------------------- */
	:: atomic {
		pc == OUT && cur[m] == at[m] ->
		choose(to);
		if
		:: to >= THREADS && !handed[to] && !elsewhere[to] ->
			handed[to] = 1;
			inside[m] = 1;
			pc = GOING
		:: else -> to = 0
		fi
	}
	:: atomic {
		pc == GOING && MAY_FREE(to) ->
		state[to] = FREE;
		elsewhere[to] = 1;
		inside[m] = 0;
		pc = USED
	}
	:: atomic {
		pc == USED ->
		elsewhere[to] = 0;
		state[to] = (answered[m] -> SCANNED : SUSPENDED);
		handed[to] = 0;
		to = 0;
		pc = OUT
	}
	od
}

#define ALL_OUTSIDE (!inside[0] && (THREADS < 2 || !inside[1]))
#ifdef MUTANT_SHRINK_EARLY
#define ALL_ANSWERED true
#else
#define ALL_ANSWERED (answered[0] && (THREADS < 2 || answered[1]))
#endif
#ifdef MUTANT_SHRINK_LINGERING
#define LINGERS(s) false
#else
#define LINGERS(s) on_it[s]
#endif
#define SOMEBODY_ON(s) (at[0] == (s) || (THREADS > 1 && at[1] == (s)))
#define GIVEN_BACK(s) MUST(!SOMEBODY_ON(s) && !elsewhere[s])

proctype Agent()
{
	byte s;
	bit claimed;

end:
	do
	:: true ->
		atomic { marking = 1; (ALL_OUTSIDE) }	/* H1 */
		asked = 1;
		(ALL_ANSWERED);				/* H2 */
		s = 0;
		do
		:: s < STACKS ->
			atomic {
				if
				:: state[s] == SUSPENDED -> state[s] = CLAIMED; claimed = 1
#ifdef MUTANT_SHRINK_SCANNED
				:: state[s] == SCANNED -> state[s] = CLAIMED; claimed = 1
#endif
				:: else
				fi
			}
			/* it scans the stack, and looks whether it wants to shrink */
			atomic {
				if
#ifdef MUTANT_SHRINK_TRUST_CLAIM
				:: claimed && !LINGERS(s) -> state[s] = SHRINKING
#else
				:: state[s] == CLAIMED && !LINGERS(s) -> state[s] = SHRINKING
#endif
				:: state[s] == CLAIMED -> state[s] = SCANNED; goto next
				:: else -> goto next
				fi
			}
			GIVEN_BACK(s);
			assert(WITNESS != 1);
			GIVEN_BACK(s);
			state[s] = SCANNED;
next:			claimed = 0;
			s++
		:: else -> break
		od;
		/* H4: barriers off, and no thread is in a switch that began while they were on */
		asked = 0;
		atomic { marking = 0; (ALL_OUTSIDE) }
		atomic {
			for (s : 0 .. STACKS - 1) {
				on_it[s] = 0;
				if
				:: state[s] == SCANNED -> state[s] = SUSPENDED
				:: else
				fi
			}
			answered[0] = 0;
			if
			:: THREADS > 1 -> answered[1] = 0
			:: else
			fi;
			s = 0
		}
	od
}

init {
	byte i;

	atomic {
		for (i : 0 .. STACKS - 1) {
			state[i] = SUSPENDED
		}
		for (i : 0 .. THREADS - 1) {
			state[i] = RUNNING;
			handed[i] = 1;
			cur[i] = i;
			at[i] = i;
			run Thread(i)
		}
		run Agent();
		i = 0
	}
}
