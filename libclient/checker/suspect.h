/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * suspect.h - places where words were stored to without the barrier: suspect.c, watching.c
 *
 * For the agent only.
 */
#ifndef TRI_SUSPECT_H
#define TRI_SUSPECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../base/attributes.h"
#include "checker.h"

#define TRI_PLACES 4096u		/* later ones are counted as the last one */
#define TRI_SITES 4096u			/* the same */
#define TRI_TABLE_SLOTS (4 * TRI_PLACES)	/* of a table that leads to them */
#define TRI_STINT 32u			/* passes that a place is watched for, at first */

/* What a watch tells about who has stored to a suspect word. */
enum tri_told {
	TRI_TOLD_ELSEWHERE,		/* it was not the word that was watched */
	TRI_TOLD_ONE,
	TRI_TOLD_SEVERAL,		/* instructions, and it is unknown which one it was */
	TRI_TOLD_NOBODY			/* no thread that uses the heap */
};

/* A global, an offset in objects of one class and kind, or a large object. */
struct tri_place {
	uint64_t key;
	struct tri_suspect latest;
	uintptr_t highest;		/* the highest address that was suspect */
	uint64_t pending;		/* suspects that no site has yet */
	uint64_t turns;			/* passes that it was watched for */
	/* Passes that it is to be watched for after it was suspect. */
	uint32_t stint;
	uint32_t left;			/* those of them that are left */
	bool in_vain;			/* it was not suspect again in a whole stint */
	uint32_t missed;		/* how often it was suspect while it was watched, and
					 * the watch did not tell who had stored */
	/* How often of these it was not the word that was watched. */
	uint32_t elsewhere;
	enum tri_told told;		/* the last time that it was watched */
	uint64_t seen;			/* the last pass in which it was suspect */
	uint64_t chosen;		/* the last pass in which it was chosen to be watched */
	uint64_t known;			/* the last pass in which a watch told who had stored */
	size_t site;			/* + 1; 0: none yet */
	bool is_bare;			/* the site is the place itself: no instruction is known */
	uintptr_t first;		/* the first address that was suspect, whether that is a
					 * place of its own or not */
	bool differs;			/* another address was suspect later */
	bool is_told;			/* it was reported that it is suspect */
	uint64_t counted;		/* suspects that the bare site has from here */
	uint64_t rest, rests_until;	/* an instruction is known, and the next one is not looked
					 * for before pass @rests_until */
};

/* A hash table, from keys to indices. */
struct tri_table {
	uint64_t key[TRI_TABLE_SLOTS];
	uint32_t index[TRI_TABLE_SLOTS];		/* + 1; 0: unused */
};

struct tri_suspects {
	struct tri_table places_by_key, sites_by_ip;
	struct tri_place place[TRI_PLACES];
	uint64_t count[TRI_SITES];
	struct tri_watch watch[TRI_WATCHED];
	struct tri_hit hit;
};

/* In memory of its own, since static variables may be roots: see checker.h. */
extern struct tri_suspects *tri_suspects TRI_HIDDEN;

extern size_t tri_nplaces TRI_HIDDEN, tri_nwatches TRI_HIDDEN;	/* that are used */
extern uint64_t tri_unwatched TRI_HIDDEN;	/* watches that could not be had */
extern uint64_t tri_check_number TRI_HIDDEN;		/* the number of the present pass */

/* ---- watching.c ---- */
void tri_watching_choose(uint64_t pass_ns, bool none) TRI_HIDDEN;
void tri_watching_stop(void) TRI_HIDDEN;

#endif
