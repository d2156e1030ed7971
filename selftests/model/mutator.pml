/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mutator.pml - a thread of the program
 *
 * A thread is a table of steps: in state @at it may do what stands behind `at == …`.  A thread with
 * restartable sequences tests its barrier flag and stores in one step, since the agent's fence and
 * signals restart the sequence; that others see the store later is the store buffer's business.
 * Everything else goes through the library:
 *
 *	CALL    in-library word on
 *	FLAG    read the barrier flag
 *	PLAIN   it was off: store or exchange; leave the library
 *	SWAP    it was on: read what is there, or exchange.  Here the restartable sequence ends up too,
 *	        with the in-library word still off: the test and the first instruction in the library
 *	        are two steps
 *	SWAPPED	store.  That others see it before what is appended next is the order of stores
 *	OLD     append what was there, after handing over the buffer if it is full
 *	VALUE   append what is there now; leave the library
 */

mtype = { IDLE, CALL, FLAG, PLAIN, SWAP, SWAPPED, OLD, PUSHED, VALUE, TAKE, EXIT };
mtype = { STORING, EXCHANGING, CREATING };
#ifdef MUTANT_NO_RESTART
mtype = { TORN };
#endif
#ifdef MUTANT_ATTACH_UNLOCKED
mtype = { ATTACH };
#endif

#define RUNS (at == IDLE && (attached[m] || IS_SLOTLESS(m)))

#if OPS
#define MAY_ACT (RUNS && ops > 0)
#define ACT ops--
#else
#define MAY_ACT RUNS
#define ACT skip
#endif

/* A cell that the thread can name: a global, or a slot of an object that a local points to. */
inline any_cell(m, c)
{
	if
	:: c = 1
#if NGLOB > 1
	:: c = 2
#endif
	:: LOC(m, 0) -> c = SLOT(LOC(m, 0), 0)
#if SLOTS > 1
	:: LOC(m, 0) -> c = SLOT(LOC(m, 0), 1)
#endif
#if NLOC > 1
	:: LOC(m, 1) -> c = SLOT(LOC(m, 1), 0)
#if SLOTS > 1
	:: LOC(m, 1) -> c = SLOT(LOC(m, 1), 1)
#endif
#endif
	fi
}

/*
 * A pointer comes into some local.  Locals are alike: they are kept in order, to have less states.
 */
inline set_local(m, v)
{
#if NLOC > 1
	if
	:: LOC(m, 0) = v
	:: LOC(m, 1) = v
	fi;
	if
	:: LOC(m, 0) < LOC(m, 1) ->
		x = LOC(m, 0);
		LOC(m, 0) = LOC(m, 1);
		LOC(m, 1) = x;
		x = 0
	:: else
	fi
#else
	LOC(m, 0) = v
#endif
}

/* NULL or what a local holds. */
inline any_value(m, v)
{
	if
	:: v = 0
	:: LOC(m, 0) -> v = LOC(m, 0)
#if NLOC > 1
	:: LOC(m, 1) && LOC(m, 1) != LOC(m, 0) -> v = LOC(m, 1)
#endif
	fi
}

inline end_operation(m)
{
#if GUEST
	if
	:: op == CREATING ->
		drain(m);		/* clone() */
		guest = STARTED
	:: else
	fi;
#endif
	RETURNED(m);
	c = 0;
	value = 0;
	op = STORING;
	at = IDLE
}

inline leave(m)
{
	inlib[m] = 0;
	end_operation(m)
}

inline forget_locals(m)
{
	LOC(m, 0) = 0;
#if NLOC > 1
	LOC(m, 1) = 0;
#endif
}

/* Object @o comes into being.  @old_span: its span was cached before the flip. */
inline create_object(m, o, old_span)
{
	used = used | BIT(o);
	if
#if FREE
	:: black[m] && (white & BIT(o)) -> skip
	:: black[m] && !(white & BIT(o)) -> mark = mark | BIT(o)
#else
	:: black[m] -> mark = mark | BIT(o)
#endif
#ifndef MUTANT_ALLOC_UNSWEPT
	:: !black[m] && PHASE_SWEEP && !(old_span) -> swept = swept | BIT(o)
#endif
	:: else
	fi;
	set_local(m, o)
}

/* What others are about to take lies in their cached spans. */
#define TAKEN (BIT(taking[0]) | BIT(taking[MUTATORS / 2]) | BIT(taking[MUTATORS - 1]))
#define FREE_SLOTS (ALL & ~used & ~TAKEN)

proctype Mutator(byte m)
{
	mtype at = IDLE;
	mtype op = STORING;
	byte c, value, old;		/* cell and values of the operation */
	bit was_black;
#ifdef MUTANT_PUSH_LATE
	byte was;
#endif
#ifdef MUTANT_ATTACH_UNLOCKED
	byte was_phase;
#endif
#if STACKS
	byte to, was;			/* the stack to switch to, and what it was */
#endif
#if OPS
	byte ops = (m == 0 -> OPS0 : OPS);
#endif

end:
	do
	/* ---- loads, and locals that die --------------------------------------------------- */

	:: atomic {
		RUNS ->
		any_cell(m, c);
		value = READ(m, c);
		set_local(m, value);
		value = 0;
		c = 0
	}
	:: atomic { RUNS && LOC(m, 0) -> set_local(m, 0) }

	/* ---- a root that goes: its object is unmapped, whatever it holds --------------------- */

#if VANISH
	:: atomic { RUNS && mem[1] -> mem[1] = 0 }
#endif

#if STACKS
	/* ---- frames and switches ---------------------------------------------------------- */

	STACK_STEPS(m)
	UNREGISTER_STEPS(m)
#endif

	/* ---- stores ----------------------------------------------------------------------- */

#if STORE
	:: atomic {
		MAY_ACT ->
		ACT;
		any_cell(m, c);
		any_value(m, value);
		if
		:: IS_FALLBACK(m) -> at = CALL
#ifdef MUTANT_GLOBAL_PLAIN
		:: !IS_FALLBACK(m) && c <= NGLOB ->
			put(m, c, value);
			c = 0;
			value = 0
#endif
#ifdef MUTANT_NO_RESTART
		:: !IS_FALLBACK(m) && !on[m] -> at = TORN
#endif
		:: else ->
			if
			:: on[m] -> at = SWAP
			:: else ->
				put(m, c, value);
				c = 0;
				value = 0
			fi
		fi
	}
#ifdef MUTANT_NO_RESTART
	:: atomic {
		at == TORN ->
		put(m, c, value);
		c = 0;
		value = 0;
		at = IDLE
	}
#endif
#endif
#if XCHG
	:: atomic {
		MAY_ACT ->
		ACT;
		any_cell(m, c);
		any_value(m, value);
		op = EXCHANGING;
		at = CALL
	}
#endif
	:: atomic { at == CALL && MAY_CALL(m) -> CALLED(m); put(m, SB_INLIB, 1); at = FLAG }
	:: atomic {
		at == FLAG ->
		if
		:: FLAG_OF(m) -> at = SWAP
		:: else -> at = PLAIN
		fi
	}
	:: atomic {
		at == PLAIN ->
		if
		:: op == EXCHANGING ->
			drain(m);
			old = mem[c];
			mem[c] = value;
			set_local(m, old);
			old = 0;
			leave(m)
		:: else ->
			put(m, c, value);
			end_operation(m)	/* the library is left as the store drains */
		fi
	}
	:: atomic {
		at == SWAP ->
#if WITNESS == W_STALE_FLAG
		assert(on[m]);
#endif
		if
		:: op == EXCHANGING ->
			drain(m);
			inlib[m] = 1;
			old = mem[c];
			mem[c] = value;
			set_local(m, old);
			at = OLD
		:: else ->
			if
			:: OWN_INLIB(m)
			:: else -> put(m, SB_INLIB, 1)
			fi;
			old = READ(m, c);
			at = SWAPPED
		fi
	}
	:: atomic {
		at == SWAPPED ->
		drain(m);
		mem[c] = value;
		at = OLD
	}
	:: atomic {
		at == OLD && buffer[m] ->
		drain(m);
#ifdef MUTANT_PUSH_LATE
		was = buffer[m];
		buffer[m] = 0;
#else
		queue = queue | buffer[m];
#endif
		at = PUSHED
	}
	:: atomic {
		at == PUSHED ->
#ifdef MUTANT_PUSH_LATE
		queue = queue | was;
		was = 0;
#else
		buffer[m] = 0;
#endif
		at = OLD
	}
	:: atomic {
		at == OLD ->
#ifndef MUTANT_NEW_ONLY
		if
		:: SHADES(m) -> append(m, old)
		:: else
		fi;
#endif
		old = 0;
		at = VALUE
	}
	:: atomic {
		at == VALUE ->
#ifdef MUTANT_CREATE_NO_SHADE
		if
		:: op == CREATING -> skip
		:: else -> append(m, value)
		fi;
#else
#ifndef MUTANT_OLD_ONLY
		if
		:: SHADES(m) -> append(m, value)
		:: else
		fi;
#endif
#endif
		leave(m)
	}

	/* ---- allocation ------------------------------------------------------------------- */

	/* The fast path: find a slot in the cached span, then take it.  A fence restarts it. */
#if ALLOC
	:: atomic {
		MAY_ACT && !IS_FALLBACK(m) && !divert[m] && FREE_SLOTS ->
		lowest_member(i, FREE_SLOTS);
		taking[m] = i;
		i = 0;
		was_black = black[m];
		at = TAKE
	}
	:: atomic {
		at == TAKE ->
		if
		:: taking[m] ->
			ACT;
			create_object(m, taking[m], was_black);
			taking[m] = 0
		:: else
		fi;
		was_black = 0;
		at = IDLE
	}
	/* The slow path, under the cache lock. */
	:: atomic {
		MAY_ACT && !IS_SLOTLESS(m) && (IS_FALLBACK(m) || divert[m]) && FREE_SLOTS ->
		ACT;
		drain(m);
		lowest_member(i, FREE_SLOTS);
		create_object(m, i, false);
		i = 0
	}
#endif

	/* ---- weak reads ------------------------------------------------------------------- */

#if WEAK
	WEAK_STEPS(m)
#endif

#if FREE
	FREE_STEPS(m)
#endif

#if FINAL
	FINAL_STEPS(m)
#endif

#if CLEANUP
	CLEANUP_STEPS(m)
#endif

#if BLOCKING
	REGION_STEPS(m)
#endif

	/* ---- threads that begin and end --------------------------------------------------- */

#if GUEST
	/* The argument is stored where the agent finds it, through the barrier. */
	:: atomic {
		MAY_ACT && !IS_GUEST(m) && guest == NOBODY ->
		ACT;
		guest = EXPECTED;
		c = ARG;
		any_value(m, value);
		op = CREATING;
		at = CALL
	}
	:: atomic {
		IS_GUEST(m) && guest == STARTED && at == IDLE ->
		guest = ALIVE;
#ifdef MUTANT_ATTACH_UNLOCKED
		was_phase = phase;
		at = ATTACH
	}
	:: atomic {
		at == ATTACH ->
		on[m] = (was_phase == P_BARRIER || was_phase == P_BLACK || was_phase == P_SCAN);
		black[m] = (was_phase == P_BLACK || was_phase == P_SCAN);
		was_phase = 0;
		at = IDLE;
#else
		on[m] = PHASE_ON;
		black[m] = PHASE_BLACK;
#endif
#ifdef MUTANT_ATTACH_EARLY
		early = early | (phase == P_BLACK) << m;
#endif
		attached[m] = 1;
		LOC(m, 0) = mem[ARG];
#ifndef MUTANT_ATTACH_NO_SHADE
		if
		:: phase == P_SCAN && MATTERS(mem[ARG]) ->
#if WITNESS == W_ATTACH_BLACK
			assert(false);
#endif
			buffer[m] = buffer[m] | BIT(mem[ARG])
		:: else
		fi;
#endif
		mem[ARG] = 0
	}
	:: atomic {
		RUNS && IS_GUEST(m) ->
		drain(m);
		inlib[m] = 1;
		forget_locals(m);
#ifdef MUTANT_EXIT_LEAVES_FIRST
		attached[m] = 0;
#else
#ifndef MUTANT_EXIT_DROPS
		queue = queue | buffer[m];
#endif
#endif
		at = EXIT
	}
	:: atomic {
		at == EXIT ->
#ifdef MUTANT_EXIT_LEAVES_FIRST
		queue = queue | buffer[m];
#endif
		buffer[m] = 0;
#if FREE
		withdrawn = withdrawn | noted[m];
		noted[m] = 0;
		stale[m] = 0;
#endif
		on[m] = 0;
		black[m] = 0;
		divert[m] = 0;
		inlib[m] = 0;
		attached[m] = 0;
		guest = NOBODY;
		at = IDLE
	}
#endif
	od
}
