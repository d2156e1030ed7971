/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fixpoint.pml - the collector and the agent of ephemeron.pml: marking with passes over the records, or
 * with an index; settling by the agent, in H4; death of the collector
 */

/* ---- the collector ----------------------------------------------------------------------- */

inline quiesce()
{
	(!inside[0]);
#if MUTATORS > 1
	(!inside[1])
#endif
}

#if INDEX
/* Something was marked: records that have waited for it wait for their other object, or are through. */
#ifdef MUTANT_INDEX_ONE_WAIT
#define WAIT_AGAIN(r) waits[r] = 0
#else
#define WAIT_AGAIN(r) waits[r] = (!(mark & BIT(owner[r])) -> owner[r] : key[r])
#endif

inline fire()
{
	x = 1;
	do
	:: x ->
		x = 0;
		for (i : 0 .. RECORDS - 1) {
			if
			:: waits[i] && (mark & BIT(waits[i])) && state[i] == LIVE ->
				x = 1;
				if
				:: (mark & BIT(owner[i])) && (mark & BIT(key[i])) ->
					waits[i] = 0;
					if
					:: value[i] && (used & BIT(value[i])) && !(mark & BIT(value[i])) ->
						mark = mark | BIT(value[i]);
						grey = grey | BIT(value[i])
					:: else
					fi
				:: else -> WAIT_AGAIN(i)
				fi
			:: else
			fi
		}
	:: else -> break
	od;
	i = 0
}
#endif

inline mark_set(set)
{
	d_step {
		x = (set) & used & ~mark & ALL;
		if
		:: x ->
			mark = mark | x;
			grey = grey | x;
			changed = 1;
#if INDEX
			/* by the collector: the index hears of it */
			for (i : 0 .. RECORDS - 1) {
				heard = heard | (waits[i] && (x & BIT(waits[i])))
			}
			i = 0;
			if
			:: heard -> fire()
			:: else
			fi;
			heard = 0
#endif
		:: else
		fi;
		x = 0
	}
}

inline take_buffer()
{
	mark_set(buffer);
	buffer = 0;
	/* what was handed over counts as found */
	if
	:: handed_over ->
		grey = grey | handed_over;
		handed_over = 0;
		changed = 1
	:: else
	fi
}

/* Until nothing is known to be grey. */
inline drain()
{
	do
	:: atomic { buffer || handed_over -> take_buffer() }
	:: atomic {
		grey ->
		o = 1;
		do
		:: o <= NOBJ && !(grey & BIT(o)) -> o++
		:: else -> break
		od;
		grey = grey & ~BIT(o);
		mark_set(BIT(field[o]));
		o = 0
	}
	:: atomic { !grey && !buffer && !handed_over -> break }
	od
}

/* All records: a value is marked whose owner and key are. */
inline pass()
{
	r = 0;
	do
	:: atomic {
		r < RECORDS ->
		if
		:: state[r] == LIVE && (mark & BIT(owner[r])) && (mark & BIT(key[r])) -> both = 1
		:: else
		fi
	};
		atomic {
			if
			:: both && value[r] ->
#ifdef MUTANT_COUNT_LATE
				found = found | !(mark & BIT(value[r]));
#endif
				mark_set(BIT(value[r]))
			:: else
			fi;
			both = 0;
			r++
		}
	:: atomic { r == RECORDS -> r = 0; break }
	od
}

#if WITNESS == W_PASS_AGAIN
#define WAS was = mark
#else
#define WAS skip
#endif

inline build_index()
{
	/* One that assists may be in the midst of it. */
	atomic { offers = 0 };
#ifndef MUTANT_INDEX_NO_QUIESCE
	quiesce();
#endif
	do
	:: atomic {
		r < RECORDS ->
		if
		:: state[r] == LIVE && !(mark & BIT(owner[r])) -> waits[r] = owner[r]
		:: state[r] == LIVE && (mark & BIT(owner[r])) && !(mark & BIT(key[r])) -> waits[r] = key[r]
		:: state[r] == LIVE && (mark & BIT(owner[r])) && (mark & BIT(key[r])) ->
			mark_set(BIT(value[r]))
		:: else
		fi;
		r++
	}
	:: atomic { r == RECORDS -> r = 0; break }
	od;
#ifdef MUTANT_INDEX_ASSISTS
	atomic { offers = 1 }
#endif
}

/* A record is cleared: what it needed is dead for good. */
inline settle_record()
{
	if
#ifdef MUTANT_SETTLE_KEY_ONLY
	:: state[r] == LIVE && !(mark & BIT(key[r])) ->
#else
	:: state[r] == LIVE && !((mark & BIT(owner[r])) && (mark & BIT(key[r]))) ->
#endif
		reachable();
		assert(!((reach & BIT(owner[r])) && (reach & BIT(key[r]))));
		reach = 0;
		unreachable = unreachable | ((BIT(owner[r]) | BIT(key[r])) & ~mark);
		state[r] = LIMBO;
		owner[r] = 0;
		key[r] = 0;
		value[r] = 0
	:: else
	fi
}

/* The agent, one by one, while threads go on; the weak pointer somewhere among them. */
inline settle()
{
	do
#ifdef MUTANT_SETTLE_LATE
	:: atomic { r < RECORDS -> r = RECORDS }
#else
	:: atomic { r < RECORDS -> settle_record(); r++ }
#endif
	:: atomic {
		r == RECORDS ->
		if
		:: weak && !(mark & BIT(weak)) ->
			unreachable = unreachable | BIT(weak);
			weak = 0
		:: else
		fi;
		r = 0;
		break
	}
	od
}

inline sweep()
{
	o = 1;
	do
	:: atomic {
		o <= NOBJ ->
		if
		:: white & BIT(o) ->
			reachable();
			assert(!(reach & BIT(o)));		/* what all this is about */
			reach = 0;
#if WITNESS == W_VALUE_FREED
			assert(!(o == 3 && field[3] == 2));
#endif
			used = used & ~BIT(o);
			unreachable = unreachable & ~BIT(o);
			field[o] = 0
		:: else
		fi;
		o++
	}
	:: atomic { o > NOBJ -> o = 0; white = 0; break }
	od
}

#if DEATH
proctype Killer()
{
end:
	do
#ifdef MUTANT_ENDED_EARLY
	/* The word is ENDED before H4 has begun. */
	:: atomic { on && word != WORD_PLAIN && !dead -> dead = 1 }
#else
	/* H4 goes on to its end, whether the collector lives or not. */
	:: atomic { on && word != WORD_PLAIN && word != WORD_ENDED && !dead -> dead = 1 }
#endif
	od
}

inline abandon()
{
	atomic {
		r = 0;
		o = 0;
		grey = 0;
		word = WORD_PLAIN
	};
	quiesce();
	atomic {
		on = 0;
		black = 0;
		offers = 1;
		mark = 0;
		buffer = 0;
		handed_over = 0;
		both = 0;
		dead = 0
	}
}
#endif

inline cycle()
{
	/* H1 */
	atomic { on = 1; word = WORD_MARKING };
	quiesce();
	atomic {
		black = 1;
		/* H2: roots, then threads */
		for (o : 0 .. NROOT - 1) { buffer = buffer | (BIT(root[o]) & ~mark & ALL) }
		o = 0
	};
	atomic { !inside[0] -> buffer = buffer | (loc[0] & ~mark) };
#if MUTATORS > 1
	atomic { !inside[1] -> buffer = buffer | (loc[1] & ~mark) };
#endif
	drain();
#if INDEX
	build_index();
#endif
	do
	::
		/* Until a pass finds nothing. */
		do
		::
			drain();
			atomic { changed = 0; WAS };
#if !INDEX
#ifndef MUTANT_NO_PASS
#ifdef MUTANT_PASS_ONCE
			if
			:: passes == 0 -> pass(); passes = 1
			:: else
			fi;
#else
			pass();
#endif
#endif
#endif
			atomic {
				if
#ifdef MUTANT_COUNT_LATE
				/* what the pass has marked itself, and no more */
				:: !found && !grey -> changed = 0; break
				:: else -> found = 0;
#else
				:: !changed && !grey -> break
				:: else ->
#endif
#if WITNESS == W_PASS_AGAIN
					assert(!(passes == 1 && mark != was));
					passes = 1;
#endif
					skip
				fi
			}
		od;
		/* H3 */
		atomic { word = WORD_ROUND };
#ifndef MUTANT_H3_NO_QUIESCE
		quiesce();
#endif
		atomic { take_buffer() };
		atomic {
			if
#if WITNESS == W_SUPPLIED
			:: !changed && !grey && word != WORD_ROUND -> assert(false)
#endif
			/* The agent begins H4, or marking goes on. */
			:: !changed && !grey && word == WORD_ROUND -> word = WORD_ENDED; break
			:: else
			fi
		}
	od;
	settle();
	atomic {
		word = WORD_PLAIN;
		for (o : 0 .. RECORDS - 1) { resting = resting | (state[o] == LIMBO) << o }
		o = 0
	};
	quiesce();
	/* What is allocated from here on, by the bitmap of the next cycle, this sweep does not see. */
	atomic {
		on = 0;
		black = 0;
		buffer = 0;
		handed_over = 0;
		offers = 1;
		white = used & ~mark;
		mark = 0
	};
	quiesce();
	atomic {
		for (o : 0 .. RECORDS - 1) {
			if
			:: resting & BIT(o) -> state[o] = FREE
			:: else
			fi
		}
		o = 0;
#if WITNESS != W_REUSED
		resting = 0;
#endif
		waits[0] = 0;
		waits[RECORDS - 1] = 0
	}
}

proctype Collector()
{
	byte o, r, white;
	bit both;
#if WITNESS == W_PASS_AGAIN
	byte was;
#endif
#ifdef MUTANT_COUNT_LATE
	bit found;
#endif
#if INDEX
	bit heard;
#endif
#if defined(MUTANT_PASS_ONCE) || WITNESS == W_PASS_AGAIN
	bit passes;
#endif
	byte cycles;

	do
	:: cycles < CYCLES ->
		cycles++;
#if DEATH
		{
#endif
		cycle()
#if DEATH
		} unless { dead }
#endif
		;
#if DEATH
		if
		:: dead -> abandon()
		:: else -> sweep()
		fi
#else
		sweep()
#endif
#ifdef MUTANT_SETTLE_LATE
		;
		/* after the sweep what was white is what is not used */
		r = 0;
		do
		:: atomic {
			r < RECORDS ->
			if
			:: state[r] == LIVE && !((used & BIT(owner[r])) && (used & BIT(key[r]))) -> state[r] = LIMBO
			:: else
			fi;
			r++
		}
		:: atomic { r == RECORDS -> r = 0; break }
		od
#endif
	:: else -> break
	od
}
