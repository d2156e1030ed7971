/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * throttle.pml - heaps of one group that nobody splits the limit for leave its margin alone:
 * libclient/limits/{grant,throttle}.c
 *
 * Asks: may heaps that each measure what is left, and take what that measurement grants or their
 * turn is for, take more than there is?  Memory is counted in pages, time in ticks.  A tick passes
 * for all at once, at any moment but between a turn's look and its taking: so long an agent has no
 * CPU here only while it looks for a grant, or while nobody waits for it.
 *
 * What is left out: memory that is freed again, which only makes room; what is taken and not touched yet; cycles.
 */
#ifndef HEAPS
#define HEAPS 2
#endif
#ifndef LEFT
#define LEFT (RESERVE + HEAPS)
#endif
#ifndef RESERVE
#define RESERVE (8 * HEAPS)
#endif
#define GRANT (RESERVE / (4 * HEAPS))
#ifndef VALID_TICKS
/* TRI_VALID_NS: a measurement is good to the end of so many ticks after that in which it began */
#define VALID_TICKS 2
#endif
#define PACE_TICKS (2 * VALID_TICKS)
#define OLD (VALID_TICKS + 1)

hidden byte sound = 1;
/* run.sh looks for the word. */
#define MUST(x) assert((x) || !sound)

byte left = LEFT;			/* in truth */
byte busy;				/* heaps between a turn's measurement and its taking */

/* What a heap thinks is left, and may take of that without another measurement; how long ago that measurement began. */
byte mine[HEAPS], grant[HEAPS], age[HEAPS] = OLD;
/* The measurement that is under way: what it has read, and what the heap has taken since it began. */
bit measures[HEAPS], has_read[HEAPS], begun[HEAPS];
byte reads[HEAPS], meanwhile[HEAPS], began[HEAPS];

/* A turn: ticks to wait, and then a measurement that begins after that. */
bit waits[HEAPS], due[HEAPS], measured[HEAPS];
byte ticks[HEAPS];

#define NEXT(n) n = n + 1

inline take()
{
	MUST(left > 0);
	left = left - 1;
#ifdef WITNESS
	/* All can be had of the reserve but what a turn leaves. */
	assert(left >= 2 * HEAPS);
#endif
	mine[h] = mine[h] - 1;
	if
	:: measures[h] -> NEXT(meanwhile[h])
	:: else
	fi;
	if
	:: grant[h] -> grant[h] = grant[h] - 1
	:: else
	fi;
	forget()
}

/* What does not matter any more is not told apart. */
inline forget()
{
	if
	:: age[h] == OLD || mine[h] <= RESERVE || !grant[h] -> grant[h] = 0; age[h] = OLD
	:: else
	fi
}

inline measure()
{
	if
	:: atomic { !measures[h] && !(waits[h] && !due[h]) ->
		measures[h] = 1;
		begun[h] = due[h]
	}
	:: atomic { measures[h] && !has_read[h] ->
		has_read[h] = 1;
		reads[h] = left;
		if
		:: left <= RESERVE -> began[h] = OLD
		:: else
		fi
	}
	:: atomic { measures[h] && has_read[h] && reads[h] < meanwhile[h] ->
		mine[h] = 0;
		end_measurement()
	}
	:: atomic { measures[h] && has_read[h] && reads[h] >= meanwhile[h] ->
		mine[h] = reads[h] - meanwhile[h];
		end_measurement()
	}
	fi
}

inline end_measurement()
{
	measures[h] = 0;
	has_read[h] = 0;
	age[h] = began[h];
	grant[h] = (meanwhile[h] < GRANT -> GRANT - meanwhile[h] : 0);
#ifdef MUTANT_GRANT_ALL
	grant[h] = mine[h];
#endif
	measured[h] = begun[h] && due[h];
	reads[h] = 0;
	meanwhile[h] = 0;
	began[h] = 0;
	begun[h] = 0;
	forget()
}

inline end_turn()
{
	waits[h] = 0;
	due[h] = 0;
	measured[h] = 0;
	busy = busy - 1
}

/* A turn for one page takes HEAPS * PACE_TICKS / left, rounded down, which is faster. */
#define COST(h) (HEAPS * PACE_TICKS / mine[h])

proctype heap(byte h)
{
	do
	:: measure()
	:: atomic { grant[h] && mine[h] > RESERVE -> take() }
	:: atomic { !waits[h] && mine[h] && mine[h] <= RESERVE && COST(h) <= VALID_TICKS ->
		waits[h] = 1;
		ticks[h] = COST(h)
	}
	:: atomic { waits[h] && !due[h] && !ticks[h] ->
		due[h] = 1;
		NEXT(busy);
#ifdef MUTANT_TURN_UNMEASURED
		measured[h] = 1
#endif
	}
	:: atomic { waits[h] && due[h] && measured[h] ->
		if
		:: mine[h] >= 2 * HEAPS -> take()
		:: else
		fi;
		end_turn()
	}
	od
}

proctype clock()
{
	byte h;

	do
	:: atomic { !busy ->
		for (h : 0 .. HEAPS - 1) {
			if
			:: age[h] < OLD -> NEXT(age[h])
			:: else
			fi;
			if
			:: measures[h] && began[h] < OLD -> NEXT(began[h])
			:: else
			fi;
			forget();
			if
			:: ticks[h] -> ticks[h] = ticks[h] - 1
			:: else
			fi
		};
		h = 0
	}
	od
}

init
{
	byte h;

	atomic {
		for (h : 0 .. HEAPS - 1) {
			run heap(h)
		};
		h = 0;
		run clock()
	}
}
