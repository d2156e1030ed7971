/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slot.pml - a model of its own (-DSLOT): the slots of one span, and its page, while nothing is
 * marked
 *
 * Threads take the span, hand out its slots, free them by their window or by the allocation bit,
 * let go of the span, give its page back, and take pages; the agent of a heap whose collector has
 * died looks for pages that were being freed.  Each step is one access to shared memory.
 * libclient/heap/cache.c, central.c, free.c, freed.c and pageheap.c.
 *
 *	page	used, page_map (a span is there), page_lock; new: it has never been used
 *	span	state, nfree, alloc (a bit for each slot), needs_zero
 *	thread	base (it has the window), free (its slots), zeroed
 *
 * The properties: a slot is handed out to one at a time, and never as zeroed with old data in it; a
 * page is taken by one at a time; whoever frees an object finds its span there.
 */
#ifndef THREADS
#define THREADS 2
#endif
#define SLOTS 2
#define BIT(s) (1 << (s))
#define ALL (BIT(SLOTS) - 1)

bit sound = 1;
#define MUST(x) assert((x) || !sound)
#ifndef WITNESS
#define WITNESS 0
#endif

mtype = { NONE, IDLE, CACHED, CLIENT };		/* the span's state */
mtype state = NONE;
byte nfree;
byte alloc;
bit needs_zero, used, page_map, page_lock, dirty_page;
byte dirty;			/* slots with old data */
byte live;			/* slots that the program has */
byte owners;			/* of the page */

mtype = { AT_OUT, AT_OPEN, AT_READ, AT_SET, AT_ZERO, AT_BIT, AT_COUNT, AT_CLAIM, AT_LOOK, AT_GIVE, AT_MAP,
	  AT_STATE, AT_USED, AT_MAKE, AT_RETIRE, AT_LET_GO };

#define COUNT(mask) (((mask) & 1) + (((mask) >> 1) & 1))

#ifdef MUTANT_GIVE_UNLOCKED
#define MAY_GIVE true
#else
#define MAY_GIVE (!page_lock)
#endif

proctype Thread(byte me)
{
	mtype at = AT_OUT;
	bit base, zeroed;
	byte free, found, slot, n;
	mtype was;

end:
	do
	/* ---- take the span, or a page for one ------------------------------------------------ */
	:: atomic {
		at == AT_OUT && !base && state == IDLE && nfree ->
		state = CACHED;
		at = AT_OPEN
	}
	:: atomic {
		at == AT_OUT && !base && !page_lock && !used ->
		used = 1;
		MUST(owners == 0);
		owners++;
		page_map = 1;
		at = AT_MAKE
	}
	:: atomic {
		at == AT_MAKE ->
		alloc = 0;
		needs_zero = dirty_page;
		dirty_page = 1;
		state = CACHED;
		at = AT_OPEN
	}
	/* ---- open its window ----------------------------------------------------------------- */
	:: atomic { at == AT_OPEN -> found = ALL & ~alloc; at = AT_READ }
	:: atomic { at == AT_READ -> zeroed = !needs_zero; at = AT_SET }
	:: atomic {
		at == AT_SET ->
		alloc = ALL;
		free = found;
		found = 0;
		base = 1;
		at = AT_OUT
	}
	/* ---- hand out ------------------------------------------------------------------------ */
	:: atomic {
		at == AT_OUT && base && free ->
		slot = (free & 1 -> 0 : 1);
		free = free & ~BIT(slot);
		MUST(!(live & BIT(slot)));
		MUST(!(zeroed && (dirty & BIT(slot))));
		live = live | BIT(slot);
		dirty = dirty | BIT(slot);
		slot = 0
	}
	/* ---- the window is used up, or given back half-used ------------------------------------- */
	:: atomic {
		at == AT_OUT && base && !free ->
#ifndef MUTANT_BASE_STAYS
		base = 0;
#endif
		found = ALL & ~alloc;
		at = AT_LET_GO
	}
	:: atomic {
		at == AT_OUT && base && free ->
		base = 0;
		alloc = alloc & ~free;
		free = 0;
		needs_zero = 1;
		at = AT_RETIRE
	}
	:: atomic { at == AT_RETIRE -> found = ALL & ~alloc; at = AT_LET_GO }
	:: atomic {
		at == AT_LET_GO ->
		nfree = COUNT(found);
		found = 0;
		state = IDLE;
		at = AT_OUT
	}
	/* ---- free: by the window ------------------------------------------------------------- */
	:: atomic {
		at == AT_OUT && base && live ->
		slot = (live & 1 -> 0 : 1);
		live = live & ~BIT(slot);
		zeroed = 0;
		free = free | BIT(slot);
		slot = 0
	}
	/* ---- free: by the bit ---------------------------------------------------------------- */
	:: atomic {
		at == AT_OUT && live ->
		if
		:: (live & 1) -> slot = 0
		:: (live & 2) -> slot = 1
		fi;
		live = live & ~BIT(slot);
		MUST(page_map && state != NONE);
#ifdef MUTANT_ZERO_LATE
		at = AT_BIT
#else
		at = AT_ZERO
#endif
	}
	:: atomic {
		at == AT_ZERO ->
		needs_zero = 1;
#ifdef MUTANT_ZERO_LATE
		at = AT_COUNT
#else
		at = AT_BIT
#endif
	}
	:: atomic {
		at == AT_BIT ->
		MUST(alloc & BIT(slot));
		alloc = alloc & ~BIT(slot);
		slot = 0;
#ifdef MUTANT_ZERO_LATE
		at = AT_ZERO
#else
		at = AT_COUNT
#endif
	}
	:: atomic {
		at == AT_COUNT ->
		was = state;
		n = nfree + 1;
		at = (was != IDLE -> AT_OUT : (n >= SLOTS -> AT_CLAIM : AT_STATE))
	}
	/* compare-and-swap: who finds another state looks again */
	:: atomic {
		at == AT_STATE ->
		if
		:: state == IDLE && nfree + 1 == n ->
			nfree = n;
			at = AT_OUT
		:: else -> at = AT_COUNT
		fi
	}
	:: atomic {
		at == AT_CLAIM ->
#ifdef MUTANT_UNCLAIMED
		at = AT_LOOK
#else
		if
		:: state == IDLE && nfree + 1 == n ->
			state = CLIENT;
			at = AT_LOOK
		:: else -> at = AT_COUNT
		fi
#endif
	}
	:: atomic {
		at == AT_LOOK ->
#ifdef MUTANT_NOT_LOOKED
		at = AT_GIVE
#else
		if
		:: alloc & ALL ->
			state = IDLE;
			nfree = n;
			at = AT_OUT
		:: else ->
			at = AT_GIVE
		fi
#endif
	}
	/* ---- give the page back -------------------------------------------------------------- */
	:: atomic {
		at == AT_GIVE && MAY_GIVE ->
#ifndef MUTANT_GIVE_UNLOCKED
		page_lock = 1;
#endif
		MUST(!live);
		at = AT_MAP
	}
	:: atomic {
		at == AT_MAP ->
		page_map = 0;
		state = NONE;
		nfree = 0;
		at = AT_USED
	}
	:: atomic {
		at == AT_USED ->
#if WITNESS == 1
		assert(false);
#endif
		used = 0;
		owners = 0;
#ifndef MUTANT_GIVE_UNLOCKED
		page_lock = 0;
#endif
		n = 0;
		at = AT_OUT
	}
	od
}

/* Pages that are used and have no span: a dead collector's. */
proctype Agent()
{
end:
	do
	:: atomic { !page_lock -> page_lock = 1 };
		atomic {
			if
			:: used && !page_map ->
				used = 0;
				owners = 0
			:: else
			fi;
			page_lock = 0
		}
	od
}

init {
	atomic {
		run Thread(0);
#if THREADS > 1
		run Thread(1);
#endif
		run Agent()
	}
}
