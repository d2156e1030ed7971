// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * root.c - roots that are not stacks: data segments, registered ranges, handles
 *
 * The writable segments of every loaded object are looked up in each cycle, so that what dlopen()
 * brings is covered and what dlclose() takes is forgotten.  They are scanned inside
 * dl_iterate_phdr(), whose lock keeps them mapped.  Of large ranges, pages that were never touched
 * are skipped, by /proc/self/pagemap: a page that is neither present nor swapped out has no pointer
 * of this process in it.
 *
 * Stores into roots go through the barrier, so that the scan may run beside the program.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "internal.h"

#define PAGEMAP_FROM (256ul << 10)
#define HANDLE_CHUNK 510

struct range {
	uintptr_t lo, hi;
};

struct ranges {
	struct range *range;
	size_t n, room;
};

/* Handles: chunks of cells, never freed; a free cell is on a list through its own word, tagged 1. */
struct tri_handle {
	void *object;
};

struct chunk {
	struct chunk *next;
	struct tri_handle cell[HANDLE_CHUNK];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;	/* all below */
static struct ranges added;
static struct ranges segments;		/* as of the last scan; agent */
static struct chunk *chunks;
static struct tri_handle *free_cells;
static uint64_t scanned_bytes;		/* agent */
static int pagemap = -1;		/* agent */

static bool put_range(struct ranges *r, uintptr_t lo, uintptr_t hi)
{
	if (r->n == r->room) {
		size_t room = r->room ? r->room * 2 : 128;
		struct range *more = mmap(NULL, room * sizeof(*more), PROT_READ | PROT_WRITE,
					  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (more == MAP_FAILED)
			return false;
		if (r->n)
			memcpy(more, r->range, r->n * sizeof(*more));
		if (r->room)
			munmap(r->range, r->room * sizeof(*more));
		r->range = more;
		r->room = room;
	}
	r->range[r->n++] = (struct range){ lo, hi };
	return true;
}

TRI_EXPORT int tri_root_add(void *start, size_t len)
{
	int err = tri_start(NULL);

	if (err)
		return err;
	if (!start || (uintptr_t)start + len < (uintptr_t)start)
		return -EINVAL;
	pthread_mutex_lock(&lock);
	if (!put_range(&added, (uintptr_t)start, (uintptr_t)start + len))
		err = -ENOMEM;
	pthread_mutex_unlock(&lock);
	/* What is there already came without a barrier that knew of it. */
	if (!err) {
		struct tri_thread *t = tri_enter();
		uintptr_t *word = (uintptr_t *)(((uintptr_t)start + 7) & ~7ull);

		for (; t && tri_read(&t->marking) && (char *)(word + 1) <= (char *)start + len; word++)
			tri_shade(t, (void *)*word);
		if (t)
			tri_leave(t);
	}
	return err;
}

TRI_EXPORT int tri_root_remove(void *start, size_t len)
{
	int err = -ENOENT;
	size_t i;

	pthread_mutex_lock(&lock);
	for (i = 0; i < added.n; i++) {
		if (added.range[i].lo == (uintptr_t)start &&
		    added.range[i].hi == (uintptr_t)start + len) {
			added.range[i] = added.range[--added.n];
			err = 0;
			break;
		}
	}
	pthread_mutex_unlock(&lock);
	/* Its pointers are deleted, as by stores: the program may still hold what it had of them. */
	if (!err) {
		struct tri_thread *t = tri_enter();
		uintptr_t *word = (uintptr_t *)(((uintptr_t)start + 7) & ~7ull);

		for (; t && tri_read(&t->marking) && (char *)(word + 1) <= (char *)start + len; word++)
			tri_shade(t, (void *)*word);
		if (t)
			tri_leave(t);
	}
	return err;
}

TRI_EXPORT tri_handle *tri_handle_new(const void *object)
{
	tri_handle *h;
	int i;

	if (tri_start(NULL))
		return NULL;
	pthread_mutex_lock(&lock);
	if (!free_cells) {
		struct chunk *c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (c == MAP_FAILED) {
			pthread_mutex_unlock(&lock);
			errno = ENOMEM;
			return NULL;
		}
		c->next = chunks;
		chunks = c;
		for (i = 0; i < HANDLE_CHUNK; i++) {
			c->cell[i].object = (void *)((uintptr_t)free_cells | 1);
			free_cells = &c->cell[i];
		}
	}
	h = free_cells;
	free_cells = (void *)((uintptr_t)h->object & ~1ul);
	h->object = NULL;
	pthread_mutex_unlock(&lock);
	(tri_store)(&h->object, object);
	return h;
}

TRI_EXPORT void *tri_handle_get(const tri_handle *handle)
{
	return __atomic_load_n(&handle->object, __ATOMIC_ACQUIRE);
}

TRI_EXPORT void tri_handle_set(tri_handle *handle, const void *object)
{
	(tri_store)(&handle->object, object);
}

TRI_EXPORT void tri_handle_free(tri_handle *handle)
{
	if (!handle)
		return;
	(tri_store)(&handle->object, NULL);
	pthread_mutex_lock(&lock);
	handle->object = (void *)((uintptr_t)free_cells | 1);
	free_cells = handle;
	pthread_mutex_unlock(&lock);
}

/* Scan a range, leaving out pages that this process never wrote. */
static void scan_sparse(struct tri_thread *to, uintptr_t lo, uintptr_t hi, bool all)
{
	uint64_t entry[512];
	uintptr_t page;

	if (hi - lo >= PAGEMAP_FROM && pagemap < 0)
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	if (hi - lo < PAGEMAP_FROM || pagemap < 0) {
		scanned_bytes += hi - lo;
		tri_scan_range(to, lo, hi, all);
		return;
	}
	for (page = lo & ~4095ul; page < hi;) {
		size_t want = (hi - page + 4095) / 4096, i;
		ssize_t got;

		if (want > 512)
			want = 512;
		got = pread(pagemap, entry, want * 8, (off_t)(page / 4096 * 8));
		for (i = 0; i < want; i++, page += 4096) {
			uintptr_t from = page < lo ? lo : page;
			uintptr_t to_end = page + 4096 > hi ? hi : page + 4096;

			/* Bit 63: present, 62: swapped.  An unreadable entry is scanned. */
			if ((ssize_t)((i + 1) * 8) <= got && !(entry[i] >> 62))
				continue;
			scanned_bytes += to_end - from;
			tri_scan_range(to, from, to_end, all);
		}
	}
}

struct scan {
	struct tri_thread *to;
	bool all;
};

static int scan_segments(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct scan *s = arg;
	int i;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &info->dlpi_phdr[i];
		uintptr_t lo = info->dlpi_addr + p->p_vaddr, hi = lo + p->p_memsz;

		if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
			continue;
		/* Our own data has pointers into the heap that are no roots. */
		if ((uintptr_t)&tri_g >= lo && (uintptr_t)&tri_g < hi && info->dlpi_name[0])
			continue;
		put_range(&segments, lo, hi);
		scan_sparse(s->to, lo, hi, s->all);
	}
	return 0;
}

/*
 * Agent.  With @all the program's threads are stopped, one of them perhaps with the loader's lock in
 * its hands: then the segments of the last scan are used, if they are still mapped.
 */
void tri_roots_scan(struct tri_thread *to, bool all)
{
	struct scan s = { to, all };
	unsigned char vec;
	struct chunk *c;
	bool held;
	size_t i;

	scanned_bytes = 0;
	if (!all) {
		segments.n = 0;
		held = tri_fork_hold();
		dl_iterate_phdr(scan_segments, &s);
		tri_fork_release(held);
	} else {
		for (i = 0; i < segments.n; i++)
			if (!mincore((void *)(segments.range[i].lo & ~4095ul), 4096, &vec))
				scan_sparse(to, segments.range[i].lo, segments.range[i].hi, all);
	}
	if (all ? pthread_mutex_trylock(&lock) : pthread_mutex_lock(&lock))
		return;
	for (i = 0; i < added.n; i++)
		scan_sparse(to, added.range[i].lo, added.range[i].hi, all);
	for (c = chunks; c; c = c->next)
		scan_sparse(to, (uintptr_t)c->cell, (uintptr_t)(c->cell + HANDLE_CHUNK), all);
	pthread_mutex_unlock(&lock);
	tri_starting_scan(to, all);
}

uint64_t tri_roots_bytes(void)
{
	return scanned_bytes;
}

/* A forked child: registered ranges are the program's and stay; handles hold nothing any more. */
void tri_roots_reset(void)
{
	struct chunk *c;
	int i;

	pthread_mutex_init(&lock, NULL);
	segments.n = 0;
	pagemap = -1;
	for (c = chunks; c; c = c->next)
		for (i = 0; i < HANDLE_CHUNK; i++)
			if (!((uintptr_t)c->cell[i].object & 1))
				c->cell[i].object = NULL;
}
