/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * written.h - which pages of a heap were written since: see written.c
 */
#ifndef TRI_CORE_WRITTEN_H
#define TRI_CORE_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The ways to find out.  The first one that works is taken. */
enum tri_written_by {
	TRI_WRITTEN_BY_DEVICE,		/* the module's bitmap: arenas of /dev/tricolor */
	TRI_WRITTEN_BY_UFFD,		/* userfaultfd(2) and PAGEMAP_SCAN, Linux 6.7: a memfd */
	TRI_WRITTEN_KINDS,
	TRI_WRITTEN_BY_NOBODY = TRI_WRITTEN_KINDS,
};

/* A mapping of a file from its beginning.  Whoever has the struct owns uffd and pagemap. */
struct tri_written {
	enum tri_written_by by;
	int file;			/* the caller's: an arena's memfd or descriptor */
	int uffd, pagemap;		/* -1: not needed for this kind */
	uintptr_t base;			/* in the address space that the pagemap is of */
	size_t pages;
	bool started;
	int error[TRI_WRITTEN_KINDS];	/* why each kind can't tell, a negative errno; 0: not
					 * tried, or it can */
};

/**
 * Find out which way works for the mapping of @bytes (a multiple of 4 KiB) of @file at @base, which
 * is the calling process's.  Nothing is tracked yet.  0; -EINVAL: not such a range; -EOPNOTSUPP: no
 * way works, and tri_written_explain() says why; another negative errno.
 *
 * The mapping must stay.  Not async-signal-safe.
 */
int tri_written_open(struct tri_written *w, int file, void *base, size_t bytes);

/**
 * The same for a mapping of another process, which has called tri_written_open() and keeps it open:
 * a collector.  @pagemap: that process's w->pagemap, passed on or opened; this one takes it over,
 * also when it fails.  For a device @pagemap is -1 and @base is not used.  0; -EINVAL: @pagemap is
 * no file of procfs; or as above.
 */
int tri_written_adopt(struct tri_written *w, int file, int pagemap, uintptr_t base, size_t bytes);

/**
 * Stop tracking.  For the process that has called tri_written_open(); the struct may be opened
 * again.
 */
void tri_written_close(struct tri_written *w);

/**
 * Close the struct while the tracking goes on: for a process that has adopted it, and for the child
 * after a fork().
 */
void tri_written_leave(struct tri_written *w);

/**
 * Forget what was written so far, and track from now on.  0, or a negative errno: then nothing is
 * tracked, and tri_written_collect() fails until a start has succeeded.
 */
int tri_written_start(struct tri_written *w);

/**
 * Of @pages pages from page @first on: which were written since they were last asked about, or
 * since the start.  Asking starts anew, page by page and atomically: a write is told by this call
 * or by a later one.
 *
 * @bits: (@pages + 63) / 64 words; bit 0 of the first is page @first.  Bits beyond @pages are 0.
 * Pages may be told that were not written (a page that was dropped from the page table), and pages
 * for which the file has no memory are not told.  One caller at a time.
 *
 * 0, or a negative errno: then all of @bits is set, since some may have been asked about already.
 * -ENODATA: not started.
 */
int tri_written_collect(struct tri_written *w, size_t first, size_t pages, uint64_t *bits);

/** The name of the way that is used, as documents have it; "none". */
const char *tri_written_name(enum tri_written_by by);

/** Why no way works: a sentence for each, into @text of @size bytes.  Returns @text. */
const char *tri_written_explain(const struct tri_written *w, char *text, size_t size);

#endif
