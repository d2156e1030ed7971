/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * weak.pml - weak reads against the marking of the barrier model: WEAK cells that are no roots
 *
 * The rules are those of "Reading a weak pointer" in Documentation/design/weak.md.  All read one word,
 * which says what a read has to do:
 *
 *	PLAIN	return what is there
 *	MARKING	shade it if it is white, and return it
 *	ROUND	a round of termination is under way: if it is white, put MARKING in place of ROUND, and
 *		begin anew.  The round will not be clean
 *	ENDED	marking has ended: return it if it is marked
 *
 * The agent writes all of them: MARKING in H1 before the fence, ROUND before a round's fence.  When a
 * round was clean, it begins H4 by putting ENDED in place of ROUND.  If the word is another, there is
 * no H4 yet, and marking goes on.  Then it clears the cells whose object is white, and writes PLAIN
 * before H4's fence.  H4 goes on to its end even if the daemon dies, so a cycle that is abandoned has
 * refused nothing.
 *
 * A read has these steps: WEAK_STATE reads the word, and after it WEAK_LOAD the cell; WEAK_TEST
 * tests the mark; WEAK_ROUND tells the collector; WEAK_SUPPLY shades.
 *
 * Beside the property of the barrier model there are two: what a read refuses is reached by nothing, and
 * stays so (@unreachable).  So no two threads are told different things about one object.
 */

#define WORD_PLAIN 0
#define WORD_MARKING 1
#define WORD_ROUND 2
#define WORD_ENDED 3

byte weak[WEAK];		/* the cells */
byte word;
byte unreachable;		/* objects that a read has refused */

mtype = { WEAK_STATE, WEAK_LOAD, WEAK_TEST, WEAK_ROUND, WEAK_SUPPLY };

/* ---- a thread ---------------------------------------------------------------------------- */

inline weak_return(m, o)
{
	assert(!(unreachable & BIT(o)));
	set_local(m, o);
	drain(m);
	old = 0;
	leave(m)
}

inline weak_refuse(m, o)
{
	drain(m);
	reachable();
	assert(!(reach & BIT(o)));
	reach = 0;
	unreachable = unreachable | BIT(o);
#if WITNESS == W_REFUSED
	assert(false);
#endif
	old = 0;
	leave(m)
}

#ifdef MUTANT_WEAK_NO_SHADE
#define WEAK_APPEND(m, o) skip
#else
#define WEAK_APPEND(m, o) append(m, o)
#endif

/* Append only: the collector is not told. */
#ifdef MUTANT_WEAK_NOT_TOLD
#define AFTER_ROUND WEAK_SUPPLY
#define TELL skip
#else
#define AFTER_ROUND WEAK_FIRST
#define TELL								\
	if								\
	:: word == WORD_ROUND -> word = WORD_MARKING				\
	:: else								\
	fi
#endif

#if WEAK > 1
#define ANY_WEAK							\
	if								\
	:: i = 0							\
	:: i = 1							\
	fi
#else
#define ANY_WEAK i = 0
#endif

/* What is to be done with what the cell holds, as the word has it. */
#define WEAK_CHOOSE							\
	if								\
	:: !value -> drain(m); old = 0; leave(m)			\
	:: value && old == WORD_PLAIN -> weak_return(m, value)		\
	:: value && old == WORD_MARKING -> at = WEAK_SUPPLY		\
	:: value && old >= WORD_ROUND -> at = WEAK_TEST			\
	fi

#ifdef MUTANT_WEAK_LOAD_FIRST
#define WEAK_FIRST WEAK_LOAD
#define WEAK_AFTER_LOAD at = WEAK_STATE
#define WEAK_AFTER_STATE WEAK_CHOOSE
#else
#define WEAK_FIRST WEAK_STATE
#define WEAK_AFTER_STATE at = WEAK_LOAD
#define WEAK_AFTER_LOAD WEAK_CHOOSE
#endif

/* A new weak pointer is a cell that gets what a local holds. */
#define WEAK_STEPS(m)							\
	:: atomic { MAY_ACT -> ACT; ANY_WEAK; any_value(m, weak[i]); i = 0 }	\
	:: atomic {							\
		MAY_ACT ->						\
		ACT;							\
		put(m, SB_INLIB, 1);					\
		at = WEAK_FIRST						\
	}								\
	:: atomic { at == WEAK_STATE -> old = word; WEAK_AFTER_STATE }	\
	:: atomic {							\
		at == WEAK_LOAD ->					\
		ANY_WEAK;						\
		value = weak[i];					\
		i = 0;							\
		WEAK_AFTER_LOAD						\
	}								\
	:: atomic {							\
		at == WEAK_TEST ->					\
		if							\
		:: mark & BIT(value) -> weak_return(m, value)		\
		:: !(mark & BIT(value)) && old == WORD_ROUND -> at = WEAK_ROUND	\
		:: !(mark & BIT(value)) && old == WORD_ENDED -> weak_refuse(m, value)	\
		fi							\
	}								\
	:: atomic {							\
		at == WEAK_ROUND ->					\
		drain(m);						\
		TELL;							\
		at = AFTER_ROUND					\
	}								\
	:: atomic {							\
		at == WEAK_SUPPLY ->					\
		WEAK_APPEND(m, value);					\
		weak_return(m, value)					\
	}

/* ---- the agent ---------------------------------------------------------------------------- */

/* In H1, before the fence. */
#ifdef MUTANT_WEAK_MARKING_LATE
#define WEAK_BEGIN skip
#else
#define WEAK_BEGIN word = WORD_MARKING
#endif

/* A round begins: before its fence.  Mutants: behind it. */
#define SET_ROUND atomic { word = WORD_ROUND }
#ifdef MUTANT_WEAK_ROUND_LATE
#define WEAK_ROUND_BEGINS skip
#define WEAK_ROUND_FENCED SET_ROUND
#else
#define WEAK_ROUND_BEGINS SET_ROUND
#define WEAK_ROUND_FENCED skip
#endif

/*
 * Nothing was found in a round.  May it be the last?  Mutants: the word is not looked at; the daemon
 * says that marking has ended, and may die before H4 (WEAK_ENDED_EARLY, in collector.pml).
 */
#ifdef MUTANT_WEAK_NOT_ASKED
#define WEAK_CLEAN true
#else
#define WEAK_CLEAN (word == WORD_ROUND)
#endif

/* That was the last one: H4 begins.  Mutant: ENDED is not written. */
#ifdef MUTANT_WEAK_NO_ENDED
#define WEAK_DECIDED skip
#else
#define WEAK_DECIDED word = WORD_ENDED
#endif

/* After the last round, cell by cell. */
inline weak_settle()
{
	do
	:: atomic {
		slot < WEAK ->
		if
		:: weak[slot] && !(mark & BIT(weak[slot])) -> weak[slot] = 0
		:: else
		fi;
		slot++
	}
	:: atomic { slot == WEAK -> slot = 0; break }
	od
}

#ifdef MUTANT_WEAK_NOT_SETTLED
#define WEAK_SETTLE skip
#else
#define WEAK_SETTLE weak_settle()
#endif

/* In H4, before the fence; with the mutant, when all have changed over. */
#ifdef MUTANT_WEAK_PLAIN_LATE
#define WEAK_END skip
#define WEAK_ENDED word = WORD_PLAIN
#else
#define WEAK_END word = WORD_PLAIN
#define WEAK_ENDED skip
#endif

/*
 * The program frees an object itself: no weak read gives it back after that, though it is there for
 * a while.  With the mutant, only when H4 takes the note.
 */
inline weak_freed(o)
{
	unreachable = unreachable | BIT(o);
#ifndef MUTANT_WEAK_FREE_NOTED
	i = 0;
	do
	:: i < WEAK ->
		if
		:: weak[i] == o -> weak[i] = 0
		:: else
		fi;
		i++
	:: else -> break
	od;
	i = 0
#endif
}
#define WEAK_FREED(o) weak_freed(o)
