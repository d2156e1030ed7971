/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * barrier.pml - the write barrier and the handshakes of one heap
 *
 * Asks one question: may the sweep free an object that a thread, a global or a reachable object
 * still leads to?  README.md says what stands for what, and lists the mutants.
 *
 *	state.pml	sizes, shared state, the store buffers, what is reachable
 *	region.pml	blocking regions, threads without a slot
 *	weak.pml	weak reads
 *	mutator.pml	threads: load, store, allocate, begin, end
 *	stack.pml	stacks that threads switch between
 *	free.pml	objects that the program frees itself
 *	final.pml	objects with finalizers
 *	cleanup.pml	the record of a cleanup
 *	word.pml	a model of its own (-DREGION_WORD): how a thread says that it is in a blocking region
 *	collector.pml	agent and daemon: one cycle after the other
 *
 * Models of their own, of protocols between processes: link.pml (-DLINK), replace.pml
 * (-DREPLACEMENT), elect.pml (-DELECT), throttle.pml (-DTHROTTLE).  Of weak pointers
 * and maps: identity.pml (-DIDENTITY), ephemeron.pml (-DEPHEMERON), buckets.pml (-DBUCKETS).
 * Below objects: slot.pml (-DSLOT).  Above them: pool.pml (-DPOOL).  Memory of stacks: shrink.pml
 * (-DSHRINK).
 *
 * An atomic { } is a step that the others see as a whole; everything else interleaves.
 */
#ifdef REGION_WORD
#include "word.pml"
#elif defined(LINK)
#include "link.pml"
#elif defined(REPLACEMENT)
#include "replace.pml"
#elif defined(ELECT)
#include "elect.pml"
#elif defined(THROTTLE)
#include "throttle.pml"
#elif defined(EPHEMERON)
#include "ephemeron.pml"
#elif defined(IDENTITY)
#include "identity.pml"
#elif defined(BUCKETS)
#include "buckets.pml"
#elif defined(SLOT)
#include "slot.pml"
#elif defined(POOL)
#include "pool.pml"
#elif defined(SHRINK)
#include "shrink.pml"
#else
#include "state.pml"
#if STACKS
#include "stack.pml"
#endif
#include "region.pml"
#if FREE
#include "free.pml"
#endif
#if WEAK
#include "weak.pml"
#endif
#if FINAL
#include "final.pml"
#endif
#if CLEANUP
#include "cleanup.pml"
#endif
#include "mutator.pml"
#include "collector.pml"

#if OPS
/*
 * With operations limited, this is what they begin with: any heap, where objects are numbered in
 * the order in which a walk from the globals finds them (other numberings behave alike).  Locals
 * are empty: loads are free.
 */
inline any_heap()
{
	i = 1;
	do
	:: i <= NCELL ->
		if
		:: i == ARG || (i > ROOTS && !(used & BIT(OWNER(i)))) -> skip
		:: else ->
			/* NULL, an object that the walk has met, or the next one */
			x = 0;
			do
			:: x < NOBJ && (x == 0 || (used & BIT(x))) -> x++
			:: break
			od;
			mem[i] = x;
			used = (used | BIT(x)) & ALL;
		fi;
		i++
	:: else -> break
	od;
	i = 0;
	x = 0;
#if WEAK
	/* each any object that there is, or nothing */
	y = 0;
	do
	:: y < WEAK ->
		x = 0;
		do
		:: x < NOBJ && (used & BIT(x + 1)) -> x++
		:: break
		od;
		weak[y] = x;
		y++
	:: else -> break
	od;
	x = 0;
	y = 0
#endif
#if FINAL
	/* any of them have finalizers */
	for (i : 1 .. NOBJ) {
		if
		:: used & BIT(i) -> finalizable = finalizable | BIT(i)
		:: skip
		fi
	}
	owes = finalizable;
	i = 0
#endif
#if CLEANUP
	/* one of them may have a cleanup, and another may be the argument */
	if
	:: skip
	:: used ->
		any_member(x, used);
		if
		:: skip
		:: used & ~BIT(x) -> any_member(y, used & ~BIT(x))
		fi;
		cleanup_set(CLEANUP_LIVE, x, y)
	fi;
	x = 0;
	y = 0
#endif
}
#else
/* With no limit, the mutators build every heap themselves. */
inline any_heap()
{
	skip
}
#endif

init {
	atomic {
		any_heap();
#if STACKS
		for (i : MUTATORS .. STACKS - 1) {
			state[i] = SUSPENDED
		}
#endif
		run StoreBuffers();
#if DEATH
		run Killer();
#endif
		run Collector();
		for (i : 0 .. MUTATORS - 1) {
			attached[i] = !IS_GUEST(i) && !IS_SLOTLESS(i);
#if STACKS
			current[i] = i;
#endif
			run Mutator(i)
		}
		i = 0
	}
}
#endif
