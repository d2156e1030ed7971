// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * objects.c - what the dynamic loader has mapped, read without its lock
 *
 * dl_iterate_phdr() holds the loader's lock during its callbacks.  A program may wait for the
 * agent in such a callback, so the agent must not wait for that lock.  Instead it reads what a
 * debugger reads, the chain of link maps behind _r_debug, in a way that can't fault:
 *
 *  1. The chain is read twice, with each element's link back to the one before it.  If both times
 *     are the same, the chain was so at the moment between them.  If not, it is read again.
 *  2. Each element leads to an ELF header, whose program headers name the writable segments.  That
 *     the header is the right one shows in its PT_DYNAMIC, which must be where the element says.
 *
 * An object that is added meanwhile may be missed.  That is no harm, as barriers are on and
 * nothing was stored in it before.  An object that is removed meanwhile can't be read, and holds
 * nothing any more: see Documentation/design/guest.md, "Roots that go".  The chain has an object
 * before its initialisers run, and until it was unmapped.
 */
#include <elf.h>
#include <link.h>
#include <sched.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/uio.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "../../core/system/point.h"
#include "loader.h"
#include "object.h"
#include "scan.h"
#include "../base/state.h"

#define TRIES 300			/* each with a sched_yield(): a dlopen() takes some 100
					 * us */
#define PHDRS 16			/* read at once, and most objects have less */

#define NAMESPACES 16			/* of dlmopen(); glibc has no more */
#define ELSEWHERE 1024		/* objects that were linked for an address of their own */
#define BATCH 64			/* elements that are read by one system call */

struct element {
	uintptr_t at;
	uintptr_t next, prev;
	struct tri_object_location place;
};

/* What is read of a struct r_debug, of which each namespace has one. */
struct head {
	uintptr_t at, map, next;
};

struct chain {
	struct head head[NAMESPACES];
	size_t heads;
	struct element *element;
	size_t n, room;
};

static struct chain chain;		/* as of the last scan; agent */
/* The agent's own. */
static bool notes_seen;			/* of all objects in the chain, and none was refused */
static unsigned long long notes_unloads;	/* how many objects had been unloaded then */

static tri_au64 program_dynamic;	/* the main program's dynamic section; 0: not known yet */

static bool put(struct chain *c, const struct element *e)
{
	if (c->n == c->room) {
		void *more = tri_array_grow(c->element, &c->room, sizeof(*e), c->n);

		if (!more)
			return false;
		c->element = more;
	}
	c->element[c->n++] = *e;
	return true;
}

bool tri_object_location(uintptr_t map, struct tri_object_location *place)
{
	struct link_map m;

	if (!tri_read_foreign(&m, map, sizeof(m)))
		return false;
	place->bias = m.l_addr;
	place->dynamic = (uintptr_t)m.l_ld;
	return true;
}

static void put_element(struct element *e, uintptr_t at, const struct link_map *m)
{
	*e = (struct element){ at, (uintptr_t)m->l_next, (uintptr_t)m->l_prev,
			       { m->l_addr, (uintptr_t)m->l_ld } };
}

static bool read_head(uintptr_t at, struct head *h)
{
	struct r_debug r;

	if (!tri_read_foreign(&r, at, sizeof(r)))
		return false;
	*h = (struct head){ at, (uintptr_t)r.r_map, 0 };
	/* struct r_debug_extended: since version 2, when there are other namespaces. */
	return r.r_version < 2 || tri_read_foreign(&h->next, at + sizeof(r), sizeof(h->next));
}

/* Read the chains of all namespaces.  False: they change meanwhile, or there is no memory. */
static bool read_chain(void)
{
	uintptr_t debug = (uintptr_t)&_r_debug;

	notes_seen = false;
	chain.n = chain.heads = 0;
	while (debug && chain.heads < NAMESPACES) {
		struct head *h = &chain.head[chain.heads++];
		uintptr_t at, prev = 0;
		struct element e;

		if (!read_head(debug, h))
			return false;
		for (at = h->map; at; prev = at, at = e.next) {
			struct link_map m;

			if (!tri_read_foreign(&m, at, sizeof(m)))
				return false;
			put_element(&e, at, &m);
			if (e.prev != prev || !put(&chain, &e))
				return false;
		}
		debug = h->next;
	}
	return true;
}

/* Read @n link maps, by one system call where that can be done. */
static bool read_maps(const struct element *e, size_t n, struct link_map *m)
{
	struct iovec here = { m, n * sizeof(*m) }, there[BATCH];
	size_t i;

	for (i = 0; i < n; i++)
		there[i] = (struct iovec){ (void *)e[i].at, sizeof(*m) };
	if (!tri_read(&tri_g.no_vm_read))
		return process_vm_readv(tri_g.pid, &here, 1, there, n, 0) == (ssize_t)here.iov_len;
	for (i = 0; i < n; i++)
		if (!tri_read_foreign(&m[i], e[i].at, sizeof(*m)))
			return false;
	return true;
}

/* Whether the chain is still as it was when it was read. */
static bool chain_is_unchanged(void)
{
	struct link_map m[BATCH];
	struct element e;
	struct head h;
	size_t i, k, n;

	for (i = 0; i < chain.heads; i++)
		if (!read_head(chain.head[i].at, &h) || memcmp(&h, &chain.head[i], sizeof(h)))
			return false;
	for (i = 0; i < chain.n; i += n) {
		n = chain.n - i < BATCH ? chain.n - i : BATCH;
		if (!read_maps(&chain.element[i], n, m))
			return false;
		for (k = 0; k < n; k++) {
			put_element(&e, chain.element[i + k].at, &m[k]);
			if (memcmp(&e, &chain.element[i + k], sizeof(e)))
				return false;
		}
	}
	return chain.heads;
}

/* Whether the chain was the same at two moments.  Most often it is as it was in the last cycle. */
static bool chain_is_steady(void)
{
	if (chain_is_unchanged() && chain_is_unchanged())
		return true;
	if (read_chain() && chain_is_unchanged())
		return true;
	chain.heads = 0;
	return false;
}

/* The program headers of an object, the first of which have been read. */
struct phdrs {
	uintptr_t at;
	size_t n, have;
	struct {
		ElfW(Ehdr) ehdr;
		ElfW(Phdr) phdr[PHDRS];	/* mostly these are all, right behind the header */
	} read;
};

/* Call @fn for each of them, until it returns false.  False if they can't be read. */
static bool each_phdr(const struct phdrs *p, bool (*fn)(const ElfW(Phdr) *p, void *arg), void *arg)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		const ElfW(Phdr) *phdr = &p->read.phdr[i];
		ElfW(Phdr) other;

		if (i >= p->have) {
			if (!tri_read_foreign(&other, p->at + i * sizeof(other), sizeof(other)))
				return false;
			phdr = &other;
		}
		if (!fn(phdr, arg))
			return true;
	}
	return p->n;
}

/* Read the main program's, which the kernel has told. */
static void program_phdrs(struct phdrs *p)
{
	p->at = getauxval(AT_PHDR);
	p->n = getauxval(AT_PHNUM);
	p->have = p->n < PHDRS ? p->n : PHDRS;
	if (!tri_read_foreign(p->read.phdr, p->at, p->have * sizeof(p->read.phdr[0])))
		p->n = 0;
}

struct match {
	const struct tri_object_location *place;
	bool found;
};

static bool is_its_dynamic(const ElfW(Phdr) *p, void *arg)
{
	struct match *m = arg;

	m->found |= p->p_type == PT_DYNAMIC && m->place->bias + p->p_vaddr == m->place->dynamic;
	return !m->found;
}

/* Whether @header is the ELF header of the object at @place.  If so, @p is its program headers. */
static bool is_header(uintptr_t header, const struct tri_object_location *place, struct phdrs *p)
{
	struct match m = { place, false };
	const ElfW(Ehdr) *ehdr = &p->read.ehdr;

	if (!tri_read_foreign(&p->read, header, sizeof(p->read)) ||
	    memcmp(ehdr->e_ident, ELFMAG, SELFMAG) || ehdr->e_phentsize != sizeof(ElfW(Phdr)))
		return false;
	p->at = header + ehdr->e_phoff;
	p->n = ehdr->e_phnum;
	p->have = ehdr->e_phoff == sizeof(*ehdr) ? PHDRS : 0;
	return each_phdr(p, is_its_dynamic, &m) && m.found;
}

/*
 * Headers that are not at their object's bias, as the agent has found them by the mappings, which
 * a signal handler can't read.  Written by the agent, read by any thread.  No order is needed: what
 * is read here is only tried, by is_header().
 */
static struct {
	tri_au64 dynamic, header;
} elsewhere[ELSEWHERE];
static tri_au32 nelsewhere;		/* that were put there, all in all */

static void remember_header(const struct tri_object_location *place, uintptr_t header)
{
	uint32_t n = tri_read(&nelsewhere);

	tri_write(&elsewhere[n % ELSEWHERE].dynamic, place->dynamic);
	tri_write(&elsewhere[n % ELSEWHERE].header, header);
	tri_write(&nelsewhere, n + 1);
}

static bool is_header_elsewhere(const struct tri_object_location *place, struct phdrs *p)
{
	uint32_t i, n = tri_read(&nelsewhere);

	for (i = 0; i < n && i < ELSEWHERE; i++)
		if (tri_read(&elsewhere[i].dynamic) == place->dynamic &&
		    is_header(tri_read(&elsewhere[i].header), place, p))
			return true;
	return false;
}

/* Find the program headers of an object.  Async-signal-safe. */
static bool find_phdrs(const struct tri_object_location *place, struct phdrs *p)
{
	uintptr_t program = tri_read(&program_dynamic);
	struct match m = { place, false };

	/* The main program, the first in the chain, may lie at any address. */
	if (!program || program == place->dynamic) {
		program_phdrs(p);
		if (each_phdr(p, is_its_dynamic, &m) && m.found) {
			tri_write(&program_dynamic, place->dynamic);
			return true;
		}
	}
	return is_header(place->bias, place, p) || is_header_elsewhere(place, p);
}

/*
 * As find_phdrs(), also where the header is not at the bias: an object that was linked for an
 * address of its own has it at the first address of its file.  Called by the agent.
 */
static bool seek_phdrs(const struct tri_object_location *place, struct phdrs *p)
{
	uintptr_t header;

	if (find_phdrs(place, p))
		return true;
	header = tri_mappings_read() ? tri_mapping_file_start(place->dynamic) : 0;
	if (!header || !is_header(header, place, p))
		return false;
	remember_header(place, header);
	return true;
}

struct tls_bytes {
	size_t bytes;
};

static bool find_tls(const ElfW(Phdr) *p, void *arg)
{
	struct tls_bytes *t = arg;

	if (p->p_type == PT_TLS)
		t->bytes = p->p_memsz;
	return p->p_type != PT_TLS;
}

bool tri_object_tls_bytes(const struct tri_object_location *place, size_t *bytes)
{
	struct tls_bytes t = { 0 };
	struct phdrs p;

	if (!find_phdrs(place, &p) || !each_phdr(&p, find_tls, &t))
		return false;
	*bytes = t.bytes;
	return true;
}

struct segments {
	struct tri_ranges *into;
	uintptr_t bias;
	bool is_program, failed;
};

static bool put_segment(const ElfW(Phdr) *p, void *arg)
{
	struct segments *s = arg;
	uintptr_t lo = s->bias + p->p_vaddr, hi = lo + p->p_memsz;

	if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
		return true;
	/* The library's own data has pointers into the heap that are no roots. */
	if ((uintptr_t)&tri_g >= lo && (uintptr_t)&tri_g < hi && !s->is_program)
		return true;
	s->failed |= !tri_ranges_put(s->into, lo, hi);
	return !s->failed;
}

static bool put_segments(struct tri_ranges *into, uintptr_t bias, const struct phdrs *p)
{
	struct segments s = { into, bias, p->at == getauxval(AT_PHDR), false };

	return each_phdr(p, put_segment, &s) && !s.failed;
}

/* Find the first segment of a program without a dynamic section, which has the ELF header. */
static bool first_load(const ElfW(Phdr) *p, void *arg)
{
	uintptr_t *vaddr = arg;

	if (p->p_type != PT_LOAD || p->p_offset)
		return true;
	*vaddr = p->p_vaddr;
	return false;
}

/* The program headers of such a program, and what is added to its addresses. */
static bool static_program(struct phdrs *p, uintptr_t *bias)
{
	uintptr_t header = getauxval(AT_PHDR) & ~4095ul, vaddr = header;

	program_phdrs(p);
	if (!each_phdr(p, first_load, &vaddr))
		return false;
	*bias = header - vaddr;
	return true;
}

static bool put_static_program(struct tri_ranges *into)
{
	uintptr_t bias;
	struct phdrs p;

	return static_program(&p, &bias) && put_segments(into, bias, &p);
}

static bool put_all(struct tri_ranges *into)
{
	uintptr_t vdso = getauxval(AT_SYSINFO_EHDR);
	struct phdrs p;
	size_t i;

	into->n = 0;
	if (!chain.n || !chain.element[0].place.dynamic)
		return put_static_program(into);
	for (i = 0; i < chain.n; i++) {
		const struct tri_object_location *place = &chain.element[i].place;

		if (place->bias == vdso)
			continue;
		/* If its headers can't be read, it may be about to be unmapped. */
		if (!seek_phdrs(place, &p) || !put_segments(into, place->bias, &p))
			return false;
	}
	return true;
}

bool tri_objects_segments(struct tri_ranges *into)
{
	int i;

	TRI_POINT("roots.segments");
	for (i = 0; i < TRIES; i++) {
		if (chain_is_steady() && put_all(into))
			return true;
		sched_yield();
	}
	return false;
}

struct containing {
	uintptr_t at, bias;
	bool found;
};

static bool is_in_segment(const ElfW(Phdr) *p, void *arg)
{
	struct containing *c = arg;

	c->found |= p->p_type == PT_LOAD && c->at - c->bias - p->p_vaddr < p->p_memsz;
	return !c->found;
}

static bool is_in(const struct phdrs *p, uintptr_t bias, uintptr_t at)
{
	struct containing c = { at, bias, false };

	return each_phdr(p, is_in_segment, &c) && c.found;
}

bool tri_object_is_program(uintptr_t at)
{
	struct phdrs p;
	uintptr_t bias;

	if (!chain.n || !chain.element[0].place.dynamic)
		return static_program(&p, &bias) && is_in(&p, bias, at);
	return find_phdrs(&chain.element[0].place, &p) &&
	       is_in(&p, chain.element[0].place.bias, at);
}

/* Read the name of an object's file, up to the end of what can be read. */
static void read_name(uintptr_t map, char *file, size_t room)
{
	struct link_map m;
	size_t i;

	file[0] = 0;
	for (i = 0; tri_read_foreign(&m, map, sizeof(m)) && i + 1 < room; i++) {
		file[i + 1] = 0;
		if (!tri_read_foreign(&file[i], (uintptr_t)m.l_name + i, 1) || !file[i])
			return;
	}
}

static void program_name(char *file, size_t room)
{
	ssize_t n = readlink("/proc/self/exe", file, room - 1);

	file[n > 0 ? n : 0] = 0;
}

bool tri_object_find(uintptr_t at, char *file, size_t room, uintptr_t *bias)
{
	struct phdrs p;
	size_t i;

	if (tri_object_is_program(at)) {
		program_name(file, room);
		*bias = chain.n ? chain.element[0].place.bias : 0;
		return chain.n || static_program(&p, bias);
	}
	for (i = 1; i < chain.n; i++) {
		*bias = chain.element[i].place.bias;
		if (seek_phdrs(&chain.element[i].place, &p) && is_in(&p, *bias, at)) {
			read_name(chain.element[i].at, file, room);
			return true;
		}
	}
	return false;
}

struct notes {
	bool (*fn)(uintptr_t at, size_t bytes);
	uintptr_t bias;
	bool stopped;
};

static bool show_notes(const ElfW(Phdr) *p, void *arg)
{
	struct notes *n = arg;

	if (p->p_type == PT_NOTE)
		n->stopped |= !n->fn(n->bias + p->p_vaddr, p->p_memsz);
	return !n->stopped;
}

/*
 * Show the notes of all objects, or up to the object at which that is stopped.  @file is the file
 * of that object.  Only its name is read, since names are read byte by byte.  False: the notes of
 * an object can't be read.
 */
static bool show_all(struct notes *n, char *file, size_t room)
{
	struct phdrs p;
	size_t i;

	if (!chain.n || !chain.element[0].place.dynamic) {
		if (!static_program(&p, &n->bias) || !each_phdr(&p, show_notes, n))
			return false;
		if (n->stopped)
			program_name(file, room);
		return true;
	}
	for (i = 0; i < chain.n && !n->stopped; i++) {
		n->bias = chain.element[i].place.bias;
		if (n->bias == getauxval(AT_SYSINFO_EHDR))
			continue;
		if (!seek_phdrs(&chain.element[i].place, &p) || !each_phdr(&p, show_notes, n))
			return false;
		if (n->stopped && i)
			read_name(chain.element[i].at, file, room);
		else if (n->stopped)
			program_name(file, room);
	}
	return true;
}

bool tri_objects_notes(bool (*fn)(uintptr_t at, size_t bytes), char *file, size_t room)
{
	int i;

	file[0] = 0;
	for (i = 0; i < TRIES; i++) {
		struct notes n = { .fn = fn };
		unsigned long long unloads;
		/*
		 * The chain alone does not say that nothing was loaded: an object that comes after
		 * another one was unloaded may have its place in memory and in the chain.
		 */
		bool counted = tri_loader_unloads(&unloads);

		if (chain_is_steady()) {
			if (notes_seen && counted && unloads == notes_unloads)
				return true;
			if (show_all(&n, file, room)) {
				notes_seen = counted && !n.stopped;
				notes_unloads = unloads;
				return true;
			}
		}
		sched_yield();
	}
	return false;
}
