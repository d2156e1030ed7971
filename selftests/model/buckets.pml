/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * buckets.pml - readers of a weak map without its lock, a model of its own (-DBUCKETS)
 *
 * Asks one question: may a get miss an entry that is there all the time?  The rules are those of
 * "Walks without a lock" in Documentation/design/weak.md.
 *
 * A record has its key for good, unless it is removed and used again; that of A stays.  A table
 * has one bucket, and the table that takes its place two.  A thread that has the map's lock
 * inserts, removes and resizes; each of its stores is a step.  Stores are seen in order, as are
 * loads.
 */

#ifndef RECORDS
#define RECORDS 3
#endif
#ifndef CHANGES
#define CHANGES 3		/* by the thread that has the lock */
#endif
#ifndef GETS
#define GETS 1
#endif
#ifndef WITNESS
#define WITNESS 0
#endif
#define W_AGAIN 1		/* a get has to look again */

#define A 1
#define BUCKET(r) (1 + side[r])	/* in the new table; the old one has bucket 0 */

byte next[RECORDS + 1];		/* of a record; 0: none */
byte head[3];
bit table;			/* the new one is in use */
byte seq;
bit side[RECORDS + 1];		/* as its key has it: another one when the record is used again */
bit in[RECORDS + 1];		/* linked */
bit limbo[RECORDS + 1];
bit reading;

#ifdef MUTANT_BUCKETS_REUSE
#define RESTED true
#else
#define RESTED (!limbo[r] || !reading)
#endif

#define HEAD_OF(r) head[(table -> BUCKET(r) : 0)]

/* Blocks if there is none. */
inline any_other(r, linked)
{
	if
	:: in[2] == linked -> r = 2
#if RECORDS > 2
	:: in[3] == linked -> r = 3
#endif
	fi
}

proctype Writer()
{
	byte r, p, n, changes = CHANGES;

end:
	do
	/* insert */
	:: atomic { changes && (!in[2] || !in[RECORDS]) -> changes--; any_other(r, 0) };
		atomic {
			RESTED ->
			limbo[r] = 0;
			if
			:: side[r] = 0
			:: side[r] = 1
			fi;
			next[r] = HEAD_OF(r)
		};
		atomic { HEAD_OF(r) = r; in[r] = 1; r = 0 }
	/* remove: find the one before, go past */
	:: atomic { changes && (in[2] || in[RECORDS]) -> changes--; any_other(r, 1) };
		atomic {
			p = HEAD_OF(r);
			if
			:: p == r -> HEAD_OF(r) = next[r]
			:: else ->
				do
				:: next[p] == r -> break
				:: else -> p = next[p]
				od;
				next[p] = next[r]
			fi;
			p = 0;
			in[r] = 0;
			limbo[r] = 1
		};
#ifdef MUTANT_BUCKETS_UNLINK_CLEARS
		next[r] = 0;
#endif
		r = 0
	/* resize */
	:: atomic { changes && !table -> changes--; r = head[0] };
#ifndef MUTANT_BUCKETS_SEQ_LATE
		seq++;
#endif
		do
		:: r ->
			n = next[r];
			next[r] = head[BUCKET(r)];
			head[BUCKET(r)] = r;
			atomic { r = n; n = 0 }
		:: else -> break
		od;
		table = 1;
		seq++
#ifdef MUTANT_BUCKETS_SEQ_LATE
		; seq++
#endif
	od
}

proctype Reader()
{
	byte r, began, gets;

	do
	:: gets < GETS ->
		atomic { gets++; reading = 1 };
again:
		/* odd: after some tries the lock is taken */
		atomic { !(seq & 1) -> began = seq };
		r = HEAD_OF(A);
		do
		:: r && r != A -> r = next[r]
		:: else -> break
		od;
		if
		:: r == A
		:: else ->
#ifndef MUTANT_BUCKETS_NO_SEQ
			if
			:: seq != began ->
#if WITNESS == W_AGAIN
				assert(false);
#endif
				goto again
			:: else
			fi;
#endif
			/* run.sh looks for the word */
			bool sound = false;
			assert(sound)
		fi;
		atomic { r = 0; began = 0; reading = 0 }
	:: else -> break
	od
}

init {
	atomic {
		/* 2 and 3 are there or not, on any side of A */
		if
		:: head[0] = A
		:: head[0] = 2; next[2] = A; in[2] = 1
		:: head[0] = A; next[A] = 2; in[2] = 1
#if RECORDS > 2
		:: head[0] = 3; next[3] = A; in[3] = 1
		:: head[0] = 3; next[3] = 2; next[2] = A; in[2] = 1; in[3] = 1
		:: head[0] = 2; next[2] = A; next[A] = 3; in[2] = 1; in[3] = 1
		:: head[0] = 3; next[3] = A; next[A] = 2; in[2] = 1; in[3] = 1
#endif
		fi;
		in[A] = 1;
		if
		:: skip
		:: side[2] = 1
#if RECORDS > 2
		:: side[3] = 1
#endif
		fi;
		run Writer();
		run Reader()
	}
}
