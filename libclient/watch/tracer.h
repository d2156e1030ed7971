/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tracer.h - what the agent and the tracer share: see tracer.c and tracer_process.c
 *
 * The tracer is a process that shares the agent's memory.
 */
#ifndef TRI_TRACER_H
#define TRI_TRACER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "../../core/heap/layout.h"
#include "../base/attributes.h"
#include "../checker/checker.h"

#define TRI_TRACE_STACK_BYTES 65536u
#define TRI_TRACE_THREADS 512u
#define TRI_TRACE_HITTERS 16u		/* threads that store to one word, from one pass to the
					 * next */
#define TRI_TRACE_REGISTERS 4u		/* debug registers of a thread */

/* What a trace is used for; its state. */
enum { TRI_TRACE_UNUSED, TRI_TRACE_WATCHES, TRI_TRACE_READ };

/*
 * A word that is watched.  The fields up to @escapes are written by the agent.  The others are
 * written by the tracer, and read by the agent after a round.
 */
struct tri_trace {
	tri_au32 state;
	tri_au32 number;		/* of its use */
	tri_au64 read_ns;		/* when the agent read the word; 0: not yet */
	uintptr_t at;
	pid_t only;			/* the thread that is watched; 0: all are */
	uint32_t escapes;		/* tri_tracer.escapes when it began to be watched */
	uint32_t n;			/* of @last, that are used */
	bool full;			/* there were more threads than @last has room for */
	bool several;			/* different instructions have stored, at any time */
	bool after_differs;		/* a thread has stored by another instruction after
					 * @read_ns than before */
	struct tri_hit first;
	struct tri_hit last[TRI_TRACE_HITTERS];	/* of each thread */
};

/* A thread that is traced.  Written by the tracer, read by any thread. */
struct tri_traced {
	tri_au32 tid;			/* 0: none */
	tri_au32 armed;			/* the version that its debug registers are of */
	/*
	 * What each of its debug registers is for: the number of a trace + 1, or 0, and of its use.
	 */
	uint32_t trace[TRI_TRACE_REGISTERS], number[TRI_TRACE_REGISTERS];
};

struct tri_tracer {
	tri_au32 version;		/* of what is watched; written by the agent */
	tri_au32 asked, done;		/* lists of threads to seize: how many the agent has made,
					 * and the tracer has done */
	tri_au32 progress;		/* futex: a thread is armed, or gone */
	tri_au32 refused;		/* an errno: a thread can't be seized, or armed */
	tri_au32 escapes;		/* how often a thread came out of a region unarmed; written
					 * by any thread */
	tri_au32 nthreads;		/* of thread[], that have ever been used */
	tri_au32 lets_go;		/* nobody is to be traced any more; written by the agent */
	tri_au32 ended;			/* the tracer has ended */
	bool stale;			/* debug registers have words that are not watched any
					 * more; the agent's */
	uint32_t nlist;
	pid_t list[TRI_TRACE_THREADS];	/* to be seized; written by the agent before @asked */
	struct tri_traced thread[TRI_TRACE_THREADS];
	struct tri_trace trace[TRI_WATCHED];
	struct tri_hit hit;		/* the tracer's own */
	_Alignas(16) char stack[TRI_TRACE_STACK_BYTES];
};

extern struct tri_tracer *tri_tracer TRI_HIDDEN;

/* ---- tracer_process.c ---- */
int tri_tracer_run(void *unused) TRI_HIDDEN;
struct tri_traced *tri_tracer_find(pid_t tid) TRI_HIDDEN;	/* any thread */

#endif
