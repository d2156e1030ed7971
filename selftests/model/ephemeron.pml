/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * ephemeron.pml - weak maps: records of (owner, key, value) against marking, a model of its own
 * (-DEPHEMERON)
 *
 * Asks three questions.  May the sweep free a value whose map and key are reachable?  May a record
 * come to say something of another object than the one it was made for?  May an entry be dropped
 * whose key is found again by a weak read?  The rules are those of "Weak maps" in
 * Documentation/design/weak.md.
 *
 * What the barrier model shows is taken as given here: memory is in order, a store to a root or a
 * field is one step together with its shading, and a fence is not seen.  What takes more than one
 * step is inside the library meanwhile, and quiesce() waits for it.
 *
 * Objects are 1 ... NOBJ, each with one field; sets of them are words.  A thread's locals are a
 * set.  In the beginning 1 is a map, which has 2 as a key of value 3, and with RECORDS=2 also 3 as
 * a key of value 4; 3 may refer to its own key.  With NOBJ=5 the second record is of another map:
 * 3, which refers to key 4.  Each thread holds all four, and drops what it likes.
 */

#ifndef MUTATORS
#define MUTATORS 1
#endif
#ifndef NOBJ
#define NOBJ 4
#endif
#ifndef NROOT
#define NROOT 1
#endif
#ifndef RECORDS
#define RECORDS 2
#endif
#ifndef OPS
#define OPS 2			/* of each thread; loads, and locals that die, are free */
#endif
#ifndef CYCLES
#define CYCLES 1
#endif
#ifndef ASSIST
#define ASSIST 0		/* threads assist */
#endif
#ifndef INDEX
#define INDEX 0			/* an index from keys to what waits for them, in place of passes */
#endif
#ifndef ALLOC
#define ALLOC 0			/* threads allocate */
#endif
#ifndef DEATH
#define DEATH 0			/* the collector may die */
#endif
#ifndef NEW
#define NEW 0			/* threads make new records */
#endif

#ifndef WITNESS
#define WITNESS 0
#endif
#define W_VALUE_FREED 1		/* a value that refers to its own key is freed */
#define W_PASS_AGAIN 2		/* a second pass finds something */
#define W_SUPPLIED 3		/* a round is not clean only because of a weak read */
#define W_REUSED 4		/* a record is used again */

#define BIT(o) (1 << (o))
#define ALL (BIT(NOBJ + 1) - 2)

byte root[NROOT];
byte field[NOBJ + 1];
byte loc[MUTATORS];		/* sets */

/* A record.  Who reads it while it is made or removed sees its parts at different times. */
mtype = { FREE, LIVE, LIMBO };
mtype state[RECORDS];
byte owner[RECORDS], key[RECORDS], value[RECORDS];
byte resting;			/* those that were in limbo before all were seen outside */

byte weak;			/* the object of one weak pointer */

byte used, mark, grey;		/* sets of objects */
byte buffer;			/* of all threads */
byte handed_over;		/* by assisting threads: marked, not scanned */
bit on;				/* barriers */
bit black;			/* allocation */
bit inside[MUTATORS];
bit changed;			/* something was marked since this was cleared */
bit offers = 1;			/* there is something for assisting threads */
byte waits[RECORDS];		/* the index: the object that a record waits for */
byte unreachable;		/* said to be dead: by a weak read, or as a record was cleared */

#define WORD_PLAIN 0
#define WORD_MARKING 1
#define WORD_ROUND 2
#define WORD_ENDED 3
byte word;

#if DEATH
bit dead;
#endif

/* Scratch within atomic steps. */
byte i, x, reach;

/* From locals and roots, by fields, and by records whose map and key are reached. */
inline reachable()
{
	d_step {
		reach = 0;
		for (i : 0 .. MUTATORS - 1) { reach = reach | loc[i] }
		for (i : 0 .. NROOT - 1) { reach = reach | BIT(root[i]) }
		x = 0;
		do
		:: x != reach ->
			x = reach;
			for (i : 1 .. NOBJ) {
				if
				:: reach & BIT(i) -> reach = reach | BIT(field[i])
				:: else
				fi
			}
			for (i : 0 .. RECORDS - 1) {
				if
				:: state[i] == LIVE && (reach & BIT(owner[i])) && (reach & BIT(key[i])) ->
					reach = reach | BIT(value[i])
				:: else
				fi
			}
		:: else -> break
		od;
		reach = reach & ALL;
		x = 0;
		i = 0
	}
}

inline shade(o)
{
	if
	:: on && (o) && !(mark & BIT(o)) -> buffer = buffer | BIT(o)
	:: else
	fi
}

/* ---- a thread ---------------------------------------------------------------------------- */

mtype = { IDLE, GET, SHADE_OLD, SHADE_NEW, SCAN, COUNT };

#define MAY_ACT (at == IDLE && ops > 0)
#define HOLDS(o) ((o) && (loc[m] & BIT(o)))

/* Blocks if there is none. */
inline any_held(o)
{
	if
	:: HOLDS(1) -> o = 1
	:: HOLDS(2) -> o = 2
	:: HOLDS(3) -> o = 3
#if NOBJ > 3
	:: HOLDS(4) -> o = 4
#endif
#if NOBJ > 4
	:: HOLDS(5) -> o = 5
#endif
	fi
}

inline any_record(n)
{
	n = 0;
#if RECORDS > 1
	if
	:: skip
	:: n = 1
	fi
#endif
}

/* A thread comes by @o: it exists, and nobody has said that it is dead. */
inline obtain(o)
{
	assert(!(BIT(o) & unreachable & ALL));
	reach = used;			/* run.sh looks for the word */
	assert((o) == 0 || (reach & BIT(o)));
	reach = 0;
	loc[m] = (loc[m] | BIT(o)) & ALL
}

/*
 * A store to a record's value is as one to any slot: inside, what is removed is shaded, and what
 * is put in.  The mutants leave the one or the other out.
 */
#ifdef MUTANT_SET_NO_OLD
#define SET_SHADES_OLD(o) skip
#else
#define SET_SHADES_OLD(o) shade(o)
#endif
#ifdef MUTANT_SET_NO_NEW
#define SET_SHADES_NEW(o) skip
#else
#define SET_SHADES_NEW(o) shade(o)
#endif
#ifdef MUTANT_REMOVE_NO_SHADE
#define REMOVE_SHADES(o) skip
#else
#define REMOVE_SHADES(o) shade(o)
#endif
/* What would do as well. */
#ifdef GET_SHADES
#define GET_SHADE(o) shade(o)
#else
#define GET_SHADE(o) skip
#endif

#ifdef MUTANT_ROUND_NOT_TOLD
#define TELL skip
#else
#define TELL if :: word == WORD_ROUND -> word = WORD_MARKING :: else fi
#endif

proctype Mutator(byte m)
{
	mtype at = IDLE;
	byte n;				/* a record */
	byte old, new;			/* to be shaded */
	bit removing, marking;		/* @marking: barriers were on as the store began */
	byte hand;			/* the object that an assist scans */
	byte ops = OPS;

end:
	do
	/* ---- loads, locals that die, stores to roots and fields ----------------------------- */

	:: atomic { at == IDLE -> n = 0; obtain(root[n]) }
	:: atomic { at == IDLE && loc[m] -> any_held(n); obtain(field[n]); n = 0 }
	:: atomic { at == IDLE && loc[m] -> any_held(n); loc[m] = loc[m] & ~BIT(n); n = 0 }
	:: atomic {
		MAY_ACT ->
		ops--;
		if
		:: new = 0
		:: loc[m] -> any_held(new)
		fi;
		shade(root[0]);
		shade(new);
		root[0] = new;
		new = 0
	}
	:: atomic {
		MAY_ACT && loc[m] ->
		ops--;
		any_held(n);
		if
		:: new = 0
		:: loc[m] -> any_held(new)
		fi;
		shade(field[n]);
		shade(new);
		field[n] = new;
		n = 0;
		new = 0
	}

	/* ---- get: find the record, read its value ------------------------------------------- */

	:: atomic {
		MAY_ACT ->
		any_record(n);
		if
		:: state[n] == LIVE && HOLDS(owner[n]) && HOLDS(key[n]) ->
			ops--;
			inside[m] = 1;
			old = key[n];
			at = GET
		:: else -> n = 0
		fi
	}
	:: atomic {
		at == GET ->
		/* it may have been removed since; it may not be another one */
		reach = (state[n] == LIVE && key[n] != old);
		assert(!reach);
		reach = 0;
		GET_SHADE(value[n]);
		obtain(value[n]);
		inside[m] = 0;
		old = 0;
		n = 0;
		at = IDLE
	}

	/* ---- set, of a key that is there; remove -------------------------------------------- */

	:: atomic {
		MAY_ACT ->
		any_record(n);
		if
		:: state[n] == LIVE && HOLDS(owner[n]) && HOLDS(key[n]) ->
			ops--;
			inside[m] = 1;
			marking = on;
			old = value[n];
			if
			:: any_held(new);
				value[n] = new
			:: removing = 1;
				value[n] = 0;
				state[n] = LIMBO;
				owner[n] = 0;
				key[n] = 0
			fi;
			at = SHADE_OLD
		:: else
		fi;
		n = 0
	}
	:: atomic {
		at == SHADE_OLD ->
		if
		:: marking && removing -> REMOVE_SHADES(old)
		:: marking && !removing -> SET_SHADES_OLD(old)
		:: else
		fi;
		old = 0;
		at = SHADE_NEW
	}
	:: atomic {
		at == SHADE_NEW ->
		if
		:: marking -> SET_SHADES_NEW(new)
		:: else
		fi;
		new = 0;
		removing = 0;
		marking = 0;
		inside[m] = 0;
		at = IDLE
	}

#if NEW
	/* ---- set, of a key that is not there ------------------------------------------------ */

	:: atomic {
		MAY_ACT ->
		any_record(n);
		if
#ifdef MUTANT_REUSE_AT_ONCE
		:: state[n] != LIVE && loc[m] ->
#else
		:: state[n] == FREE && loc[m] ->
#endif
			ops--;
			inside[m] = 1;
			marking = on;
#if WITNESS == W_REUSED
			assert(!resting);
#endif
			any_held(old);
			owner[n] = old;
			any_held(old);
			key[n] = old;
			any_held(new);
			value[n] = new;
			old = 0;
			state[n] = LIVE;
			at = SHADE_NEW
		:: else
		fi;
		n = 0
	}
#endif

	/* ---- a weak read, as in weak.pml: one step here -------------------------------------- */

	:: atomic {
		MAY_ACT && weak ->
		ops--;
		if
		:: word == WORD_PLAIN -> obtain(weak)
		:: (word == WORD_MARKING || word == WORD_ROUND) && !(mark & BIT(weak)) ->
			TELL;
			shade(weak);
			obtain(weak)
		:: word != WORD_PLAIN && (mark & BIT(weak)) -> obtain(weak)
		:: word == WORD_ENDED && !(mark & BIT(weak)) ->
			reachable();
			assert(!(reach & BIT(weak)));
			reach = 0;
			unreachable = unreachable | BIT(weak)
		fi
	}

#if ALLOC
	:: atomic {
		MAY_ACT && (ALL & ~used) ->
		ops--;
		for (i : 1 .. NOBJ) {
			if
			:: !(used & BIT(i)) -> n = i
			:: else
			fi
		}
		i = 0;
		used = used | BIT(n);
		if
		:: black -> mark = mark | BIT(n)
		:: else
		fi;
		loc[m] = loc[m] | BIT(n);
		n = 0
	}
#endif

#if ASSIST
	/* ---- an assist takes a grey object, scans it, hands over, counts ---------------------- */

	:: atomic {
		at == IDLE && offers && on && grey ->
		inside[m] = 1;
		hand = 1;
		do
		:: !(grey & BIT(hand)) -> hand++
		:: grey & BIT(hand) -> break
		od;
		grey = grey & ~BIT(hand);
		at = SCAN
	}
	:: atomic {
		at == SCAN ->
		n = field[hand];
		hand = 0;
		if
		:: n && (used & BIT(n)) && !(mark & BIT(n)) ->
			mark = mark | BIT(n);
			/* without a field it is a leaf: counted, and not handed over */
			if
			:: field[n] -> handed_over = handed_over | BIT(n)
			:: else
			fi;
			at = COUNT
		:: else ->
			inside[m] = 0;
			at = IDLE
		fi;
		n = 0
	}
	:: atomic { at == COUNT -> changed = 1; inside[m] = 0; at = IDLE }
#endif
	od
}

#include "fixpoint.pml"

init {
	atomic {
		used = ALL;
		state[0] = LIVE;
		owner[0] = 1;
		key[0] = 2;
		value[0] = 3;
#if RECORDS > 1
#if NOBJ > 4
		/* A map that is the value of the other's entry, and refers to its own key. */
		state[1] = LIVE;
		owner[1] = 3;
		key[1] = 4;
		value[1] = 5;
		field[3] = 4;
#else
		/* Free, or one that hangs on the other; in either order of a pass. */
		if
		:: state[1] = FREE
		:: state[1] = LIVE;
			owner[1] = 1;
			key[1] = 3;
			value[1] = 4
		:: state[1] = LIVE;
			owner[1] = 1;
			key[1] = 2;
			value[1] = 3;
			key[0] = 3;
			value[0] = 4
		fi;
#endif
#else
		state[0] = LIVE;
#endif
#if NOBJ <= 4
		if
		:: skip
		:: field[3] = 2
		:: field[2] = 3
		:: field[1] = 2
		fi;
#endif
		do
		:: root[0] < NOBJ -> root[0]++
		:: break
		od;
		weak = 2;
		for (i : 0 .. MUTATORS - 1) { loc[i] = ALL };
		i = 0;
#if DEATH
		run Killer();
#endif
		run Collector();
		run Mutator(0);
#if MUTATORS > 1
		run Mutator(1)
#endif
	}
}
