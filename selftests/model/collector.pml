/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * collector.pml - the agent and the daemon, which take turns: one process
 *
 *	H1	all flags on; fence; wait until every thread was seen outside the library.
 *		Only then may anything rely on a barrier.
 *	H1b	black allocation, thread by thread
 *	H2	the globals; then every thread's locals, in any order, while marking goes on
 *	MARK	take what the queue holds, scan objects
 *	H3	nothing grey: fence; wait as in H1; read the threads' buffers, then the queue.
 *		Something white in there: back to MARK.  Else marking has ended.
 *	H4	settle what follows the death of objects; flags off, allocation diverted into the library;
 *		fence; then each thread's flip.  The agent does this to its end, whether the daemon lives
 *		or not
 *	SWEEP	after the last flip
 *
 * What is said of a thread holds for those in the list at that time; one that attaches later adopts
 * @phase, which is therefore changed before the list is read, both under the list lock.
 */

#define LISTED (attached[0] | (attached[1 % MUTATORS] << 1 % MUTATORS) | \
		(attached[2 % MUTATORS] << 2 % MUTATORS))

#define OUTSIDE(t) (!attached[t] || !inlib[t])
#ifdef MUTANT_H2_IN_LIBRARY
#define SCANNABLE(t) true
#else
#define SCANNABLE(t) ((!attached[t] || !OWN_INLIB(t)) && MAY_SIGNAL(t))
#endif

#if !WEAK
#define WEAK_CLEAN true
#endif

#ifdef MUTANT_CREATE_NO_HOLD
#define ARG_IS_ROOT & ~BIT(ARG)
#else
#define ARG_IS_ROOT
#endif

/* Some thread of @todo for which @ready holds; blocks if there is none. */
#if MUTATORS == 1
#define NEXT_THREAD(ready)						\
	if								\
	:: (todo & 1) && ready(0) -> t = 0				\
	fi;								\
	todo = todo & ~BIT(t)
#elif MUTATORS == 2
#define NEXT_THREAD(ready)						\
	if								\
	:: (todo & 1) && ready(0) -> t = 0				\
	:: (todo & 2) && ready(1) -> t = 1				\
	fi;								\
	todo = todo & ~BIT(t)
#else
#define NEXT_THREAD(ready)						\
	if								\
	:: (todo & 1) && ready(0) -> t = 0				\
	:: (todo & 2) && ready(1) -> t = 1				\
	:: (todo & 4) && ready(2) -> t = 2				\
	fi;								\
	todo = todo & ~BIT(t)
#endif
#define ANY(t) true

#if !STACKS
#define WALKED true
#endif
#if FINAL
#define FINAL_WALKED (!walk)
#else
#define FINAL_WALKED true
#endif
#if !CLEANUP
#define CLEANUP_WALKED true
#endif

/* Every loop over the threads finds @todo filled, empties it, and fills it for the next one. */
#define LOOP_END							\
	t = 0;								\
	if								\
	:: todo -> skip							\
	:: else ->							\
		todo = LISTED;						\
		break							\
	fi

/* A fence reaches the threads one after the other. */
inline fence()
{
	do
	:: atomic {
		NEXT_THREAD(ANY);
		if
		:: FENCED(t) -> drain(t)
		:: else
		fi;
		taking[t] = 0;
		LOOP_END
	}
	od
}

inline quiesce()
{
	do
	:: atomic { NEXT_THREAD(OUTSIDE); LOOP_END }
	od
}

/* ---- H1 ---------------------------------------------------------------------------------- */

inline barrier_on()
{
	atomic {
		AGENT_LOCKS
		phase = P_BARRIER;
#if WEAK
		WEAK_BEGIN;
#endif
		todo = LISTED
	}
#ifdef MUTANT_BLACK_EARLY
	do
	:: atomic { NEXT_THREAD(ANY); black[t] = attached[t]; LOOP_END }
	od;
#endif
	do
	:: atomic {
		NEXT_THREAD(ANY);
		on[t] = attached[t];
		LOOP_END
	}
	od;
#ifndef MUTANT_H1_NO_WAIT
#ifndef MUTANT_H1_NO_FENCE
	fence();
#endif
#ifndef MUTANT_H1_NO_QUIESCE
	quiesce();
#endif
#endif
	atomic {
		phase = P_BLACK;
		roots = (BIT(ROOTS + 1) - 2) ARG_IS_ROOT;
#if STACKS
		stacks = BIT(STACKS) - 1;
#endif
#if FINAL
		walk = finalizable | queued;
#endif
#if CLEANUP
		walk_cleanup = 1;
#endif
		todo = LISTED
	}
	do
	:: atomic {
		NEXT_THREAD(ANY);
#ifndef MUTANT_WHITE_ALLOC
		black[t] = attached[t];
#endif
		LOOP_END
	}
	od
#ifdef MUTANT_DISCARD_AT_H1
	;
	do
	:: atomic { NEXT_THREAD(ANY); buffer[t] = 0; LOOP_END }
	od
#endif
#if SLOTLESS
	;
	atomic { AGENT_UNLOCKS }
#endif
}

#ifdef MUTANT_ATTACH_EARLY
#define TO_SCAN ((LISTED & ~early) | UNKNOWN)
#else
#define TO_SCAN (LISTED | UNKNOWN)
#endif

/* Before any thread's locals.  A thread that attaches later scans itself as it does. */
inline scan_roots()
{
	do
#ifndef MUTANT_ROOTS_LATE
	:: atomic { scan_root() }
#endif
	:: atomic { queue -> take_queue() }
	:: atomic { grey || object -> scan_slot() }
	:: atomic {
#ifndef MUTANT_ROOTS_LATE
		!roots ->
#endif
		phase = P_SCAN;
		todo = TO_SCAN;
#ifdef MUTANT_ATTACH_EARLY
		early = 0;
#endif
		break
	}
	od
}

/* ---- H2 and marking ---------------------------------------------------------------------- */

/*
 * A thread's own handler scans it, or the agent does while it is blocked: in both cases its locals
 * stand still, its store buffer has drained, and a restartable sequence begins again.
 */
inline scan_thread(m)
{
	drain(m);
	taking[m] = 0;
#if STACKS
	answered[m] = 1;
	if
	:: MATTERS(frame[current[m]]) -> buffer[m] = buffer[m] | BIT(frame[current[m]])
	:: else
	fi;
#endif
#ifdef MUTANT_DISCARD_AT_H2
	buffer[m] = 0;
#endif
#if FREE
	if
	:: MATTERS(stale[m]) -> buffer[m] = buffer[m] | BIT(stale[m])
	:: else
	fi;
#endif
	if
	:: MATTERS(LOC(m, 0)) -> buffer[m] = buffer[m] | BIT(LOC(m, 0))
	:: else
	fi;
#if NLOC > 1
	if
	:: MATTERS(LOC(m, 1)) -> buffer[m] = buffer[m] | BIT(LOC(m, 1))
	:: else
	fi
#endif
}

inline scan_root()
{
	if
	:: roots & BIT(1) -> i = 1
#if ROOTS > 1
	:: roots & BIT(2) -> i = 2
#endif
#if ROOTS > 2
	:: roots & BIT(3) -> i = 3
#endif
	fi;
	roots = roots & ~BIT(i);
	if
	:: MATTERS(mem[i]) -> queue = queue | BIT(mem[i])
	:: else
	fi;
	i = 0
}

/* The daemon resolves the members of a set: those that are allocated and white become grey. */
inline mark_set(set)
{
	x = (set) & used & ~mark;
	mark = mark | x;
	grey = grey | x;
#if !KEEP_STALE
	i = 0;
	do
	:: i < MUTATORS ->
		buffer[i] = buffer[i] & ~x;
		i++
	:: else -> break
	od;
	queue = queue & ~x;
	i = 0;
#endif
	x = 0
}

inline take_queue()
{
	y = queue;
	queue = 0;
	mark_set(y);
	y = 0
}

inline scan_slot()
{
	if
	:: object == 0 ->
		any_member(object, grey);
		grey = grey & ~BIT(object)
	:: else
	fi;
	mark_set(BIT(mem[SLOT(object, slot)]));
	slot++;
	if
	:: slot == SLOTS ->
		slot = 0;
		object = 0
	:: else
	fi
}

/* Once threads and roots are scanned, @todo and @roots are empty, and only marking is left. */
inline mark_all()
{
	do
	:: atomic {
		NEXT_THREAD(SCANNABLE);
		scan_thread(t);
		t = 0
	}
#if BLOCKING
	SCAN_REGION_STEPS
#endif
#ifdef MUTANT_ROOTS_LATE
	:: atomic { scan_root() }
#endif
#if STACKS
	WALK_STEPS
#endif
#if FINAL
	FINAL_WALK
#endif
#if CLEANUP
	CLEANUP_WALK
#endif
	:: atomic { queue -> take_queue() }
	:: atomic { grey || object -> scan_slot() }
	:: atomic {
		!todo && !roots && !queue && !grey && !object && WALKED && FINAL_WALKED && CLEANUP_WALKED ->
		todo = LISTED;
		break
	}
	od
}

#if DEATH
bit dead;			/* the daemon has died, before H4 has begun */
bit ending;			/* H4 has begun: from here on it does not matter whether the daemon lives */
#endif

/* ---- H3 ---------------------------------------------------------------------------------- */

inline read_buffers()
{
#if SHARED_BUFFERS
	todo = todo | SHARED_BUFFERS;
#endif
	do
	:: atomic {
		NEXT_THREAD(ANY);
		mark_set(buffer[t]);
		LOOP_END
	}
#ifdef MUTANT_H3_EMPTY_AT_END
	:: atomic { queue -> take_queue() }
	:: atomic { grey || object -> scan_slot() }
#endif
	od
}

inline termination_round()
{
#if WEAK
	WEAK_ROUND_BEGINS;
#endif
#if SLOTLESS
	atomic { AGENT_LOCKS };
#endif
#ifndef MUTANT_H3_NO_FENCE
	fence();
#endif
#ifndef MUTANT_H3_NO_QUIESCE
	quiesce();
#endif
#if SLOTLESS
	atomic { AGENT_UNLOCKS };
#endif
#if WEAK
	WEAK_ROUND_FENCED;
#endif
#ifdef MUTANT_BARRIER_OFF_EARLY
	atomic { on[0] = 0; on[MUTATORS - 1] = 0; on[MUTATORS / 2] = 0 }
#endif
#ifdef MUTANT_H3_FULL_FIRST
	atomic { take_queue() }
	read_buffers()
#else
	read_buffers();
#ifndef MUTANT_H3_IGNORES_FULL
	atomic { take_queue() }
#endif
#endif
}

/*
 * Until a round is clean.  Then the daemon asks for H4, and the agent begins it.  Both are one step
 * here: what weak reads may do between the two they may as well do before the first.
 */
inline mark_to_the_end()
{
	do
	::
		mark_all();
#ifdef MUTANT_FINAL_SETTLE_EARLY
		settle_finalizers();
#endif
#ifdef MUTANT_CLEANUP_SETTLE_EARLY
		atomic { settle_cleanup() }
#endif
#ifndef MUTANT_NO_H3
		termination_round();
#endif
#ifdef MUTANT_H3_EMPTY_AT_END
		todo = 0;
		mark_all();
#endif
		atomic {
			if
			:: !grey && !object && WEAK_CLEAN ->
#if WEAK
				WEAK_DECIDED;
#endif
#if DEATH && !defined(MUTANT_WEAK_ENDED_EARLY)
				ending = 1;
#endif
				break
			:: else ->
#if WITNESS == W_ROUND_AGAIN
				assert(false);
#endif
				todo = 0
			fi
		}
	od
}

#if WITNESS == W_FREED_LATER
bit abandoned;
#endif

/* ---- H4 and sweep ------------------------------------------------------------------------ */

inline barrier_off()
{
	do
	:: atomic { NEXT_THREAD(ANY); on[t] = 0; divert[t] = attached[t]; LOOP_END }
	od
}

inline flip()
{
	do
#if FREE
	:: atomic { NEXT_THREAD(UNLOCKED); take_notes(t); black[t] = 0; divert[t] = 0; LOOP_END }
#else
	:: atomic { NEXT_THREAD(ANY); black[t] = 0; divert[t] = 0; LOOP_END }
#endif
	od
}

/* Once marking has ended their entries are of no use, but they do no harm either. */
inline drop_buffers()
{
#if !KEEP_STALE
	buffer[0] = 0;
	buffer[MUTATORS / 2] = 0;
	buffer[MUTATORS - 1] = 0;
	queue = 0
#else
	skip
#endif
}

inline end_marking()
{
#if WEAK
	WEAK_SETTLE;
#endif
#if FINAL && !defined(MUTANT_FINAL_SETTLE_EARLY) && !defined(MUTANT_CLEANUP_SETTLE_FIRST)
	settle_finalizers();
#endif
#if CLEANUP && !defined(MUTANT_CLEANUP_SETTLE_EARLY)
	atomic { settle_cleanup() };
#endif
#ifdef MUTANT_CLEANUP_SETTLE_FIRST
	settle_finalizers();
#endif
	atomic {
		AGENT_LOCKS
		phase = P_FLIP;
#if FREE
		completes = 1;
#endif
#if WEAK
		WEAK_END;
#endif
		todo = LISTED
	}
#ifdef MUTANT_H4_FENCE_FIRST
	fence();
#endif
	barrier_off();
#ifndef MUTANT_H4_NO_FENCE
#ifndef MUTANT_H4_FENCE_FIRST
	fence();
#endif
#endif
#if WEAK
#ifndef MUTANT_H4_NO_QUIESCE
	quiesce();
#endif
#endif
#ifndef MUTANT_SWEEP_EARLY
	flip();
#endif
#if STACKS
	fence();
	quiesce();
	atomic { forget_scans() }
#endif
	atomic {
#if FREE
		withdraw_marks();
#endif
		phase = P_SWEEP;
#if DEATH
		ending = 0;
#endif
#if WEAK
		WEAK_ENDED;
#endif
		AGENT_UNLOCKS
		drop_buffers()
	}
}

/* Also done by allocators, which makes no difference here. */
inline sweep()
{
	unswept = ALL;
	do
	:: atomic {
		any_member(object, unswept);
		unswept = unswept & ~BIT(object);
		if
		:: (used & BIT(object)) && !((mark | swept) & BIT(object)) ->
			reachable();
			assert(!(reach & BIT(object)));		/* what all this is about */
#if FINAL
			assert(!(owes & BIT(object)) || (reach & BIT(object)));
#endif
#if CLEANUP
			cleanup_freed(object);
#endif
#if WITNESS == W_FREED
			assert(false);
#elif WITNESS == W_FREED_LATER
			assert(!abandoned);
#endif
			reach = 0;
			used = used & ~BIT(object);
#if WEAK
			unreachable = unreachable & ~BIT(object);
#endif
			for (i : SLOT(object, 0) .. SLOT(object, SLOTS - 1)) {
				mem[i] = 0
			}
			i = 0
		:: else -> mark = mark & ~BIT(object)
		fi;
		object = 0;
		if
		:: unswept -> skip
		:: else -> break
		fi
	}
	od;
#ifdef MUTANT_SWEEP_EARLY
	flip();
#endif
	atomic {
		swept = 0;
		todo = 0;
		phase = P_NONE
	}
}

/* ---- the daemon dies --------------------------------------------------------------------- */

#if DEATH
proctype Killer()
{
end:
	do
	:: atomic { phase != P_NONE && phase != P_SWEEP && !ending && !dead -> dead = 1 }
	od
}

/* Nothing is freed; the next cycle must find no marks, and no thread that makes black objects. */
inline abandon()
{
	atomic {
		AGENT_LOCKS
#if WITNESS == W_FREED_LATER
		abandoned = 1;
#endif
		phase = P_FLIP;
#if WEAK
		word = WORD_PLAIN;
#endif
		todo = LISTED;
#if FREE
		completes = 0;
#endif
#if FINAL
		walk = 0;
#endif
#if CLEANUP
		walk_cleanup = 0;
#endif
		t = 0;
		object = 0;
		slot = 0;
		roots = 0;
		grey = 0;
#if BLOCKING
		if
		:: holding && blocked[holding - 1] == B_HELD -> blocked[holding - 1] = B_IN
		:: else
		fi;
		holding = 0;
		word_at = 0;
#endif
#ifdef MUTANT_ABANDON_CLEARS_FIRST
		mark = 0
#endif
	}
#ifdef MUTANT_FINAL_ABANDON_SETTLES
	settle_finalizers();
#endif
#ifdef MUTANT_CLEANUP_ABANDON_SETTLES
	atomic { settle_cleanup() };
#endif
	barrier_off();
	fence();
	flip();
	atomic {
#ifndef MUTANT_ABANDON_CLEARS_FIRST
#ifndef MUTANT_ABANDON_KEEPS_MARKS
		mark = 0;
#endif
#endif
		swept = 0;
		drop_buffers();
		AGENT_UNLOCKS
		todo = 0;
		phase = P_NONE;
		dead = 0
	}
}
#endif

/* ---- cycles ------------------------------------------------------------------------------ */

proctype Collector()
{
	byte t;				/* a thread */
	byte todo;			/* threads */
	byte roots;			/* cells */
	byte object, slot;		/* being scanned or swept */
	byte unswept;
#if STACKS
	byte stacks, claimed;		/* see WALK_STEPS */
	bit read;
#endif
#if FINAL
	byte walk;			/* objects with finalizers that are yet to be walked */
#endif
#if CLEANUP
	bit walk_cleanup;		/* the record of a cleanup is yet to be walked */
#endif
#if BLOCKING
	byte holding;			/* 1 + the thread in a region that is being scanned */
	byte word_at;
#endif
#if CYCLES
	byte cycles;
#endif

	do
#if CYCLES
	:: cycles < CYCLES -> cycles++;
#else
	::
#endif
#if DEATH
		{
#endif
		barrier_on();
		scan_roots();
		mark_to_the_end()
#if DEATH
		} unless { dead };
		if
		:: dead -> abandon()
		:: else -> end_marking(); sweep()
		fi
#else
		;
		end_marking();
		sweep()
#endif
#if CYCLES
	:: else -> break
#endif
	od
}
