/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * barrier.pml - the write barrier and the handshakes of one heap
 *
 * Asks one question: may the sweep free an object that a thread, a global or a reachable object
 * still leads to?  README.md says what stands for what, and lists the mutants.
 *
 *	state.pml	sizes, shared state, the store buffers, what is reachable
 *	mutator.pml	threads: load, store, allocate, read a weak pointer, begin, end
 *	collector.pml	agent and daemon: one cycle after the other
 *
 * An atomic { } is a step that the others see as a whole; everything else interleaves.
 */
#include "state.pml"
#include "mutator.pml"
#include "collector.pml"

/*
 * Any heap.  Where operations are limited, this is what they begin with; where they are not, the
 * mutators build every heap themselves, from nothing.  Locals are empty: loads are free.
 */
inline any_heap()
{
#if OPS
	i = 1;
	do
	:: i <= NCELL ->
		if
		:: i == ARG
		:: else ->
			any_object(x);
			mem[i] = x
		fi;
		i++
	:: else -> break
	od;
#if WEAK
	any_object(weak);
#endif
	used = ALL;
	reachable();
	used = reach;
	reach = 0;
#if WEAK
	weak = (used & BIT(weak) -> weak : 0);
#endif
	/* the slots of what is free hold zeros */
	for (i : ROOTS + 1 .. NCELL) {
		mem[i] = (used & BIT(OWNER(i)) -> mem[i] : 0)
	}
	i = 0;
	x = 0
#endif
}

init {
	atomic {
		any_heap();
		run StoreBuffers();
#if DEATH
		run Killer();
#endif
		run Collector();
		for (i : 0 .. MUTATORS - 1) {
			attached[i] = !IS_GUEST(i);
			run Mutator(i)
		}
		i = 0
	}
}
