/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * identity.pml - weak pointers as objects, and the records that name them, a model of its own
 * (-DIDENTITY)
 *
 * Asks two questions.  Does a thread that makes a weak pointer of an object get the one that
 * somebody has already?  May a weak pointer come to name another object than the one it was made
 * of?  The rules are those of "Making a weak pointer" in Documentation/design/weak.md.
 *
 * A weak pointer W is an object that holds the number of a record.  The record holds the object
 * that W is a weak pointer of, and W itself, and neither of them is an edge for the marker.  So
 * both are read from the record as a weak read does.
 *
 * Memory is in order, and marking takes one step: what is reachable, and what was shaded, is
 * marked.  The places that lead to objects are locals, and a root that each thread may store to
 * and load from.
 *
 * Object 1 is the one that weak pointers are made of, and it may be freed and allocated again.
 * With FINALIZER it is marked again, after all has been settled, when it is dead.  Objects 2 and 3
 * are weak pointers.
 */

#ifndef MUTATORS
#define MUTATORS 2
#endif
#ifndef OPS
#define OPS 3
#endif
#ifndef CYCLES
#define CYCLES 2
#endif
#ifndef FINALIZER
#define FINALIZER 0
#endif
#ifndef WITNESS
#define WITNESS 0
#endif
#define W_SAME 1		/* one is found */
#define W_DEAD_FOUND 2		/* one is found whose weak pointer is dead */
#define W_MARKED_DEAD 3		/* a mark is found that came after all was settled */

#define BIT(o) (1 << (o))
#define O 1
#define OBJECTS 3
#define ALL (BIT(OBJECTS + 1) - 2)
#define RECORDS 2

byte loc[MUTATORS];		/* sets of objects */
byte root;
byte used = BIT(O), mark, buffer;
byte record_of[OBJECTS + 1];	/* of a weak pointer: 1 + its record */
bit stale[OBJECTS + 1];		/* of a weak pointer: its object is not the one of today */
bit on;				/* barriers */
bit inside[MUTATORS];
byte lock;			/* 1 + who has it */

mtype = { FREE, LIVE, DEAD };
mtype state[RECORDS];		/* DEAD: the object is, the weak pointer is not */
byte target[RECORDS], weak[RECORDS];

mtype = { PLAIN, MARKING, ROUND, ENDED };
mtype word = PLAIN;

byte i, x, reach;

inline reachable()
{
	reach = BIT(root);
	for (i : 0 .. MUTATORS - 1) { reach = reach | loc[i] }
	reach = reach & ALL;
	i = 0
}

/* ---- a thread ---------------------------------------------------------------------------- */

mtype = { IDLE, LOCK, FIND, READ, READ_MARK, READ_AGAIN, MAKE, GET };

#ifdef MUTANT_NEW_UNLOCKED
#define TAKE_LOCK true
#define LET_GO skip
#else
#define TAKE_LOCK !lock -> lock = m + 1
#define LET_GO lock = 0
#endif

/* The end of an operation: it has returned object @o, or none. */
inline done(o)
{
	if
	:: o ->
		reach = used;			/* run.sh looks for the word */
		assert(reach & BIT(o));
		reach = 0;
		loc[m] = loc[m] | BIT(o)
	:: else
	fi;
	at = IDLE;
	r = 0;
	w = 0;
	value = 0;
	making = 0;
	seen = PLAIN;
	inside[m] = 0
}

/* A weak pointer was found for O: no other may be in anybody's hands. */
inline check_same(o)
{
	reachable();
	for (i : 2 .. OBJECTS) {
		assert(i == o || !(reach & BIT(i)) || stale[i])
	}
	i = 0;
	reach = 0
}

/* A read of @value, which came from record @r: returned, or refused. */
inline read_returns()
{
	if
	:: making ->
#if WITNESS == W_SAME
		assert(false);
#endif
		check_same(value);
		LET_GO;
		done(value)
	:: else ->
		/* it is the object that the weak pointer was made of */
		reach = stale[w];
		assert(!reach);
		reach = 0;
		done(value)
	fi
}

inline read_refuses()
{
	if
	:: making ->
#if WITNESS == W_DEAD_FOUND
		assert(false);
#endif
		value = 0;
		r++;
		at = FIND
	:: else -> done(0)
	fi
}

proctype Mutator(byte m)
{
	mtype at = IDLE;
	byte r, w, value;
	bit making;
	mtype seen = PLAIN;		/* the word */
	byte ops = OPS;

end:
	do
	:: atomic { at == IDLE && root -> loc[m] = loc[m] | BIT(root) }
	:: atomic { at == IDLE && (loc[m] & BIT(1)) -> loc[m] = loc[m] & ~BIT(1) }
	:: atomic { at == IDLE && (loc[m] & BIT(2)) -> loc[m] = loc[m] & ~BIT(2) }
	:: atomic { at == IDLE && (loc[m] & BIT(3)) -> loc[m] = loc[m] & ~BIT(3) }
	/* A store, with its barrier. */
	:: atomic {
		at == IDLE && ops ->
		ops--;
		if
		:: w = 0
		:: loc[m] & BIT(1) -> w = 1
		:: loc[m] & BIT(2) -> w = 2
		:: loc[m] & BIT(3) -> w = 3
		fi;
		if
		:: on -> buffer = (buffer | BIT(root) | BIT(w)) & ALL
		:: else
		fi;
		root = w;
		w = 0
	}
	/* O is allocated anew: what was made of the old one is not of this one. */
	:: atomic {
		at == IDLE && ops && !(used & BIT(O)) ->
		ops--;
		used = used | BIT(O);
		if
		:: on -> mark = mark | BIT(O)
		:: else
		fi;
		stale[2] = 1;
		stale[3] = 1;
		loc[m] = loc[m] | BIT(O)
	}

	/* ---- make a weak pointer ------------------------------------------------------------ */

	:: atomic {
		at == IDLE && ops && (loc[m] & BIT(O)) ->
		ops--;
		inside[m] = 1;
		making = 1;
		at = LOCK
	}
	:: atomic { at == LOCK && TAKE_LOCK; at = FIND }
	/* From record @r on: the next one of O. */
	:: atomic {
		at == FIND ->
		do
		:: r < RECORDS && !(state[r] == LIVE && target[r] == O) -> r++
		:: else -> break
		od;
		at = (r == RECORDS -> MAKE : READ)
	}
	:: atomic {
		at == MAKE ->
		if
		:: !(used & BIT(2)) -> w = 2
		:: (used & BIT(2)) && !(used & BIT(3)) -> w = 3
		:: else -> w = 0
		fi;
		r = 0;
		do
		:: r < RECORDS && state[r] != FREE -> r++
		:: else -> break
		od;
		if
		:: !w || r == RECORDS -> LET_GO; done(0)	/* no memory */
		:: else ->
			check_same(0);
			used = used | BIT(w);
			if
			:: on -> mark = mark | BIT(w)
			:: else
			fi;
			record_of[w] = r + 1;
			stale[w] = 0;
			target[r] = O;
			weak[r] = w;
			state[r] = LIVE;
			LET_GO;
			done(w)
		fi
	}

	/* ---- read one ----------------------------------------------------------------------- */

	:: atomic {
		at == IDLE && ops && (loc[m] & (BIT(2) | BIT(3))) ->
		ops--;
		inside[m] = 1;
		if
		:: loc[m] & BIT(2) -> w = 2
		:: loc[m] & BIT(3) -> w = 3
		fi;
		r = record_of[w] - 1;
		at = READ
	}

	/*
	 * The read itself, as in weak.pml: the word, what the record holds, and what the word demands.
	 * With @making it is the weak pointer that is read from the record, else the object.
	 */
	:: atomic { at == READ -> seen = word; at = GET }
	:: atomic {
		at == GET ->
		value = (making -> weak[r] : target[r]);
		if
		:: !value -> read_refuses()
#ifdef MUTANT_NEW_NO_READ
		:: value && making -> read_returns()
#endif
		:: value && seen == PLAIN -> read_returns()
		:: value && seen != PLAIN -> at = READ_MARK
		fi
	}
	:: atomic {
		at == READ_MARK ->
		if
#ifdef MUTANT_READ_AGAIN_AT_END
		:: (mark & BIT(value)) && seen != ENDED -> read_returns()
		:: (mark & BIT(value)) && seen == ENDED -> at = READ_AGAIN
#else
		:: mark & BIT(value) -> at = READ_AGAIN
#endif
		:: !(mark & BIT(value)) && seen == ENDED -> read_refuses()
		:: !(mark & BIT(value)) && seen == ROUND ->
			if
			:: word == ROUND -> word = MARKING
			:: else
			fi;
			at = READ
		:: !(mark & BIT(value)) && seen == MARKING ->
			buffer = buffer | BIT(value);
			read_returns()
		fi
	}
	/*
	 * A mark may be one that came after all was settled, also for a reader that found ROUND.  Then
	 * the record is cleared.
	 */
	:: atomic {
		at == READ_AGAIN ->
#ifndef MUTANT_NO_READ_AGAIN
		if
		:: (making -> weak[r] : target[r]) != value ->
#if WITNESS == W_MARKED_DEAD
			assert(making);
#endif
			value = 0;
			read_refuses()
		:: else -> read_returns()
		fi
#else
		read_returns()
#endif
	}
	od
}

/* ---- the collector and the agent --------------------------------------------------------- */

inline quiesce()
{
	(!inside[0]);
	(!inside[MUTATORS - 1])
}

/* The agent, in H4, one record after the other, while threads go on. */
inline settle()
{
	do
	:: atomic {
		r < RECORDS ->
		if
#ifndef MUTANT_WEAK_KEEPS_RECORD
		:: state[r] != FREE && !(mark & BIT(weak[r])) ->
			state[r] = FREE;
			target[r] = 0;
			weak[r] = 0
#endif
		:: state[r] == LIVE && (mark & BIT(weak[r])) && !(mark & BIT(O)) ->
			stale[weak[r]] = 1;
			target[r] = 0;
#ifdef MUTANT_DEAD_IS_FREE
			weak[r] = 0;
			state[r] = FREE
#else
			state[r] = DEAD
#endif
		:: else
		fi;
		r++
	}
	:: atomic { r == RECORDS -> r = 0; break }
	od
}

/* O lives for one more cycle, and its finalizer may do with it what it likes. */
inline settle_finalizer()
{
	atomic {
		if
		:: (used & BIT(O)) && !(mark & BIT(O)) ->
			stale[2] = 1;
			stale[3] = 1;
			mark = mark | BIT(O);
			loc[0] = loc[0] | BIT(O)
		:: else
		fi
	}
}

inline cycle()
{
	atomic { on = 1; word = MARKING };
	quiesce();
	/* All stacks and roots at once: how that is done one by one is the barrier model's. */
	atomic { reachable(); mark = mark | reach; reach = 0 };
	do
	::
		atomic { mark = mark | (buffer & used); buffer = 0; word = ROUND };
		quiesce();
		atomic {
			x = buffer & used & ~mark;
			mark = mark | x;
			buffer = 0;
			/* The agent begins H4, or marking goes on. */
			if
			:: !x && word == ROUND -> word = ENDED; break
			:: else
			fi;
			x = 0
		}
	od;
#ifdef MUTANT_FINALIZERS_FIRST
	settle_finalizer();
	settle();
#else
	settle();
#if FINALIZER
	settle_finalizer();
#endif
#endif
	atomic { word = PLAIN };
	quiesce();
	/* What is allocated from here on, by the bitmap of the next cycle, this sweep does not see. */
	atomic { on = 0; buffer = 0; white = used & ~mark; mark = 0 };
	quiesce()
}

inline sweep()
{
	r = 1;
	do
	:: atomic {
		r <= OBJECTS ->
		if
		:: white & BIT(r) ->
			reachable();
			assert(!(reach & BIT(r)));
			reach = 0;
			used = used & ~BIT(r);
			record_of[r] = 0;
			stale[r] = 0
		:: else
		fi;
		r++
	}
	:: atomic { r > OBJECTS -> r = 0; white = 0; break }
	od
}

proctype Collector()
{
	byte r, white, cycles;

	do
	:: cycles < CYCLES ->
		cycles++;
		cycle();
		sweep()
	:: else -> break
	od
}

init {
	atomic {
		for (i : 0 .. MUTATORS - 1) { loc[i] = BIT(O) };
		i = 0;
		state[0] = FREE;
		state[1] = FREE;
		run Collector();
		run Mutator(0);
#if MUTATORS > 1
		run Mutator(1)
#endif
	}
}
