/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * state.pml - sizes, shared state, the store buffers, what is reachable
 *
 * Objects are 1 … NOBJ, 0 is NULL; a set of objects is a word with a bit for each.  A cell is a word
 * of memory that holds a pointer: first the globals, then the argument of a thread that is being
 * created (a root too), then the slots of the objects.
 */

/* Sizes. */
#ifndef MUTATORS
#define MUTATORS 2
#endif
#ifndef NLOC
#define NLOC 1			/* locals of a mutator */
#endif
#ifndef NOBJ
#define NOBJ 2
#endif
#ifndef SLOTS
#define SLOTS 1			/* of an object */
#endif
#ifndef NGLOB
#define NGLOB 1
#endif
#ifndef OPS
#define OPS 1			/* operations of a mutator; 0: no limit; loads are free */
#endif
#ifndef OPS0
#define OPS0 OPS		/* of the first mutator */
#endif
#ifndef CYCLES
#define CYCLES 0		/* 0: no limit */
#endif

/* What takes part. */
#ifndef FALLBACK
#define FALLBACK 0		/* set of mutators that have no restartable sequences */
#endif
#ifndef STORE
#define STORE 1			/* mutators store */
#endif
#ifndef ALLOC
#define ALLOC 1			/* and allocate */
#endif
#ifndef XCHG
#define XCHG 0			/* and exchange */
#endif
#ifndef GUEST
#define GUEST 0			/* the last mutator is created, attaches and exits, again and again */
#endif
#ifndef WEAK
#define WEAK 0			/* so many weak cells */
#endif
#ifndef DEATH
#define DEATH 0			/* the daemon may die */
#endif
#ifndef VANISH
#define VANISH 0		/* a global may go away at any time, with what it holds */
#endif
#ifndef STACKS
#define STACKS 0		/* stacks that mutators switch between, one each and more; not with GUEST */
#endif
#ifndef UNREGISTER
#define UNREGISTER 1		/* and unregister */
#endif
#ifndef BLOCKING
#define BLOCKING 0		/* set of mutators that enter blocking regions */
#endif
#ifndef SLOTLESS
#define SLOTLESS 0		/* set of mutators for which no slot is left; they have no sequences */
#endif
#ifndef FREE
#define FREE 0			/* mutators free objects: free.pml */
#endif
#ifndef FINAL
#define FINAL 0			/* mutators give objects finalizers, and run them: final.pml */
#endif
#ifndef CLEANUP
#define CLEANUP 0		/* the same with one record of a cleanup: cleanup.pml */
#endif
#ifndef KEEP_STALE
#define KEEP_STALE 0		/* buffers outlive the cycle, and keep what is marked already */
#endif

/* -DWITNESS=n fails where n stands below: the model does get there. */
#ifndef WITNESS
#define WITNESS 0
#endif
#define W_FREED 1		/* an object is freed */
#define W_ROUND_AGAIN 2		/* an H3 round finds something */
#define W_STALE_FLAG 3		/* an exchange with the barrier off by now */
#define W_ATTACH_BLACK 4	/* a thread attaches with a white argument while marking runs */
#define W_REFUSED 5		/* a weak read is refused */
#define W_FREED_LATER 6		/* an object is freed in a cycle after an abandoned one */
#define W_WITHDRAWN 7		/* an object that was freed while marking had been marked */
#define W_QUEUED 8		/* a finalizable object is dead */
#define W_TAKEN_IN_H4 9		/* it is taken while some barriers are off and others on */
#define W_CLEANUP_QUEUED 10	/* the object of a cleanup is dead, its argument is not */

#define BIT(o) (1 << (o))
#define ALL (BIT(NOBJ + 1) - 2)

#define ARG ((NGLOB + 1) * GUEST)
#define ROOTS (NGLOB + GUEST)
#define NCELL (ROOTS + NOBJ * SLOTS)
#define SLOT(o, s) (ROOTS + 1 + ((o) - 1) * SLOTS + (s))
#define OWNER(c) (1 + ((c) - ROOTS - 1) / SLOTS)

#define IS_GUEST(m) (GUEST && (m) == MUTATORS - 1)
#define IS_FALLBACK(m) (((FALLBACK | SLOTLESS) >> (m)) & 1)
#define LOC(m, l) loc[(m) * NLOC + (l)]

byte mem[NCELL + 1];		/* the cells; [0] is unused */
byte loc[MUTATORS * NLOC];

/* Sets of objects. */
byte used;			/* allocated */
byte mark;			/* written by the daemon and, for black allocation, by the client */
byte swept;			/* in a span that this sweep is done with, or that is fresh */
byte grey;			/* marked, but not scanned yet: the daemon's */

/*
 * Write-barrier buffers.  The order of their entries does not matter, so they are sets as well.
 * A buffer may be full after any number of entries.
 */
byte buffer[MUTATORS];		/* what each thread has appended to its own */
byte queue;			/* the queue: full buffers, those of threads that ended, the agent's */

/* Threads. */
bit attached[MUTATORS];		/* in the list */
bit on[MUTATORS];		/* barrier flag, by the agent */
bit black[MUTATORS];		/* colour of new objects, by the agent under the cache lock */
bit divert[MUTATORS];		/* the allocation fast path leads into the library, by the agent */
bit inlib[MUTATORS];		/* the thread is in the library */
byte taking[MUTATORS];		/* slot that the allocation fast path is about to take */
mtype = { NOBODY, EXPECTED, STARTED, ALIVE };
mtype guest = NOBODY;		/* the last mutator, if it is a guest */

byte phase;			/* what a thread adopts when it attaches; changed under the list lock */
#define P_NONE 0
#define P_BARRIER 1
#define P_BLACK 2
#define P_SCAN 3
#define P_FLIP 4
#define P_SWEEP 5
#define PHASE_BLACK (phase == P_BLACK || phase == P_SCAN)
#define PHASE_ON (phase == P_BARRIER || PHASE_BLACK)
#define PHASE_SWEEP (phase == P_FLIP || phase == P_SWEEP)

#ifdef MUTANT_ATTACH_EARLY
byte early;			/* threads that attached before the roots were scanned */
#endif

/* Scratch within atomic steps; 0 between them. */
byte i, x, y, reach;

/*
 * Total store order, one entry a thread: a store waits in the thread's store buffer, where only the
 * thread sees it, until it drains: by itself, or because the thread stores again, executes an atomic
 * instruction, is interrupted, or is hit by the agent's fence.  What goes this way: plain stores to
 * cells; the in-library word being set.  What does not, and why that hides nothing: README.md.
 */
byte sb_to[MUTATORS];		/* 0: empty; a cell; or SB_INLIB */
byte sb_value[MUTATORS];
#define SB_INLIB (NCELL + 1)

/* A thread without restartable sequences leaves the library with its store: hence inlib. */
inline drain(m)
{
	if
	:: sb_to[m] == 0
	:: sb_to[m] == SB_INLIB -> inlib[m] = 1
	:: else ->
		mem[sb_to[m]] = sb_value[m];
		inlib[m] = 0
	fi;
	sb_to[m] = 0;
	sb_value[m] = 0
}

inline put(m, to, value)
{
	drain(m);
	sb_to[m] = to;
	sb_value[m] = value
}

#define READ(m, c) (sb_to[m] == (c) -> sb_value[m] : mem[c])
/* The in-library word as the thread's own signal handler sees it. */
#define OWN_INLIB(m) (sb_to[m] == 0 -> inlib[m] : sb_to[m] == SB_INLIB)

/* An entry for a marked object changes nothing in this cycle: leave it out, to have less states. */
#define MATTERS(o) ((o) && (KEEP_STALE || !(mark & BIT(o))))

inline append(m, o)
{
	if
	:: MATTERS(o) -> buffer[m] = buffer[m] | BIT(o)
	:: else
	fi
}

proctype StoreBuffers()
{
end:
	do
	:: atomic { sb_to[0] -> drain(0) }
#if MUTATORS > 1
	:: atomic { sb_to[1] -> drain(1) }
#endif
#if MUTATORS > 2
	:: atomic { sb_to[2] -> drain(2) }
#endif
	od
}

/* Set @reach to what locals, globals and stores on their way lead to. */
inline reachable()
{
	d_step {
		reach = 0;
		for (x : 0 .. MUTATORS * NLOC - 1) {
			reach = reach | BIT(loc[x])
		}
		for (x : 1 .. ROOTS) {
			reach = reach | BIT(mem[x])
		}
#if STACKS
		for (x : 0 .. STACKS - 1) {
			reach = reach | BIT(frame[x])
		}
#endif
#if FINAL
		reach = reach | queued;
#endif
#if CLEANUP
		reach = reach | BIT(argument);
#endif
		for (y : 0 .. NOBJ) {
			for (x : 0 .. MUTATORS - 1) {
				if
				:: sb_to[x] >= 1 && sb_to[x] <= NCELL &&
				   (sb_to[x] <= ROOTS || (reach & BIT(OWNER(sb_to[x])))) ->
					reach = reach | BIT(sb_value[x])
				:: else
				fi
			}
			for (x : ROOTS + 1 .. NCELL) {
				if
				:: reach & BIT(OWNER(x)) -> reach = reach | BIT(mem[x])
				:: else
				fi
			}
		}
		reach = reach & ALL;
		x = 0;
		y = 0
	}
}

/* Blocks if the set is empty. */
inline any_member(o, set)
{
	if
	:: (set) & BIT(1) -> o = 1
#if NOBJ > 1
	:: (set) & BIT(2) -> o = 2
#endif
#if NOBJ > 2
	:: (set) & BIT(3) -> o = 3
#endif
#if NOBJ > 3
	:: (set) & BIT(4) -> o = 4
#endif
	fi
}

/* Free slots are alike: the lowest will do. */
inline lowest_member(o, set)
{
	o = 1;
	do
	:: o <= NOBJ && !((set) & BIT(o)) -> o++
	:: else -> break
	od
}
