/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pool.pml - a model of its own (-DPOOL): the tables of one pool, and what keeps them
 *
 * Threads find a table by words that are not scanned, and use it; make a table where there is none
 * of this generation; and the agent begins a generation with each cycle, waits for each thread to
 * be outside, marks what the root words lead to, and frees the rest.  Each step is one access to
 * shared memory.  libclient/roots/pool_roots.c, libclient/program/pool.c.
 *
 *	word	two roots, each a set of tables
 *	latest, former	the pool's references: a table and a number
 *	exists, made	a table is an object, and of which generation it was made
 *
 * The properties: a table that a thread uses exists, and after a cycle no table is left but those
 * of this generation and of the one before.
 *
 * While something is marked a new table is black, and a table that is stored is marked.  A thread
 * has no table in its hands while it is outside, so stacks need no scan.
 */
#ifndef THREADS
#define THREADS 2
#endif
#ifndef CYCLES
#define CYCLES 4
#endif
#define TABLES 4		/* numbers of tables: 1 .. TABLES; 0 is none */
#define BIT(t) (1 << (t))

bit sound = 1;
#define MUST(x) assert((x) || !sound)
#ifndef WITNESS
#define WITNESS 0
#endif

byte epoch = 2;
byte word[2];			/* sets */
byte latest_epoch, latest, former_epoch, former;
byte exists, marked;		/* sets */
byte made[TABLES + 1];
bit marking, lock;
bit inside[THREADS], been_outside[THREADS];

/* A thread uses table @t, which the next steps of others may not have freed. */
#define USE(t) MUST(exists & BIT(t))

proctype Thread(byte me)
{
	byte number, table, now, fresh, t;

end:
	do
	:: atomic { !inside[me] -> inside[me] = 1 }

	/* ---- look for a table of this generation --------------------------------------------- */
#ifdef MUTANT_POOL_TABLE_FIRST
		table = latest;
		number = latest_epoch;
#else
		number = latest_epoch;
		table = latest;
#endif
		now = epoch;
#ifdef MUTANT_POOL_UNCHECKED
		if
		:: table -> USE(table)
#else
		if
		:: number == now -> USE(table)
#endif
		:: else -> skip
		fi;

		if
		:: skip
	/* ---- look for the victim ------------------------------------------------------------- */
		:: number == now - 1 ->
			USE(table)
			assert(WITNESS != 1)
		:: number != now - 1 ->
			number = former_epoch;
			table = former;
			now = epoch;
			if
			:: number == now - 1 ->
				USE(table)
				assert(WITNESS != 2)
			:: else -> skip
			fi
	/* ---- make a table -------------------------------------------------------------------- */
		:: number != now ->
			atomic {		/* outside, by tri_alloc() */
				inside[me] = 0;
				been_outside[me] = 1;
				number = 0;
				table = 0
			}
			atomic {
				/* a number that is free; the thread's stack keeps the table */
				if
				:: !(exists & BIT(1)) -> fresh = 1
				:: else ->
					if
					:: !(exists & BIT(2)) -> fresh = 2
					:: else ->
						if
						:: !(exists & BIT(3)) -> fresh = 3
						:: else ->
							if
							:: !(exists & BIT(4)) -> fresh = 4
							:: else -> fresh = 0
							fi
						fi
					fi
				fi;
				inside[me] = 1;
				exists = exists | BIT(fresh);
				if
				:: marking -> marked = marked | BIT(fresh)
				:: else -> skip
				fi
			}
			if
			:: fresh ->
				atomic { !lock -> lock = 1 }
				now = epoch;
				made[fresh] = now;
				if
				:: latest_epoch != now ->
					atomic {
						word[now % 2] = word[now % 2] | BIT(fresh);
						if
						:: marking -> marked = marked | BIT(fresh)
						:: else -> skip
						fi
					}
					former = latest;
					former_epoch = latest_epoch;
#ifdef MUTANT_POOL_NUMBER_FIRST
					latest_epoch = now;
					latest = fresh;
#else
					latest = fresh;
					latest_epoch = now;
#endif
					USE(fresh)
				:: else -> skip
				fi;
				lock = 0
			:: else -> assert(WITNESS != 3)
			fi
		fi;
		atomic { number = 0; table = 0; now = 0; fresh = 0; inside[me] = 0; been_outside[me] = 1 }
	od
}

proctype Agent()
{
	byte cycles, t, next;

end:
	do
	:: cycles < CYCLES ->
		cycles++;
		/* ---- H1 ---------------------------------------------------------------------- */
#ifdef MUTANT_POOL_CLEARS_BOTH
		word[epoch % 2] = 0;
#endif
#ifdef MUTANT_POOL_CLEARS_LATE
		epoch = epoch + 1;
		word[epoch % 2] = 0;
#else
		word[(epoch + 1) % 2] = 0;
		epoch = epoch + 1;
#endif
		atomic {
			marking = 1;
			marked = 0;
			t = 0;
			do
			:: t < THREADS -> been_outside[t] = !inside[t]; t++
			:: else -> break
			od;
			t = 0
		}
#ifndef MUTANT_POOL_NO_QUIESCE
		do
		:: t < THREADS -> been_outside[t]; t++
		:: else -> break
		od;
#endif
		/* ---- H2: the roots ----------------------------------------------------------- */
		marked = marked | word[0];
		marked = marked | word[1];
		/* ---- H4 and sweep ------------------------------------------------------------ */
		atomic {
			t = 0;
			marking = 0;
			exists = exists & marked;
			do
			:: t < TABLES ->
				t++;
				if
				:: exists & BIT(t) && made[t] && made[t] + 1 < epoch -> MUST(false)
				:: else -> skip
				fi;
				if
				:: !(exists & BIT(t)) -> made[t] = 0
				:: else -> skip
				fi
			:: else -> break
			od;
			t = 0
		}
	:: else -> break
	od
}

init {
	atomic {
		byte i;

		run Agent();
		do
		:: i < THREADS -> run Thread(i); i++
		:: else -> break
		od
	}
}
