/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * collector.pml - the agent and the daemon, which take turns: one process
 *
 *	H1	all flags on; fence; wait until every thread was seen outside the library.
 *		Only then may anything rely on a barrier.
 *	H1b	black allocation, thread by thread
 *	H2	every thread's locals and the globals, in any order, while marking goes on
 *	MARK	take what the queue holds, scan objects
 *	H3	nothing grey: fence; wait as in H1; read the threads' buffers, then the queue.
 *		Something white in there: back to MARK.  Else marking has ended.
 *	H4	flags off, allocation diverted into the library; fence; then each thread's flip
 *	SWEEP	after the last flip
 *
 * What is said of a thread holds for those in the list at that time; one that attaches later adopts
 * @phase, which is therefore changed before the list is read, both under the list lock.
 */

#define LISTED (attached[0] | (attached[1 % MUTATORS] << 1 % MUTATORS) | \
		(attached[2 % MUTATORS] << 2 % MUTATORS))
#define EVERYONE (BIT(MUTATORS) - 1)

#define OUTSIDE(t) (!attached[t] || !inlib[t])
#ifdef MUTANT_H2_IN_LIBRARY
#define SCANNABLE(t) true
#else
#define SCANNABLE(t) (!attached[t] || !OWN_INLIB(t))
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

/* A fence reaches the threads one after the other. */
inline fence()
{
	todo = LISTED;
	do
	:: atomic { NEXT_THREAD(ANY); drain(t); taking[t] = 0; t = 0 }
	:: atomic { todo == 0 -> break }
	od
}

inline quiesce()
{
	todo = LISTED;
	do
	:: atomic { NEXT_THREAD(OUTSIDE); t = 0 }
	:: atomic { todo == 0 -> break }
	od
}

/* The daemon resolves the objects of @set: marks those that are allocated and white. */
inline mark_set(set)
{
	x = (set) & used & ~mark;
	mark = mark | x;
	grey = grey | x;
#if !KEEP_STALE
	for (i : 0 .. MUTATORS - 1) {
		part[i] = part[i] & ~x
	}
	full = full & ~x;
	i = 0;
#endif
	x = 0
}

inline mark_step()
{
	if
	:: atomic { full & used & ~mark -> mark_set(full); full = 0 }
