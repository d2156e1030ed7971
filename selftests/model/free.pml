/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * free.pml - objects that the program frees itself (-DFREE=1)
 *
 * The thread vouches that nothing leads to the object but the local that it frees it by, and other
 * threads' stores to it have landed.  What is left of that local is a stale word, which is still
 * scanned.
 *
 *	not marking	the object is free at once: in a restartable sequence that tests the barrier
 *			flag, or in the library with the cache lock held
 *	marking		its thread notes it, in the library with the cache lock held.  H4 takes the
 *			notes as it changes the thread over, and withdraws the marks of what they
 *			name before anything is swept.  An abandoned cycle leaves the notes: nothing
 *			was swept, so they hold, and the thread frees the objects itself
 *
 * A slot that comes back into its thread's window takes the window's colour only if that is given
 * later: a window is made black once, in H1.
 *
 * That a freed object's words are zero at once is the harshest case: its slot is used again when it
 * is handed out.
 */

mtype = { FREE_TORN, FREE_CALL, FREE_LOCK, FREE_FLAG, FREE_OFF, FREE_ON };

byte stale[MUTATORS];		/* a word that a thread still has of an object that it has freed */
byte noted[MUTATORS];		/* freed while marking: each thread's notes */
byte pushed[MUTATORS], white;	/* slots that came into a window when it was black already */
byte withdrawn;			/* notes that H4 has taken, or that a thread which ended has left */
bit cache_lock[MUTATORS];
bit completes;			/* the flip that is under way ends a cycle, and does not abandon it */

#ifdef MUTANT_FREE_AT_ONCE
#define FREE_WAITS(m) false
#else
#define FREE_WAITS(m) (on[m] || black[m])
#endif

#if !WEAK
#define WEAK_FREED(o) skip
#endif

#define IN_OBJECT(c, o) ((c) > ROOTS && (c) <= NCELL && OWNER(c) == (o))
/* A store of another thread's to @o is on its way: the program has waited for that. */
#if MUTATORS == 1
#define STORED_TO(m, o) false
#else
#define STORED_TO(m, o) (((m) != 0 && IN_OBJECT(sb_to[0], o)) || ((m) != 1 && IN_OBJECT(sb_to[1], o)))
#endif

/* The local that holds @o is taken from the thread, and given back. */
inline take_local(m, o)
{
#if NLOC > 1
	if
	:: LOC(m, 0) == o -> LOC(m, 0) = LOC(m, 1)
	:: else
	fi;
	LOC(m, 1) = 0
#else
	LOC(m, 0) = 0
#endif
}

inline set_local_back(m, o)
{
#if NLOC > 1
	LOC(m, 1) = o;
	if
	:: LOC(m, 0) < o ->
		LOC(m, 1) = LOC(m, 0);
		LOC(m, 0) = o
	:: else
	fi
#else
	LOC(m, 0) = o
#endif
}

/* The object's slot may be handed out from here on. */
inline free_object(o)
{
	reachable();
	assert(!(reach & BIT(o)));
	reach = 0;
	used = used & ~BIT(o);
	mark = mark & ~BIT(o);
	swept = swept & ~BIT(o);
#if WEAK
	unreachable = unreachable & ~BIT(o);
#endif
	if
	:: black[m] ->
		pushed[m] = pushed[m] | BIT(o);
		white = white | BIT(o)
	:: else
	fi;
	for (i : SLOT(o, 0) .. SLOT(o, SLOTS - 1)) {
		mem[i] = 0
	}
	i = 0
}

inline return_from_free(m)
{
	cache_lock[m] = 0;
	inlib[m] = 0;
	value = 0;
	at = IDLE
}

#define FREE_STEPS(m)								\
	:: atomic {								\
		MAY_ACT && !IS_SLOTLESS(m) && LOC(m, 0) && !stale[m] ->			\
		any_value(m, value);							\
		if									\
		:: value == 0 || STORED_TO(m, value)					\
		:: else ->								\
			take_local(m, value);						\
			reachable();							\
			if								\
			:: reach & BIT(value) -> set_local_back(m, value)		\
			:: else ->							\
				ACT;							\
				drain(m);						\
				stale[m] = value;					\
				WEAK_FREED(value);					\
				FREE_FAST(m)						\
			fi								\
		fi;									\
		if									\
		:: at == IDLE -> value = 0						\
		:: else									\
		fi;									\
		reach = 0							\
	}									\
	:: atomic { at == FREE_TORN -> free_object(value); return_from_free(m) }	\
	:: atomic { at == FREE_CALL -> put(m, SB_INLIB, 1); at = FREE_LOCK }	\
	:: atomic { at == FREE_LOCK -> drain(m); FREE_LOCKS(m); at = FREE_FLAG }	\
	:: atomic {								\
		at == FREE_FLAG ->						\
		if								\
		:: FREE_WAITS(m) -> at = FREE_ON				\
		:: else -> at = FREE_OFF					\
		fi								\
	}									\
	:: atomic { at == FREE_OFF -> free_object(value); return_from_free(m) }	\
	:: atomic {								\
		at == FREE_ON ->						\
		noted[m] = noted[m] | BIT(value);				\
		return_from_free(m)						\
	}									\
	/* Notes of a cycle that was abandoned; H4 has taken all others. */	\
	:: atomic {								\
		RUNS && noted[m] && !FREE_WAITS(m) ->				\
		any_member(value, noted[m]);					\
		noted[m] = noted[m] & ~BIT(value);				\
		if								\
		:: used & BIT(value) -> free_object(value)			\
		:: else								\
		fi;								\
		value = 0							\
	}									\
	/* The stale word is overwritten. */					\
	:: atomic { RUNS && stale[m] -> stale[m] = 0 }

/* The sequence: the flag is tested and the object freed in one step, or the sequence restarts. */
#ifdef MUTANT_FREE_NO_RESTART
#define FREE_FAST(m) at = (IS_FALLBACK(m) || FREE_WAITS(m) -> FREE_CALL : FREE_TORN)
#else
#define FREE_FAST(m)								\
	if									\
	:: IS_FALLBACK(m) || FREE_WAITS(m) -> at = FREE_CALL			\
	:: else -> free_object(value)						\
	fi
#endif

#ifdef MUTANT_FREE_UNLOCKED
#define FREE_LOCKS(m) skip
#else
#define FREE_LOCKS(m) cache_lock[m] = 1
#endif
#define UNLOCKED(t) (!cache_lock[t])

/* H4, thread @t, with its cache lock held. */
inline take_notes(t)
{
#ifndef MUTANT_FREE_NOTES_STAY
	if
	:: completes ->
		withdrawn = withdrawn | noted[t];
		noted[t] = 0
	:: else
	fi;
	white = white & ~pushed[t];
	pushed[t] = 0
#else
	white = 0
#endif
}

inline withdraw_marks()
{
#if WITNESS == W_WITHDRAWN
	assert(!(withdrawn & mark));
#endif
	mark = mark & ~withdrawn;
	withdrawn = 0
}
