/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * replace.pml - an agent that changes its collector: because one asks for it, or because the shared one is there again
 *
 * Asks three questions.  May two collectors have the arena to write in?  Is a tri_gc() lost?  Does the agent wait for
 * anybody without an end?
 *
 * Collectors are numbered in the order in which the agent turns to them; number SHARED is the shared one, which marks
 * itself, and is not the agent's to kill.  A marker that belongs to a policy is a private one here: what it says with
 * the policy is link.pml.  Each collector may die at any point, be stopped for ever, or just take its time.
 */
#ifndef COLLECTORS
#define COLLECTORS 3
#endif
#ifndef SHARED
#define SHARED NONE
#endif
#ifndef REQUESTS
#define REQUESTS 2		/* calls of tri_gc() */
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef STOPS
#define STOPS 1
#endif
#ifndef REPLACES
#define REPLACES 1		/* times that a collector asks to be replaced */
#endif

#define NONE 255

hidden byte sound = 1;
/* run.sh looks for the word. */
#define MUST(x) assert((x) || !sound)

mtype = { HELLO, WELCOME, REQUEST, START, FINISH, ANSWER, REPLACE };

bit started[COLLECTORS], dead[COLLECTORS], stopped[COLLECTORS];
bit agent_end[COLLECTORS];	/* open, or what was sent is still to be read */
bit collector_end[COLLECTORS];
chan to[COLLECTORS] = [4] of { mtype, byte };	/* REQUEST: with what is wanted, all in all */
chan from[COLLECTORS] = [2] of { mtype };

bit writes[COLLECTORS];		/* it has the arena, and may write */
byte writers;
bit in_cycle;			/* the barrier is on: START was answered, FINISH was not */
byte gc_wanted, gc_done;
bit woken;			/* a thread has told the agent */

byte current = NONE, candidate = NONE, used, deaths, stops, replaces;
bit ready;			/* the candidate has said WELCOME */
byte waits_for = NONE;

#define NEXT(n) n = n + 1

inline may_write(c)
{
	writes[c] = 1;
	NEXT(writers);
	MUST(writers == 1);
	/* what the one before has left behind is repaired */
	MUST(!in_cycle)
}

inline let_go(c)
{
	if
	:: writes[c] -> writes[c] = 0; writers = writers - 1
	:: else
	fi
}

proctype Collector(byte c)
{
	byte wanted, next;
	bit asked;

	{
		do
		:: atomic { empty(to[c]) && !agent_end[c] -> break }
		:: atomic { !writes[c] && to[c]?[HELLO,_] -> to[c]?HELLO,_; from[c]!WELCOME }
#ifdef MUTANT_WRITES_AT_HELLO
			; may_write(c)
#endif
		:: atomic { to[c]?REQUEST,wanted ->
			if
			:: !writes[c] -> may_write(c)
			:: else
			fi }
		/* A cycle.  It says no more than one thing at a time. */
		:: atomic { writes[c] && !asked && wanted != gc_done && nfull(from[c]) -> from[c]!START; asked = 1 };
			do
			:: atomic { to[c]?ANSWER,_ -> break }
			:: atomic { to[c]?REQUEST,next -> skip }
			:: atomic { empty(to[c]) && !agent_end[c] -> goto over }
			od;
			atomic { nfull(from[c]) || !agent_end[c];
				if
				:: nfull(from[c]) -> from[c]!FINISH
				:: full(from[c])
				fi };
			do
			:: atomic { to[c]?ANSWER,_ -> gc_done = wanted; break }
			:: atomic { to[c]?REQUEST,next -> skip }
			:: atomic { empty(to[c]) && !agent_end[c] -> goto over }
			od;
			atomic { asked = 0; wanted = (next > wanted -> next : wanted); next = 0 }
		/* Between cycles: the client has moved. */
		:: atomic { writes[c] && !asked && c != SHARED && replaces < REPLACES && nfull(from[c]) ->
			NEXT(replaces); from[c]!REPLACE }
		od;
over:
#ifdef MUTANT_CLOSES_FIRST
		collector_end[c] = 0;
		let_go(c)
#else
		atomic { let_go(c) };
		collector_end[c] = 0
#endif
	} unless {
		atomic { dead[c] || stopped[c]; wanted = 0; next = 0; asked = 0 }
	}
}

/* ---- Agent ---- */

inline drop(c)
{
	agent_end[c] = 0
}

/* Start a collector, or connect to the shared one, and say HELLO. */
inline turn_to(c)
{
	candidate = used;
	NEXT(used);
	agent_end[candidate] = 1;
	collector_end[candidate] = 1;
	to[candidate]!HELLO,0;
	run Collector(candidate);
	ready = 0
}

#define GONE(c) (empty(from[c]) && !collector_end[c])

proctype Agent()
{
	byte c = NONE;

	do
	/* Nobody: look for one. */
	:: atomic { current == NONE && candidate == NONE && used < COLLECTORS -> turn_to(c) }
	/* The shared one is there again. */
	:: atomic { current != NONE && candidate == NONE && used == SHARED -> turn_to(c) }
	/* The candidate answers, ends, or says nothing for five seconds. */
	:: atomic { candidate != NONE && !ready && from[candidate]?[WELCOME] -> from[candidate]?WELCOME; ready = 1
#ifdef MUTANT_REQUEST_EARLY
		; to[candidate]!REQUEST,gc_wanted
#endif
		}
	:: atomic { candidate != NONE && GONE(candidate) -> drop(candidate); candidate = NONE; ready = 0 }
#ifndef MUTANT_NO_TIMER
	:: atomic { candidate != NONE && !ready -> drop(candidate); candidate = NONE }
#endif
	/* What the collector says. */
	:: atomic { current != NONE && from[current]?[REPLACE] -> from[current]?REPLACE;
		if
		:: candidate == NONE && used < COLLECTORS -> turn_to(c)
		:: else
		fi }
	:: atomic { current != NONE && !ready && from[current]?[START] ->
		from[current]?START; in_cycle = 1; to[current]!ANSWER,0 }
	:: atomic { current != NONE && from[current]?[FINISH] ->
		from[current]?FINISH; in_cycle = 0; to[current]!ANSWER,0 }
	:: atomic { woken && current != NONE && nfull(to[current]) -> woken = 0; to[current]!REQUEST,gc_wanted }
	/* It is gone. */
	:: atomic { current != NONE && GONE(current) ->
		drop(current);
#ifndef MUTANT_NO_ABANDON
		in_cycle = 0;
#endif
		current = NONE }
	/*
	 * The candidate is ready: part from this one between cycles, where nothing is lost.  (A stopped one is waited
	 * for no longer than any other wait: then the cycle is abandoned, as if it had died.)
	 */
#ifdef MUTANT_NO_PARTING
	:: atomic { current != NONE && ready && !in_cycle -> drop(current); current = NONE }
#else
	:: atomic { current != NONE && ready && (!in_cycle || stopped[current]) ->
		drop(current);
		c = current;
		waits_for = c };
		do
		:: atomic { from[c]?_ -> skip }
		:: atomic { GONE(c) -> break }
#ifndef MUTANT_NO_KILL
		/* After five seconds; the shared one is waited for. */
#ifdef MUTANT_KILLS_THE_NEW_ONE
		:: atomic { c != SHARED && !dead[candidate] -> dead[candidate] = 1; collector_end[candidate] = 0 }
#else
		:: atomic { c != SHARED && !dead[c] -> dead[c] = 1; collector_end[c] = 0;
			if
			:: writes[c] -> writes[c] = 0; writers = writers - 1
			:: else
			fi }
#endif
#endif
		od;
		atomic {
			current = NONE;
#ifndef MUTANT_NO_ABANDON
			in_cycle = 0;
#endif
			c = NONE;
			waits_for = NONE
		}
#endif
	/* The first request: only now it may write. */
	:: atomic { current == NONE && ready ->
		current = candidate;
		candidate = NONE;
		ready = 0;
#ifdef MUTANT_REQUEST_FORGOTTEN
		to[current]!REQUEST,gc_done
#else
#ifndef MUTANT_REQUEST_EARLY
		woken = 0;
		to[current]!REQUEST,gc_wanted
#endif
#endif
		}
	od
}

proctype Threads()
{
	do
	:: atomic { gc_wanted < REQUESTS -> NEXT(gc_wanted) }; woken = 1
	:: gc_wanted == REQUESTS -> break
	od
}

proctype Fate()
{
	byte c;

	do
	:: atomic {
		deaths + stops < DEATHS + STOPS;
		c = 0;
		do
		:: c < COLLECTORS - 1 -> NEXT(c)
		:: break
		od;
		if
		:: c < used && !dead[c] && deaths < DEATHS ->
			NEXT(deaths);
			dead[c] = 1;
			collector_end[c] = 0;
			if
			:: writes[c] -> writes[c] = 0; writers = writers - 1
			:: else
			fi
		:: c < used && !dead[c] && !stopped[c] && collector_end[c] && stops < STOPS ->
			NEXT(stops);
			stopped[c] = 1
		:: else
		fi;
		c = 0 }
	/* That is all: or else nothing would be looked at but what all deaths and stops that there may be come to. */
	:: break
	od
}

/* What everything comes to. */
proctype Settled()
{
	byte c;

	do
	:: timeout ->
		atomic {
			MUST(candidate == NONE && !ready);
			/* the agent waits for nobody */
			MUST(waits_for == NONE);
			MUST(current != NONE || used == COLLECTORS);
			MUST(gc_done == gc_wanted || current == NONE || stopped[current]);
#if WITNESS == 1
			assert(current != COLLECTORS - 1 || deaths + stops > 0 || gc_done != REQUESTS);
#endif
			/* nobody is left behind with the arena */
			for (c : 0 .. COLLECTORS - 1) {
				MUST(c == current || c >= used || stopped[c] || !collector_end[c])
			};
			c = 0
		}
	od
}

init {
	atomic {
		run Agent();
		run Threads();
		run Fate();
		run Settled()
	}
}
