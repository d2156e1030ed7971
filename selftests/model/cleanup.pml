/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cleanup.pml - the record of a cleanup (-DCLEANUP=1; not with FREE)
 *
 *	add	a thread has an object and an argument: the record is live.  It shades the argument
 *		while marking
 *	stop	the record is free.  The thread shades the argument while marking
 *	walk	the daemon, while it marks: the argument of a record that is live or queued, which is
 *		a root.  The object is none
 *	settle	the agent, in H4, after the finalizers have been settled: if the object is white, the
 *		record is queued
 *	take	a thread takes the argument of a queued record, which is free then.  It shades the
 *		argument while marking
 *
 * Beside the property of all: the object is not freed while the record is live, and is reachable
 * from nowhere when the record is queued and when it is taken.
 */

mtype = { CLEANUP_ADD, CLEANUP_ADDED, CLEANUP_STOP, CLEANUP_STOPPED, CLEANUP_TAKE, CLEANUP_TAKEN };

mtype = { CLEANUP_FREE, CLEANUP_LIVE, CLEANUP_QUEUED };
mtype cleanup = CLEANUP_FREE;
byte target;			/* the object; 0 when that was freed */
byte argument;			/* 0: none, or the record is free */

inline cleanup_set(to, o, a)
{
	target = o;
	argument = a;
	cleanup = to
}

#define CLEANUP_STEPS(m)							\
	:: atomic {								\
		MAY_ACT && !IS_SLOTLESS(m) && LOC(m, 0) && cleanup == CLEANUP_FREE ->	\
		any_value(m, value);						\
		any_value(m, old);						\
		if								\
		:: value && old != value -> ACT; put(m, SB_INLIB, 1); at = CLEANUP_ADD	\
		:: else -> value = 0; old = 0					\
		fi								\
	}									\
	:: atomic {								\
		at == CLEANUP_ADD ->						\
		drain(m);							\
		if								\
		:: cleanup == CLEANUP_FREE ->					\
			cleanup_set(CLEANUP_LIVE, value, old);			\
			at = CLEANUP_ADDED					\
		:: else -> old = 0; leave(m)					\
		fi								\
	}									\
	:: atomic { at == CLEANUP_ADDED -> ADDED_SHADES(m); old = 0; leave(m) }	\
	:: atomic {								\
		MAY_ACT && !IS_SLOTLESS(m) && cleanup == CLEANUP_LIVE ->	\
		ACT;								\
		put(m, SB_INLIB, 1);						\
		at = CLEANUP_STOP						\
	}									\
	:: atomic {								\
		at == CLEANUP_STOP ->						\
		drain(m);							\
		if								\
		:: cleanup == CLEANUP_LIVE ->					\
			old = argument;						\
			cleanup_set(CLEANUP_FREE, 0, 0);			\
			at = CLEANUP_STOPPED					\
		:: else -> leave(m)						\
		fi								\
	}									\
	:: atomic { at == CLEANUP_STOPPED -> STOPPED_SHADES(m); old = 0; leave(m) }	\
	:: atomic {								\
		MAY_ACT && !IS_SLOTLESS(m) && cleanup == CLEANUP_QUEUED ->	\
		ACT;								\
		put(m, SB_INLIB, 1);						\
		at = CLEANUP_TAKE						\
	}									\
	:: atomic {								\
		at == CLEANUP_TAKE ->						\
		drain(m);							\
		if								\
		:: cleanup == CLEANUP_QUEUED ->					\
			reachable();						\
			assert(!target || !(reach & BIT(target)));		\
			reach = 0;						\
			old = argument;						\
			cleanup_set(CLEANUP_FREE, 0, 0);			\
			set_local(m, old);					\
			at = CLEANUP_TAKEN					\
		:: else -> leave(m)						\
		fi								\
	}									\
	:: atomic { at == CLEANUP_TAKEN -> TAKEN_SHADES(m); old = 0; leave(m) }

#define SHADE_OLD_IF_ON(m)							\
	if									\
	:: on[m] -> append(m, old)						\
	:: else									\
	fi

#ifdef MUTANT_CLEANUP_ADD_NO_SHADE
#define ADDED_SHADES(m) skip
#else
#define ADDED_SHADES(m) SHADE_OLD_IF_ON(m)
#endif
#ifdef MUTANT_CLEANUP_STOP_NO_SHADE
#define STOPPED_SHADES(m) skip
#else
#define STOPPED_SHADES(m) SHADE_OLD_IF_ON(m)
#endif
#ifdef MUTANT_CLEANUP_TAKE_NO_SHADE
#define TAKEN_SHADES(m) skip
#else
#define TAKEN_SHADES(m) SHADE_OLD_IF_ON(m)
#endif

/* Daemon, at any time after every barrier is on. */
#define CLEANUP_WALKED (!walk_cleanup)
#ifdef MUTANT_CLEANUP_NO_ROOT
#define CLEANUP_WALK								\
	:: atomic { walk_cleanup -> walk_cleanup = 0 }
#else
#define CLEANUP_WALK								\
	:: atomic {								\
		walk_cleanup ->							\
		walk_cleanup = 0;						\
		if								\
		:: MATTERS(argument) -> queue = queue | BIT(argument)		\
		:: else								\
		fi								\
	}
#endif

/* Agent. */
inline settle_cleanup()
{
	if
	:: cleanup == CLEANUP_LIVE && !(mark & BIT(target)) ->
		reachable();
		assert(!(reach & BIT(target)));
		reach = 0;
#if WITNESS == W_CLEANUP_QUEUED
		assert(!argument);
#endif
		cleanup = CLEANUP_QUEUED
	:: else
	fi
}

/* The sweep frees @o. */
inline cleanup_freed(o)
{
	if
	:: target == o ->
		reach = (cleanup == CLEANUP_LIVE);	/* run.sh looks for the word */
		assert(!reach);
		target = 0
	:: else
	fi
}
