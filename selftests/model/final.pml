/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * final.pml - objects that have a finalizer (-DFINAL=1)
 *
 *	set	a thread gives an object that it has a finalizer; it shades the object while marking
 *	walk	the daemon, while it marks: what finalizable objects refer to, but not they
 *		themselves; and objects that are queued, which are roots
 *	settle	marking has ended: a finalizable object that is white is condemned, and marked, it alone
 *	queue	the cycle completes: the condemned are queued.  It is abandoned: they are finalizable
 *		as before
 *	take	a thread takes an object from the queue, and has it; it shades it while marking
 *
 * Beside the property of all: an object that is condemned is reachable from nowhere, and one that
 * was given a finalizer is not freed before that was taken.
 */

mtype = { FINAL_SET, FINAL_CALL, FINAL_FLAG, FINAL_TAKE };

byte finalizable, condemned, queued;
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
		SET_SHADES(m)							\
		value = 0;							\
		leave(m)							\
	}									\
	:: atomic { MAY_ACT && !IS_SLOTLESS(m) && queued -> ACT; put(m, SB_INLIB, 1); at = FINAL_CALL }	\
	:: atomic {								\
		at == FINAL_CALL ->						\
		drain(m);							\
		old = on[m];							\
		at = FINAL_TAKE							\
	}									\
	:: atomic {								\
		at == FINAL_TAKE ->						\
		if								\
		:: queued ->							\
			any_member(value, queued);				\
			queued = queued & ~BIT(value);				\
			owes = owes & ~BIT(value);				\
			set_local(m, value);					\
			TAKE_SHADES(m)						\
		:: else								\
		fi;								\
		old = 0;							\
		value = 0;							\
		leave(m)							\
	}

#ifdef MUTANT_FINAL_SET_NO_SHADE
#define SET_SHADES(m) skip;
#else
#define SET_SHADES(m)								\
	if									\
	:: on[m] -> append(m, value)						\
	:: else									\
	fi;
#endif
#ifdef MUTANT_FINAL_TAKE_NO_SHADE
#define TAKE_SHADES(m) skip
#else
#define TAKE_SHADES(m)								\
	if									\
	:: old -> append(m, value)						\
	:: else									\
	fi
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

inline settle()
{
	condemned = finalizable & used & ~mark;
	finalizable = finalizable & ~condemned;
	reachable();
	assert(!(reach & condemned));
	reach = 0;
#if WITNESS == W_CONDEMNED
	assert(!condemned);
#endif
	mark = mark | condemned
}
