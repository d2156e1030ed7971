/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * final.pml - objects that have a finalizer (-DFINAL=1)
 *
 *	set	a thread gives an object that it has a finalizer; it shades the object while marking
 *	walk	the daemon, while it marks: what finalizable objects refer to, but not they
 *		themselves; and objects that are queued, which are roots
 *	settle	the agent, in H4, before anything else of it: a finalizable object that is white is
 *		queued, and marked, it alone.  One object after the other, and threads go on meanwhile
 *	take	a thread takes an object from the queue at any time, and has it; it shades it while
 *		marking
 *
 * An abandoned cycle has not begun H4, so it has not settled, and there is nothing to be undone.
 *
 * Beside the property of all: an object that is queued is reachable from nowhere else, and one that
 * was given a finalizer is not freed before that was taken.
 */

mtype = { FINAL_SET, FINAL_SHADE, FINAL_TAKE, FINAL_TAKEN };

byte finalizable, queued;
byte owes;			/* has a finalizer, or is on its way to it */

#define FINAL_STEPS(m)								\
	:: atomic {								\
		MAY_ACT && !IS_SLOTLESS(m) && LOC(m, 0) ->			\
		any_value(m, value);						\
		if								\
		:: value && !(owes & BIT(value)) ->				\
			ACT;							\
			put(m, SB_INLIB, 1);					\
			at = FINAL_SET						\
		:: else -> value = 0						\
		fi								\
	}									\
	:: atomic {								\
		at == FINAL_SET ->						\
		drain(m);							\
		finalizable = finalizable | BIT(value);				\
		owes = owes | BIT(value);					\
		at = FINAL_SHADE						\
	}									\
	:: atomic { at == FINAL_SHADE -> SET_SHADES(m); leave(m) }		\
	:: atomic { MAY_ACT && !IS_SLOTLESS(m) && queued -> ACT; put(m, SB_INLIB, 1); at = FINAL_TAKE }	\
	:: atomic {								\
		at == FINAL_TAKE ->						\
		drain(m);							\
		if								\
		:: queued ->							\
			any_member(value, queued);				\
			TAKEN_WITNESS						\
			queued = queued & ~BIT(value);				\
			owes = owes & ~BIT(value);				\
			set_local(m, value);					\
			at = FINAL_TAKEN					\
		:: else -> leave(m)						\
		fi								\
	}									\
	:: atomic { at == FINAL_TAKEN -> TAKE_SHADES(m); leave(m) }

#define SHADE_IF_ON(m, o)							\
	if									\
	:: on[m] -> append(m, o)						\
	:: else									\
	fi

#ifdef MUTANT_FINAL_SET_NO_SHADE
#define SET_SHADES(m) skip
#else
#define SET_SHADES(m) SHADE_IF_ON(m, value)
#endif
#ifdef MUTANT_FINAL_TAKE_NO_SHADE
#define TAKE_SHADES(m) skip
#else
#define TAKE_SHADES(m) SHADE_IF_ON(m, value)
#endif
#if WITNESS == W_TAKEN_IN_H4
#define TAKEN_WITNESS assert(on[0] == on[MUTATORS - 1] || phase != P_FLIP);
#else
#define TAKEN_WITNESS
#endif

/* Daemon.  What was finalizable or queued when every barrier was on is walked in any order. */
#define FINAL_WALK								\
	:: atomic {								\
		walk ->								\
		any_member(i, walk);						\
		walk = walk & ~BIT(i);						\
		walk_object(i);							\
		i = 0								\
	}

inline walk_object(o)
{
#ifndef MUTANT_FINAL_QUEUED_NO_ROOT
	queue = queue | (BIT(o) & queued);
#endif
#ifndef MUTANT_FINAL_NO_REFERENTS
	if
	:: finalizable & BIT(o) -> queue = (queue | BIT(mem[SLOT(o, 0)])) & ALL
	:: else
	fi
#else
	skip
#endif
}

/*
 * Agent, in any order.  What gets a finalizer meanwhile is reachable, so it is marked, and does not
 * concern the agent.
 */
inline settle_finalizers()
{
	do
	:: atomic {
		finalizable & used & ~mark ->
		any_member(i, finalizable & used & ~mark);
		reachable();
		assert(!(reach & BIT(i)));
		reach = 0;
#if WITNESS == W_QUEUED
		assert(false);
#endif
		finalizable = finalizable & ~BIT(i);
		queued = queued | BIT(i);
		mark = mark | BIT(i);
		i = 0
	}
	:: atomic { !(finalizable & used & ~mark) -> break }
	od
}
