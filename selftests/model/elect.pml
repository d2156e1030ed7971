/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * elect.pml - private collectors of one group elect one that splits the limit: daemon/service/elect.c
 *
 * Asks three questions.  Does each come to have one policy, or to be alone where none can be had, whoever dies, gives
 * up or is stopped?  Does nobody but its policy order a peer marker?  When one policy follows
 * another, may what they have promised sum up to more than the budget?
 *
 * Use is left out: what others use may be nothing as yet, however much they were promised.  So a policy that splits
 * what it sees nobody use would split all.
 */
#ifndef MARKERS
#define MARKERS 3
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef RESIGNS
#define RESIGNS 0		/* policies whose client leaves the group */
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef TICKS
#define TICKS 2			/* of each policy, beside one for each that joins or leaves */
#endif

#define BUDGET 6
#define NONE 255
#define SQUATTER 254

hidden byte sound = 1;
/* run.sh looks for the word. */
#define MUST(x) assert((x) || !sound)

/* BINDS: it has the lock, and does not listen yet; LEFT: its client is in another group. */
mtype = { ELECTS, BINDS, ALONE, POLICY, PEER, LEFT, GONE };

mtype role[MARKERS] = ELECTS;
byte holder;			/* of the lock */
byte link[MARKERS];		/* whoever was found to have it, and is the policy at the other end then; NONE */
bit welcome[MARKERS];		/* … which has answered */
bit named[MARKERS];		/* tricolor-peer */
bit stopped[MARKERS], cut[MARKERS];	/* cut: the other end has hung up */
byte share[MARKERS];
byte ticks[MARKERS];
bit news[MARKERS];		/* somebody has joined a policy, or left it */
byte deaths, resigns, stops;

#define NEXT(n) n = n + 1
#define IS_THERE(m) (role[m] != GONE && role[m] != LEFT)
#define OURS(x) ((x) == m || (role[x] == PEER && link[x] == m && !cut[x]))
#define STRAY(x) (IS_THERE(x) && named[x] && !OURS(x))

/* A share has grown: are all within the budget? */
inline check_sum()
{
#if !STOPS && !defined(SQUAT)
	pool = 0;
	for (x : 0 .. MARKERS - 1) {
		pool = pool + (IS_THERE(x) -> share[x] : 0)
	};
	MUST(pool <= BUDGET);
	pool = 0;
	x = 0
#else
	skip
#endif
}

/* Split what there is: all to one, and next to nothing to the others, which is the worst. */
inline tick()
{
	pool = 0;
	strays = 0;
	ours = 0;
	for (x : 0 .. MARKERS - 1) {
		if
		:: OURS(x) -> pool = pool + share[x]; NEXT(ours)
		:: STRAY(x) -> strays = 1
		:: else
		fi
	};
#ifdef MUTANT_NO_PROMISES
	strays = 0;
#endif
	pool = (strays -> pool : BUDGET);
	most = 0;
	do
	:: most < MARKERS - 1 -> NEXT(most)
	:: OURS(most) -> break
	od;
	for (x : 0 .. MARKERS - 1) {
		if
		:: OURS(x) ->
			MUST(role[x] != PEER || link[x] == m);
			share[x] = 0
		:: else
		fi
	};
	share[most] = pool;
	check_sum();
	pool = 0;
	strays = 0;
	ours = 0;
	most = 0;
	x = 0
}

inline end_link()
{
	if
	:: link[m] != NONE && IS_THERE(link[m]) -> news[link[m]] = 1
	:: else
	fi;
	link[m] = NONE;
	welcome[m] = 0;
	cut[m] = 0;
	role[m] = ELECTS;
#ifdef MUTANT_NAME_EARLY
	named[m] = 0;
#endif
#ifdef MUTANT_WATCHER_GOES_ON
	share[m] = BUDGET;
	check_sum()
#endif
}

inline go_alone()
{
	link[m] = NONE;
	welcome[m] = 0;
	cut[m] = 0;
	named[m] = 0;
	role[m] = ALONE
}

proctype Marker(byte m)
{
	byte x, pool, ours, most;
	bit strays;

	{
		do
		:: atomic { role[m] == ELECTS && link[m] == NONE && holder == NONE -> holder = m; role[m] = BINDS }
		:: atomic { role[m] == BINDS -> role[m] = POLICY; named[m] = 0; news[m] = 1 }
#ifdef MUTANT_NO_KNOCK
		:: atomic { role[m] == ELECTS && link[m] == NONE && holder < MARKERS &&
			    role[holder] == BINDS -> go_alone() }
#endif
		:: atomic { role[m] == ELECTS && link[m] == NONE && holder == SQUATTER ->
#ifdef MUTANT_STRANGER
			link[m] = SQUATTER
#else
			go_alone()
#endif
			}
		:: atomic { role[m] == ELECTS && link[m] == NONE && holder < MARKERS -> link[m] = holder; cut[m] = 0 }
		/* It is welcomed, or hung up on, or loses patience. */
		:: atomic { role[m] == ELECTS && link[m] != NONE && welcome[m] && !cut[m] ->
			role[m] = PEER; named[m] = 1; news[link[m]] = 1 }
#ifndef MUTANT_BIND_ONCE
		:: atomic { role[m] == ELECTS && link[m] != NONE &&
			    (cut[m] || (link[m] < MARKERS && role[link[m]] == GONE)) ->
			link[m] = NONE; welcome[m] = 0; cut[m] = 0 }
#endif
#ifndef MUTANT_NO_PATIENCE
		:: atomic { role[m] == ELECTS && link[m] < MARKERS && !welcome[m] && stopped[link[m]] -> go_alone() }
#endif
		/* The link is over: it has ended, or its policy says nothing. */
		:: atomic { role[m] == PEER && (cut[m] || role[link[m]] == GONE || stopped[link[m]]) -> end_link() }
		/* As a policy. */
		:: atomic { role[m] == POLICY && (news[m] || ticks[m] < TICKS) ->
			if
			:: news[m] -> news[m] = 0
			:: else -> NEXT(ticks[m])
			fi;
			tick() }
		:: atomic { role[m] == POLICY && resigns < RESIGNS ->
			NEXT(resigns); holder = NONE; role[m] = LEFT; share[m] = 0 };
#ifndef MUTANT_NO_HANG_UP
			atomic {
				for (x : 0 .. MARKERS - 1) {
					cut[x] = cut[x] || link[x] == m
				};
				x = 0
			};
#endif
			break
		od
	} unless {
		atomic { (role[m] == GONE && holder != m && deaths > 0) || stopped[m];
			x = 0; pool = 0; ours = 0; most = 0; strays = 0 }
	}
}

/* A policy's threads that welcome. */
proctype Welcomer(byte m)
{
	do
	:: atomic { link[m] < MARKERS && role[m] == ELECTS && !welcome[m] && !cut[m] && role[link[m]] == POLICY &&
		    !stopped[link[m]] -> welcome[m] = 1 }
	od
}

proctype Fate()
{
	byte x;

	do
	:: atomic { deaths + stops < DEATHS + STOPS ->
		x = 0;
		do
		:: x < MARKERS - 1 -> NEXT(x)
		:: break
		od;
		if
		:: IS_THERE(x) && !stopped[x] && deaths < DEATHS ->
			NEXT(deaths);
			role[x] = GONE;
			named[x] = 0;
			share[x] = 0;
			if
			:: link[x] < MARKERS && IS_THERE(link[x]) -> news[link[x]] = 1
			:: else
			fi;
			link[x] = NONE;
			holder = (holder == x -> NONE : holder)
		:: IS_THERE(x) && !stopped[x] && stops < STOPS -> NEXT(stops); stopped[x] = 1
		:: else
		fi;
		x = 0 }
	/* That is all: or else nothing would be looked at but what all deaths and stops that there may be come to. */
	:: break
	od
}

/* What everything comes to. */
proctype Settled()
{
	byte x, policies;

	do
	:: timeout ->
		atomic {
			policies = 0;
			for (x : 0 .. MARKERS - 1) {
				policies = policies + (role[x] == POLICY && !stopped[x])
			};
			for (x : 0 .. MARKERS - 1) {
				if
				:: !IS_THERE(x) || stopped[x]
				:: else ->
					MUST(role[x] != ELECTS && role[x] != BINDS);
					MUST(role[x] != PEER || (role[link[x]] == POLICY && !stopped[link[x]]));
					MUST(role[x] != ALONE || policies == 0)
				fi
			};
			MUST(policies <= 1);
#if WITNESS == 1
			assert(holder == 0 || holder == NONE);
#endif
			x = 0;
			policies = 0
		}
	od
}

init {
	byte m;

	atomic {
#ifdef SQUAT
		holder = SQUATTER;
#else
		holder = NONE;
#endif
		for (m : 0 .. MARKERS - 1) {
			link[m] = NONE;
			/* what each has taken alone: a k-th part */
			share[m] = BUDGET / MARKERS;
			/* all have begun to elect: who has not joined is counted */
			named[m] = 1;
			run Marker(m);
			run Welcomer(m)
		};
		run Fate();
		run Settled()
	}
}
