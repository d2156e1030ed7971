/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

#define MEMORY_MAX_PROCESSES 64

/* The descendants of this process, as far as they are known. */
struct memory_tree {
	pid_t pids[MEMORY_MAX_PROCESSES];
	unsigned int count;
	unsigned int samples;
	uint64_t peak_bytes;
};

/* Look for the descendants of this process. */
void memory_find(struct memory_tree *tree);

/* Take a sample and raise the peak.  Looks for new processes now and then. */
void memory_sample(struct memory_tree *tree);

#endif
