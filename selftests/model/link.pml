/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * link.pml - policy and markers: boards, links, and who splits the limit
 *
 * Asks four questions.  Is the newest order of a policy met in the end?  Is a policy that sleeps woken by what a
 * client allocates?  When the policy has died, does the marker's own watcher take over, and does a new policy find
 * the marker?  Does anybody but the one that a marker is linked with, or else its own watcher, set its share?
 *
 * Policies, markers and their watchers end at any point (`unless`), or just don't go on for as
 * long as they like.  At `timeout` nobody can go on any more: what holds then is what everything
 * comes to.
 * README.md says what is left out, and lists the mutants.
 */
#ifndef HEAPS
#define HEAPS 1
#endif
#ifndef POLICIES
#define POLICIES 2
#endif
#ifndef LINKS
#define LINKS 2			/* that are made in all */
#endif
#ifndef COUNTS
#define COUNTS 1		/* of each client */
#endif
#ifndef ORDERS
#define ORDERS 1		/* on each link */
#endif
#ifndef LOGS
#define LOGS 0
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 0		/* of a policy that says nothing, for all markers */
#endif
#ifndef POLICY_DEATHS
#define POLICY_DEATHS 1
#endif
#ifndef MARKERS
#define MARKERS 1		/* of each client, one after the other: all but the last die */
#endif

#define NONE 255
#define NO_LIMIT 0
#define OWN 9			/* what a marker's own watcher orders, always the same */

hidden byte sound = 1;
/* run.sh looks for the word. */
#define MUST(x) assert((x) || !sound)

mtype = { ATTACH, RING, LOG };

bit policy_live[POLICIES];

/* A link, and its board. */
byte links;
byte policy_of[LINKS], heap_of[LINKS];
bit policy_end[LINKS];		/* open: the policy's end … */
bit other_end[LINKS];		/* … and the agent's, or marker's, or that which is on its way */
chan to_policy[LINKS] = [1] of { mtype };
chan to_marker[LINKS] = [1] of { mtype };
byte value[LINKS], asked[LINKS], met[LINKS];
bit has_orders[LINKS], asleep[LINKS];

/* What a policy knows of a heap, kept to itself. */
bit attached[LINKS], known[LINKS];
byte wanted[LINKS], orders[LINKS], seen[LINKS];

/* A client and its marker. */
byte counter[HEAPS];
chan request[HEAPS] = [1] of { bit };
chan handed[HEAPS] = [1] of { byte };	/* TRI_MSG_POLICY */
chan gone[HEAPS] = [1] of { bit };	/* TRI_MSG_POLICY_GONE */
byte marker[HEAPS];		/* which one lives; NONE */
byte linked[HEAPS];
byte share[HEAPS];
bit in_force[HEAPS];		/* something has been ordered */

/* Within the marker: its watcher's mailbox, and what tells the watcher to begin anew. */
byte own_asked[HEAPS], own_met[HEAPS], generation[HEAPS];
bit own_has_orders[HEAPS], own_wake[HEAPS];

byte logs, give_ups, policy_deaths;

#define MINE(b) (policy_of[b] == p && policy_end[b])
#define READY(b) (MINE(b) && (nempty(to_policy[b]) || !other_end[b]))
#define NEXT(n) n = n + 1

/* Both ends are closed: nobody reads it any more. */
inline forget(b)
{
	if
	:: !policy_end[b] && !other_end[b] ->
		value[b] = 0;
		asked[b] = 0;
		met[b] = 0;
		has_orders[b] = 0;
		asleep[b] = 0;
		attached[b] = 0;
		known[b] = 0;
		wanted[b] = 0;
		orders[b] = 0;
		seen[b] = 0;
		do
		:: to_policy[b]?_
		:: to_marker[b]?_
		:: empty(to_policy[b]) && empty(to_marker[b]) -> break
		od
	:: else
	fi
}

inline ring(queue, end)
{
	/* A queue that is full has a RING already; one whose other end is closed is not read. */
	atomic {
		if
		:: end && nfull(queue) -> queue!RING
		:: !end || full(queue)
		fi
	}
}

/* ---- Policy ---- */

inline order(b, what)
{
#ifdef MUTANT_NUMBER_FIRST
	asked[b] = asked[b] + 1;
	value[b] = what;
#else
	value[b] = what;
	asked[b] = asked[b] + 1;
#endif
	has_orders[b] = 1;
#ifndef MUTANT_NO_RING
	ring(to_marker[b], other_end[b])
#endif
}

/* One step: what is seen, and what is to be ordered. */
inline look_at(b)
{
	seen[b] = counter[heap_of[b]];
	if
	:: orders[b] < ORDERS -> NEXT(orders[b]); want = 1 + 2 * policy_of[b] + orders[b]
	:: orders[b] < ORDERS -> NEXT(orders[b]); want = NO_LIMIT
	:: want = wanted[b]
	fi;
	changed = !known[b] || want != wanted[b];
	known[b] = 1;
	wanted[b] = want;
	want = 0
}

inline hear(b)
{
	if
	:: to_policy[b]?ATTACH ->
		attached[b] = 1;
		woken = 1;
#ifdef MUTANT_NEWCOMER_HAS_NONE
		known[b] = 1
#endif
	:: to_policy[b]?RING -> woken = 1
#ifdef MUTANT_LOG_IS_NO_RING
	:: to_policy[b]?LOG
#else
	:: to_policy[b]?LOG -> woken = 1
#endif
	:: empty(to_policy[b]) && !other_end[b] ->
		attached[b] = 0;
		policy_end[b] = 0;
		forget(b);
		woken = 1
	fi
}

/* The next link from @b on whose marker counts, or LINKS. */
inline find_heap()
{
	do
	:: b < LINKS && !(MINE(b) && attached[b]) -> NEXT(b)
	:: else -> break
	od
}

/* A step for each heap. */
inline set_asleep(what)
{
	do
	:: atomic {
		find_heap();
		if
		:: b < LINKS -> asleep[b] = what; NEXT(b)
		:: else -> b = 0; break
		fi }
	od
}

inline read_counters()
{
	do
	:: atomic {
		find_heap();
		if
		:: b < LINKS -> woken = woken || counter[heap_of[b]] != seen[b]; NEXT(b)
		:: else -> b = 0; break
		fi }
	od
}

proctype Policy(byte p)
{
	byte b, want;
	bit woken, changed;

	{
		do
		:: atomic { woken -> woken = 0 };
			set_asleep(0);
			do
			:: atomic {
				find_heap();
				if
				:: b < LINKS -> look_at(b)
				:: else -> b = 0; break
				fi };
				if
				:: changed -> order(b, wanted[b])
				:: else
				fi;
				atomic { changed = 0; NEXT(b) }
			od;
			/* Nobody is at work: until somebody rings.  All that has been counted until now is seen. */
#ifdef MUTANT_NO_FENCE
			read_counters();
			set_asleep(1)
#else
			set_asleep(1);
#ifndef MUTANT_NO_READ
			read_counters()
#endif
#endif
		:: atomic { !woken && READY(0) -> hear(0) }
#if LINKS > 1
		:: atomic { !woken && READY(1) -> hear(1) }
#endif
#if LINKS > 2
		:: atomic { !woken && READY(2) -> hear(2) }
#endif
#if LINKS > 3
		:: atomic { !woken && READY(3) -> hear(3) }
#endif
		od
	} unless {
		atomic {
			!policy_live[p];
			b = 0;
			want = 0;
			woken = 0;
			changed = 0
		}
	}
}

/* ---- Marker ---- */

inline apply(what, from)
{
	/* One splitter: whom the marker is linked with, or else its own watcher. */
	MUST(from == linked[m]);
	share[m] = what;
	in_force[m] = 1
}

inline take(b)
{
#ifdef MUTANT_CLEAR_LAST
	number = asked[b];
	v = value[b];
#endif
	atomic {
		if
		:: nempty(to_marker[b]) -> to_marker[b]?_
		:: empty(to_marker[b])
		fi
	};
	has_orders[b] = 0;
#ifndef MUTANT_CLEAR_LAST
	number = asked[b];
	v = value[b];
#endif
	atomic {
		if
#ifdef MUTANT_KEEPS_NUMBERS
		:: number > last_met -> last_met = number; apply(v, b)
#else
		:: number != met[b] -> met[b] = number; apply(v, b)
#endif
		:: else
		fi;
		number = 0;
		v = 0
	}
}

/* The link is over, whatever ended it. */
inline unlink()
{
	atomic {
		other_end[linked[m]] = 0;
		forget(linked[m]);
		linked[m] = NONE;
		NEXT(generation[m]);
#ifndef MUTANT_WATCHER_SLEEPS
		own_wake[m] = 1;
#endif
		gone[m]!1
	}
}

#ifdef MUTANT_LOOK_EARLY
#define SLEEPS early
#else
#define SLEEPS asleep[linked[m]]
#endif

proctype Marker(byte m; byte me)
{
	byte b, number, v, old = NONE;
#ifdef MUTANT_KEEPS_NUMBERS
	byte last_met;
#endif
#ifdef MUTANT_LOOK_EARLY
	bit early;
#endif

	{
		do
		/* A cycle starts: its client has counted. */
		:: atomic { request[m]?_ ->
			if
			:: linked[m] != NONE && SLEEPS -> asleep[linked[m]] = 0; b = linked[m]
			:: else -> b = NONE
			fi };
			atomic {
				if
				:: b != NONE -> ring(to_policy[b], policy_end[b])
				:: else
				fi;
				b = 0
			};
			/* While it marks it looks at `has_orders` in place of the link. */
			if
			:: linked[m] != NONE && has_orders[linked[m]] -> take(linked[m])
			:: true
			fi;
#ifdef MUTANT_LOOK_EARLY
			atomic {
				if
				:: linked[m] != NONE -> early = asleep[linked[m]]
				:: else -> early = 0
				fi
			}
#endif
		:: atomic { handed[m]?b ->
			if
			:: linked[m] != NONE -> other_end[linked[m]] = 0; old = linked[m]
			:: else
			fi;
			linked[m] = b };
			atomic {
				if
				:: policy_end[b] -> to_policy[b]!ATTACH
#ifdef MUTANT_GONE_UNSAID
				:: else -> other_end[b] = 0; linked[m] = NONE; NEXT(generation[m]); own_wake[m] = 1
#else
				:: else -> unlink()
#endif
				fi;
				b = 0
			}
		:: linked[m] != NONE && nempty(to_marker[linked[m]]) -> take(linked[m])
		:: linked[m] != NONE && empty(to_marker[linked[m]]) && !policy_end[linked[m]] ->
#ifdef MUTANT_OLD_BOARD
			old = linked[m];
#endif
			unlink()
		/* The policy has done nothing for a long time. */
		:: atomic { linked[m] != NONE && give_ups < GIVE_UPS -> NEXT(give_ups) };
#ifdef MUTANT_OLD_BOARD
			old = linked[m];
#endif
			unlink()
		:: atomic { linked[m] != NONE && logs < LOGS && policy_end[linked[m]] && nfull(to_policy[linked[m]]) ->
			NEXT(logs); to_policy[linked[m]]!LOG }
#ifdef MUTANT_OLD_BOARD
		:: old != NONE && has_orders[old] -> take(old)
#endif
		:: atomic { own_has_orders[m] ->
				own_has_orders[m] = 0;
				number = own_asked[m];
				if
#ifdef MUTANT_WATCHER_GOES_ON
				:: number != own_met[m] -> apply(OWN, NONE)
#else
				:: number != own_met[m] && linked[m] == NONE -> apply(OWN, NONE)
#endif
				:: else
				fi;
				own_met[m] = number;
				number = 0
			}
		od
	} unless {
		atomic {
			marker[m] != me;
			b = 0;
			number = 0;
			v = 0;
			old = NONE
		}
	}
}

/* The marker's own: it may be in the midst of a tick when a link comes, or ends. */
proctype Watcher(byte m; byte me)
{
	byte began;
	bit ordered;

	{
		do
		:: atomic { own_wake[m] && linked[m] == NONE ->
			own_wake[m] = 0;
#ifndef MUTANT_WATCHER_REMEMBERS
			if
			:: began != generation[m] -> ordered = 0
			:: else
			fi;
#endif
			began = generation[m] };
			if
			:: atomic { !ordered -> NEXT(own_asked[m]); ordered = 1; own_has_orders[m] = 1 }
			:: else
			fi
		od
	} unless {
		atomic {
			marker[m] != me;
			began = 0;
			ordered = 0
		}
	}
}

/* ---- Client ---- */

inline request_cycle(m)
{
	atomic {
		if
		:: nfull(request[m]) -> request[m]!1
		:: full(request[m])
		fi
	}
}

proctype Client(byte m)
{
	do
	:: counter[m] < COUNTS ->
#ifdef MUTANT_COUNTED_LATE
		request_cycle(m);
		NEXT(counter[m])
#else
		NEXT(counter[m]);
		request_cycle(m)
#endif
	:: else -> break
	od
}

inline start_marker(which)
{
	marker[m] = which;
	linked[m] = NONE;
	own_wake[m] = 1;
	own_has_orders[m] = 0;
	own_asked[m] = 0;
	own_met[m] = 0;
	generation[m] = 0;
	in_force[m] = 0;
	run Marker(m, which);
	run Watcher(m, which);
	/* It is told of all that is wanted, as any collector. */
	if
	:: nfull(request[m]) -> request[m]!1
	:: full(request[m])
	fi
}

proctype Agent(byte m)
{
	byte b = NONE, p, started = 1;
	bit has_link;

	do
	:: atomic { !has_link && b == NONE && marker[m] != NONE && links < LINKS ->
		if
		:: policy_live[0] -> p = 0
#if POLICIES > 1
		:: policy_live[1] && links > 0 -> p = 1
#endif
		fi;
		b = links;
		NEXT(links);
		policy_of[b] = p;
		heap_of[b] = m;
		policy_end[b] = 1;
		other_end[b] = 1;
		p = 0 }
	:: atomic { b != NONE && marker[m] != NONE -> handed[m]!b; b = NONE; has_link = 1 }
	:: atomic { gone[m]?_ -> has_link = 0 }
	:: atomic { marker[m] == NONE ->
		has_link = 0;
#ifdef MUTANT_LINK_LEAKS
		b = NONE;
#else
		if
		:: b != NONE -> other_end[b] = 0; forget(b); b = NONE
		:: else
		fi;
#endif
		if
		:: started < MARKERS -> start_marker(started); NEXT(started)
		:: else -> break
		fi }
	od
}

/* ---- Death ---- */

proctype Killer()
{
	byte b, m;

	do
	:: atomic { policy_deaths < POLICY_DEATHS ->
		NEXT(policy_deaths);
		if
		:: policy_live[0] -> b = 0
#if POLICIES > 1
		:: policy_live[1] -> b = 1
#endif
		fi;
		policy_live[b] = 0;
		m = b;
		for (b : 0 .. LINKS - 1) {
			if
			:: policy_of[b] == m -> policy_end[b] = 0; forget(b)
			:: else
			fi
		};
		b = 0;
		m = 0 }
	:: atomic {
		if
		:: marker[0] != NONE && marker[0] < MARKERS - 1 -> m = 0
#if HEAPS > 1
		:: marker[1] != NONE && marker[1] < MARKERS - 1 -> m = 1
#endif
		fi;
		marker[m] = NONE;
		if
		:: linked[m] != NONE -> other_end[linked[m]] = 0; forget(linked[m]); linked[m] = NONE
		:: else
		fi;
		if
		:: nempty(handed[m]) -> handed[m]?b; other_end[b] = 0; forget(b); b = 0
		:: empty(handed[m])
		fi;
		if
		:: nempty(request[m]) -> request[m]?_
		:: empty(request[m])
		fi;
		if
		:: nempty(gone[m]) -> gone[m]?_
		:: empty(gone[m])
		fi;
		m = 0 }
	/* That is all: or else nothing would be looked at but what all deaths that there may be come to. */
	:: break
	od
}

/* What everything comes to. */
proctype Settled()
{
	byte m, b;

	do
	:: timeout ->
		atomic {
			for (m : 0 .. HEAPS - 1) {
				b = linked[m];
				if
				:: marker[m] == NONE
				:: marker[m] != NONE && b != NONE ->
					/* orders are met, and nothing that was counted is unseen */
					MUST(policy_end[b] && attached[b] && known[b]);
					MUST(in_force[m] && share[m] == wanted[b]);
					MUST(seen[b] == counter[m]);
#if WITNESS == 1
					assert(links < LINKS);
#endif
				:: marker[m] != NONE && b == NONE ->
					/* alone: by its own watcher, and because there is no policy */
					MUST(in_force[m] && share[m] == OWN);
					MUST(links == LINKS || !policy_live[0] &&
					     (links == 0 || !policy_live[POLICIES - 1]));
				fi
			};
			/* each link that a policy has is the one of a marker that lives */
			for (b : 0 .. LINKS - 1) {
				MUST(!policy_end[b] || (marker[heap_of[b]] != NONE && linked[heap_of[b]] == b))
			};
			m = 0;
			b = 0
		}
	od
}

init {
	byte m, b;

	atomic {
		for (b : 0 .. LINKS - 1) {
			policy_of[b] = NONE
		};
		for (b : 0 .. POLICIES - 1) {
			policy_live[b] = 1;
			run Policy(b)
		};
		for (m : 0 .. HEAPS - 1) {
			run Client(m);
			start_marker(0);
			run Agent(m)
		};
		run Killer();
		run Settled()
	}
}
