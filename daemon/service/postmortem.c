// SPDX-License-Identifier: GPL-2.0-only
/*
 * postmortem.c - what the heap of a client held that was killed
 *
 *  1. The connection is at its end, and we still have the arena's file.  A client that has begun to
 *     exit() has said so in its control page, and then there is nothing to do.
 *  2. The arena's tables are read with pread(), a few at a time, into memory of our own: nobody can
 *     make that fault, and holes stay holes.  What they say is counted and never followed.  This
 *     may take a second at most, and a new client of the same user ends it, because that client's
 *     memory comes first.
 *  3. The caller lets go of the arena.
 *  4. Only then is the cause of the end waited for (client_end.c), a second at most.  If it was a
 *     signal, or something that this kernel does not tell, a file is written.
 *
 * A client that dies has one file.  The kernel kills a marker before its client, maybe several
 * times, and each of those connections has ended when the client does.  So of all that wait for the
 * end of one client only the one that knows most writes, and none of them does once one has.
 *
 * The file is JSON with one value a line, so that people can read it as well as programs.  It has
 * no names of the program's and none of the heap's contents.  It is created under another name,
 * which nobody can have prepared (O_EXCL), and then renamed without replacing anything.
 *
 * Objects that threads have taken in advance, up to 64 of a size and kind each, count as objects.
 */
#include "postmortem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon/heap/arena.h"
#include "daemon/heap/backing.h"
#include "core/system/clock.h"
#include "core/system/held.h"
#include "daemon/process/config.h"
#include "describe.h"
#include "core/heap/sizeclass.h"
#include "core/heap/span.h"
#include "daemon/process/log.h"
#include "tricolor.h"

#define READ_NS 1000000000ull
#define WAIT_NS 1000000000ull
#define ACTIVE_MAX 64			/* at a time: each is a thread that may wait for a second */
#define LARGEST 16
#define STEP TRI_CHUNK_PAGES		/* pages that are looked at in one go */
#define PREFIX "tricolor-"
#define RECENT 256

/* A process, as far as it can be told from others at one time. */
struct identity {
	int32_t service_pid;		/* as the registry has it */
	int32_t pid;			/* in its namespace, or else in ours */
	uid_t uid;
	ino_t inode;	/* of a pidfd: from Linux 6.9 on a process has one of its own */
	char host[64];			/* as the client calls it, or we do */
};

struct of_class {
	uint64_t spans, objects;
};

struct postmortem {
	struct postmortem *next;	/* the lock */
	bool reading;			/* the lock */
	atomic_bool stop;		/* a client of the same user wants memory */
	struct identity identity;
	uint64_t hello;			/* number of the one that its connection began with */
	struct control_arena figures;	/* as they were published last */
	bool has_figures;		/* they were */
	struct of_class classes[256];	/* by span class */
	uint64_t large_objects, large_bytes, largest[LARGEST];
	uint64_t used_pages, free_backed_pages, top_pages;
	uint64_t read_pages;		/* so far: all is top_pages */
	uint64_t read_ns;
	bool is_device;
};

/* Tables of STEP pages. */
struct step {
	uint8_t map[STEP];
	uint32_t span_of[STEP];
	struct tri_span spans[STEP];
	uint64_t used[STEP / 64], backed[STEP / 64];
	uint64_t marks[2][STEP][TRI_MARK_WORDS];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct postmortem *begun;	/* and not at their end */
/* The last deaths that were written of; the lock. */
static struct death {
	uint64_t hellos;		/* before it */
	struct identity identity;
} recent[RECENT];
static uint64_t deaths;			/* so far */
static uint64_t hellos;			/* so far */
static unsigned int active;		/* under way; the lock */
static atomic_bool no_more;
static pthread_cond_t fewer = PTHREAD_COND_INITIALIZER;

uint64_t postmortem_hello(uid_t uid)
{
	struct postmortem *p;
	uint64_t number;

	pthread_mutex_lock(&lock);
	for (p = begun; p; p = p->next)
		if (p->reading && p->identity.uid == uid)
			atomic_store(&p->stop, true);
	number = ++hellos;
	pthread_mutex_unlock(&lock);
	return number;
}

static void list_add(struct postmortem *p)
{
	pthread_mutex_lock(&lock);
	p->reading = true;
	p->next = begun;
	begun = p;
	pthread_mutex_unlock(&lock);
}

static void has_read(struct postmortem *p)
{
	pthread_mutex_lock(&lock);
	p->reading = false;
	pthread_mutex_unlock(&lock);
}

/* It is no longer begun. */
static void remove_locked(struct postmortem *p)
{
	struct postmortem **at;

	tri_assert_held(&lock);
	for (at = &begun; *at != p; at = &(*at)->next)
		;
	*at = p->next;
}

static void list_remove(struct postmortem *p)
{
	pthread_mutex_lock(&lock);
	remove_locked(p);
	pthread_mutex_unlock(&lock);
}

static bool is_same(const struct identity *a, const struct identity *b)
{
	return a->service_pid == b->service_pid && a->pid == b->pid && a->uid == b->uid &&
	       a->inode == b->inode && !strcmp(a->host, b->host);
}

/* Whether @p knows more than @other of the same client: figures, or newer ones. */
static bool has_newer_figures(const struct postmortem *p, const struct postmortem *other)
{
	if (p->has_figures != other->has_figures)
		return p->has_figures;
	return p->hello > other->hello;
}

/* Whether the client's death was written of since this connection began. */
static bool is_written(const struct postmortem *p)
{
	size_t i;

	tri_assert_held(&lock);
	for (i = 0; i < RECENT && i < deaths; i++)
		if (recent[i].hellos >= p->hello && is_same(&recent[i].identity, &p->identity))
			return true;
	return false;
}

static bool is_kill(const struct client_end *e)
{
	return e->how == CLIENT_END_SIGNAL || e->how == CLIENT_END_UNKNOWN;
}

/*
 * Its wait is over: it is no longer begun.  Whether it is the one to write of what @w says now.
 * That is looked at under the lock: of two that wait for one client one may have seen the end when
 * the other's time is up, and relies on that to see it, too.
 */
static bool is_the_one(struct postmortem *p, const struct client_end_watch *w, struct client_end *e)
{
	struct postmortem *other;
	bool one;

	pthread_mutex_lock(&lock);
	remove_locked(p);
	client_end_read(w, e);
	one = is_kill(e) && !is_written(p);
	for (other = begun; one && other; other = other->next)
		if (is_same(&other->identity, &p->identity) && has_newer_figures(other, p))
			one = false;
	if (one)
		recent[deaths++ % RECENT] = (struct death){ hellos, p->identity };
	pthread_mutex_unlock(&lock);
	return one;
}

/* Whether there may be one more. */
static bool enter(void)
{
	bool may;

	pthread_mutex_lock(&lock);
	may = active < ACTIVE_MAX;
	active += may;
	pthread_mutex_unlock(&lock);
	return may;
}

static void leave(void)
{
	pthread_mutex_lock(&lock);
	active--;
	pthread_cond_broadcast(&fewer);
	pthread_mutex_unlock(&lock);
}

void postmortem_no_more(void)
{
	atomic_store(&no_more, true);
}

void postmortem_finish(uint64_t until_ns)
{
	struct timespec ts = { (time_t)(until_ns / 1000000000), (long)(until_ns % 1000000000) };

	pthread_mutex_lock(&lock);
	while (active && !pthread_cond_clockwait(&fewer, &lock, CLOCK_MONOTONIC, &ts))
		;
	pthread_mutex_unlock(&lock);
}

/* ------------------------------------------------------------------------------------------ */
/* Reading                                                                                      */
/* ------------------------------------------------------------------------------------------ */

static bool read_part(int fd, void *to, size_t bytes, uint64_t at)
{
	return pread(fd, to, bytes, (off_t)at) == (ssize_t)bytes;
}

static bool has_spans(const struct step *s)
{
	size_t i;

	for (i = 0; i < STEP && !s->map[i]; i++)
		;
	return i < STEP;
}

static bool read_step(int fd, const struct tri_layout *l, uint64_t page, struct step *s)
{
	unsigned int m;

	if (!read_part(fd, s->map, sizeof(s->map), l->page_map + page) ||
	    !read_part(fd, s->used, sizeof(s->used), l->used + page / 8) ||
	    !read_part(fd, s->backed, sizeof(s->backed), l->backed + page / 8))
		return false;
	if (!has_spans(s))
		return true;
	if (!read_part(fd, s->span_of, sizeof(s->span_of), l->span_of + page * sizeof(uint32_t)) ||
	    !read_part(fd, s->spans, sizeof(s->spans), l->spans + page * sizeof(struct tri_span)))
		return false;
	for (m = 0; m < 2; m++)
		if (!read_part(fd, s->marks[m], sizeof(s->marks[m]),
			       l->marks[m] + page * TRI_MARK_WORDS * 8))
			return false;
	return true;
}

static void note_large(struct postmortem *p, uint64_t bytes)
{
	size_t i;

	p->large_objects++;
	p->large_bytes += bytes;
	for (i = LARGEST; i && p->largest[i - 1] < bytes; i--)
		if (i < LARGEST)
			p->largest[i] = p->largest[i - 1];
	if (i < LARGEST)
		p->largest[i] = bytes;
}

/* The span that begins at page @at of @s.  Returns its pages; 1 for what makes no sense. */
static uint64_t count_span(struct postmortem *p, const struct step *s, uint64_t at,
			   uint64_t pages_left)
{
	const struct tri_class *c = &tri_classes[s->map[at]];
	const struct tri_span *span = &s->spans[at];
	uint64_t state = tri_read(&span->state), pages = tri_read(&span->pages), most, objects = 0;
	/* The cycle that it was swept after says which of both bitmaps has its objects. */
	const uint64_t *bits = s->marks[TRI_STATE_CYCLE(state) & 1][at];
	unsigned int w;

	if (c->large) {
		most = pages << TRI_PAGE_SHIFT;
		if (!pages || pages > pages_left)
			return 1;
		p->classes[s->map[at]].spans++;
		if (bits[0] & 1)
			note_large(p, span->bytes < most ? span->bytes : most);
		return pages;
	}
	for (w = 0; w < TRI_MARK_WORDS; w++)
		objects +=
			(uint64_t)__builtin_popcountll(bits[w] & tri_objects_mask(c->objects, w));
	p->classes[s->map[at]].spans++;
	p->classes[s->map[at]].objects += objects;
	return c->pages;
}

/*
 * Count the spans that begin in the STEP pages from @page on.  Returns the page after the last of
 * them.
 */
static uint64_t count_spans(struct postmortem *p, const struct step *s, uint64_t page,
			    uint64_t from, uint64_t end)
{
	while (from < page + STEP && from < end) {
		uint64_t at = from - page;
		const struct tri_class *c = &tri_classes[s->map[at]];

		if ((!c->size && !c->large) || (c->pages != 1 && s->span_of[at] != from))
			from++;
		else
			from += count_span(p, s, at, end - from);
	}
	return from;
}

static void count_pages(struct postmortem *p, const struct step *s)
{
	size_t w;

	for (w = 0; w < STEP / 64; w++) {
		p->used_pages += (uint64_t)__builtin_popcountll(s->used[w]);
		p->free_backed_pages += (uint64_t)__builtin_popcountll(s->backed[w] & ~s->used[w]);
	}
}

static void read_tables(struct postmortem *p, int fd, const struct tri_layout *l, uint64_t until_ns)
{
	struct step *s = malloc(sizeof(*s));
	uint64_t page, next = 1;

	for (page = 0; s && page < p->top_pages; page += STEP) {
		if (atomic_load(&p->stop) || clock_ns() > until_ns || !read_step(fd, l, page, s))
			break;
		next = count_spans(p, s, page, next, p->top_pages);
		/* Page 0 is never used, and marked as if it were. */
		if (!page)
			s->used[0] &= ~1ull;
		count_pages(p, s);
		p->read_pages = page + STEP < p->top_pages ? page + STEP : p->top_pages;
	}
	free(s);
}

/* The header, checked as at the client's coming.  False: there is nothing to be read. */
static bool read_header(struct postmortem *p, int fd, struct tri_layout *l)
{
	struct tri_ctl ctl;
	const char *why;
	uint64_t bytes;

	if (backing_check(fd, &p->is_device, &bytes, &why) ||
	    !read_part(fd, &ctl, sizeof(ctl), 0) || ctl.magic != TRI_MAGIC ||
	    tri_layout_init(l, ctl.heap_pages) || bytes != l->file_bytes)
		return false;
	if (tri_read(&ctl.leaving))
		return false;
	p->top_pages = tri_read(&ctl.top_pages);
	if (p->top_pages > l->heap_pages)
		p->top_pages = l->heap_pages;
	return true;
}

/* In words of its own, which are those that people know it by. */
static void name_client(struct identity *identity, const struct registry_arena *r,
			const struct client_end_watch *w)
{
	struct stat st;

	identity->uid = r->uid;
	identity->service_pid = r->pid;
	identity->pid = r->claim && r->claim->pid > 0 ? r->claim->pid : r->pid;
	identity->inode = w->pidfd >= 0 && !fstat(w->pidfd, &st) ? st.st_ino : 0;
	if (r->claim && r->claim->host[0])
		memcpy(identity->host, r->claim->host, sizeof(identity->host));
	else if (gethostname(identity->host, sizeof(identity->host)))
		strcpy(identity->host, "unknown");
	identity->host[sizeof(identity->host) - 1] = 0;
}

struct postmortem *postmortem_read(struct registry_arena *r, const struct client_end_watch *w, int fd,
				   uint64_t hello)
{
	uint64_t began = clock_ns();
	struct tri_layout layout;
	struct postmortem *p;

	if (!config_on_kill()[0] || atomic_load(&no_more))
		return NULL;
	if (!enter()) {
		log_warning("process %d: no post-mortem: %d others are under way", r->pid,
			    ACTIVE_MAX);
		return NULL;
	}
	p = calloc(1, sizeof(*p));
	if (!p) {
		log_warning("process %d: no memory for a post-mortem", r->pid);
		goto none;
	}
	p->hello = hello;
	p->has_figures = registry_has_figures(r);
	describe_arena(r, &p->figures);
	name_client(&p->identity, r, w);
	list_add(p);
	if (!read_header(p, fd, &layout)) {
		/*
		 * The device's is gone with its client: who was killed is to be known nevertheless.
		 */
		if (!p->is_device) {
			list_remove(p);
			free(p);
			goto none;
		}
	} else if (!p->is_device) {
		read_tables(p, fd, &layout, began + READ_NS);
	}
	has_read(p);
	p->read_ns = clock_ns() - began;
	return p;
none:
	leave();
	return NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* The text                                                                                     */
/* ------------------------------------------------------------------------------------------ */

struct text {
	char *at;
	size_t used, room;
	bool full;
};

static void add(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(t->at + t->used, t->room - t->used, fmt, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->room - t->used)
		t->full = true;
	else
		t->used += (size_t)n;
}

/* A string from a client: what is not plain text becomes a question mark. */
static void add_string(struct text *t, const char *name, const char *value, size_t room)
{
	size_t i;

	add(t, "  \"%s\": \"", name);
	for (i = 0; i < room && value[i]; i++) {
		if (value[i] == '"' || value[i] == '\\')
			add(t, "\\%c", value[i]);
		else
			add(t, "%c", value[i] < ' ' || value[i] > '~' ? '?' : value[i]);
	}
	add(t, "\",\n");
}

static void add_number(struct text *t, const char *name, uint64_t n)
{
	/* Limits that are none, and goals that are never reached. */
	if (n == UINT64_MAX || n == INT64_MAX)
		add(t, "  \"%s\": null,\n", name);
	else
		add(t, "  \"%s\": %" PRIu64 ",\n", name, n);
}

static void add_end(struct text *t, const struct client_end *e)
{
	char sentence[128];

	add(t, "  \"ended\": { \"how\": \"%s\"", e->how == CLIENT_END_SIGNAL ? "signal" : "not known");
	if (e->how == CLIENT_END_SIGNAL)
		add(t, ", \"signal\": %d, \"core\": %s", e->signal, e->core ? "true" : "false");
	if (e->oom_known)
		add(t, ", \"group_kills_for_memory\": %" PRIu64, e->oom_kills);
	add(t, ", \"text\": \"%s\" },\n", client_end_text(e, sentence));
}

static void add_figures(struct text *t, const struct control_arena *a)
{
	add_number(t, "memory_limit_bytes", (uint64_t)a->limit_bytes);
	add_number(t, "gc_percent", a->gc_percent < 0 ? UINT64_MAX : (uint64_t)a->gc_percent);
	add_number(t, "heap_bytes", a->heap_bytes);
	add_number(t, "peak_heap_bytes", a->peak_heap_bytes);
	add_number(t, "live_bytes", a->live_bytes);
	add_number(t, "now_bytes", a->now_bytes);
	add_number(t, "goal_bytes", a->goal_bytes);
	add_number(t, "allocated_bytes", a->allocated_bytes);
	add_number(t, "released_bytes", a->released_bytes);
	add_number(t, "limit_events", a->limit_events);
	add_number(t, "threads", a->threads);
	add_number(t, "figures_age_ns", a->published_age_ns);
	add_number(t, "cycles", a->cycles);
	if (a->cycle_age_ns == UINT64_MAX)
		add(t, "  \"last_cycle\": null,\n");
	else
		add(t,
		    "  \"last_cycle\": { \"age_ns\": %" PRIu64 ", \"wall_ns\": %" PRIu64
		    ", \"cpu_ns\": %" PRIu64 ", \"objects\": %" PRIu64 ", \"scan_bytes\": %" PRIu64
		    ", \"root_bytes\": %" PRIu64 " },\n",
		    a->cycle_age_ns, a->cycle_wall_ns, a->cycle_cpu_ns, a->cycle_objects,
		    a->cycle_scan_bytes, a->cycle_root_bytes);
}

static const char *const kinds[] = {
	[TRI__LEAF] = "leaf",
	[TRI__CONSERVATIVE] = "conservative",
	[TRI__TYPED] = "typed",
};

static void add_classes(struct text *t, const struct postmortem *p)
{
	const char *comma = "";
	unsigned int i;

	add(t, "  \"size_classes\": [");
	for (i = 0; i < 256; i++) {
		const struct of_class *o = &p->classes[i];
		const struct tri_class *c = &tri_classes[i];

		if (!o->spans || c->large)
			continue;
		add(t,
		    "%s\n    { \"object_bytes\": %u, \"kind\": \"%s\", \"spans\": %" PRIu64
		    ", \"span_bytes\": %" PRIu64 ", \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64
		    " }",
		    comma, c->size, c->kind < 3 ? kinds[c->kind] : "?", o->spans,
		    o->spans * c->pages << TRI_PAGE_SHIFT, o->objects, o->objects * c->size);
		comma = ",";
	}
	add(t, "%s],\n", *comma ? "\n  " : "");
	add(t,
	    "  \"large\": { \"objects\": %" PRIu64 ", \"bytes\": %" PRIu64 ", \"largest_bytes\": [",
	    p->large_objects, p->large_bytes);
	for (i = 0; i < LARGEST && p->largest[i]; i++)
		add(t, "%s%" PRIu64, i ? ", " : "", p->largest[i]);
	add(t, "] },\n");
}

static void compose(struct text *t, const struct postmortem *p, const struct client_end *e, time_t now)
{
	bool whole = p->read_pages == p->top_pages;
	char when[32];
	struct tm tm;

	gmtime_r(&now, &tm);
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &tm);
	add(t, "{\n  \"post_mortem\": 1,\n");
	add_string(t, "time", when, sizeof(when));
	add_string(t, "host", p->identity.host, sizeof(p->identity.host));
	add_number(t, "pid", (uint64_t)p->identity.pid);
	add_string(t, "command", p->figures.comm, sizeof(p->figures.comm));
	add_number(t, "uid", p->figures.uid);
	add_string(t, "cgroup", p->figures.cgroup, sizeof(p->figures.cgroup));
	add_end(t, e);
	if (p->has_figures)
		add_figures(t, &p->figures);
	add_number(t, "spans_bytes", p->used_pages << TRI_PAGE_SHIFT);
	add_number(t, "free_bytes", p->free_backed_pages << TRI_PAGE_SHIFT);
	add_classes(t, p);
	add_number(t, "reading_took_ns", p->read_ns);
	add(t, "  \"complete\": %s", whole ? "true" : "false");
	if (!whole)
		add(t,
		    ",\n  \"incomplete_because\": \"%s\",\n  \"read_pages\": %" PRIu64
		    ",\n  \"all_pages\": %" PRIu64,
		    p->is_device ? "the memory of a heap of /dev/tricolor goes with its program" :
		    atomic_load(&p->stop) ?
				   "another program of the same user came and needed the memory" :
				   "a second was over, or there was no memory to read it into",
		    p->read_pages, p->top_pages);
	add(t, "\n}\n");
}

/* ------------------------------------------------------------------------------------------ */
/* The file                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* The folder, if it is one that we may rely on.  Negative: -errno, and @why. */
static int open_folder(const char *dir, char why[static 160])
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err = errno;
	struct stat st;

	if (fd < 0) {
		snprintf(why, 160, "%s%s", strerror(err),
			 err == ENOENT ? "; make it" :
			 err == ELOOP || err == ENOTDIR ?
					 "; it must be a folder and no link to one" :
					 "");
		return -err;
	}
	if (fstat(fd, &st) || (st.st_uid != geteuid() && st.st_uid)) {
		snprintf(why, 160, "it belongs to user %u; it must be root's or user %u's",
			 st.st_uid, geteuid());
		close(fd);
		return -EPERM;
	}
	return fd;
}

int postmortem_check(const char *dir, char why[static 160])
{
	int fd = open_folder(dir, why), err = 0;

	if (fd < 0)
		return -fd;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS)) {
		err = errno;
		snprintf(why, 160, "user %u can't make files there: %s", geteuid(), strerror(err));
	}
	close(fd);
	return err;
}

/* How many of our files there are. */
static unsigned int count_files(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned int n = 0;
	struct dirent *e;

	while (d && (e = readdir(d)))
		n += !strncmp(e->d_name, PREFIX, strlen(PREFIX));
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	return n;
}

static bool write_all(int fd, const struct text *t)
{
	size_t done = 0;
	ssize_t n;

	while (done < t->used) {
		n = write(fd, t->at + done, t->used - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* 0, or an errno. */
static int write_file(int folder, const char *name, const struct text *t)
{
	char temporary[160];
	int fd, err = 0;

	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (fchmod(fd, 0600) || !write_all(fd, t))
		err = errno;
	/* A file system may say only now that it is full. */
	if (close(fd) && !err)
		err = errno;
	if (!err && renameat2(folder, temporary, folder, name, RENAME_NOREPLACE))
		err = errno;
	if (err)
		unlinkat(folder, temporary, 0);
	return err;
}

/* A host's name as a part of a file's: letters, digits, and what is harmless. */
static void host_part(const struct postmortem *p, char host[static 64])
{
	size_t i;

	memcpy(host, p->identity.host, 64);
	for (i = 0; host[i]; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.",
			    host[i]))
			host[i] = '_';
}

static void put(const struct postmortem *p, const struct client_end *e)
{
	struct text t = { .at = malloc(POSTMORTEM_BYTES), .room = POSTMORTEM_BYTES };
	char why[160], host[64], name[144], stamp[32], end[128];
	const char *dir = config_on_kill();
	struct timespec now;
	struct tm tm;
	int folder, err;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	host_part(p, host);
	snprintf(name, sizeof(name), PREFIX "%s-%d-%s.%03ldZ.json", host, p->identity.pid, stamp,
		 now.tv_nsec / 1000000);
	folder = open_folder(dir, why);
	if (t.at)
		compose(&t, p, e, now.tv_sec);
	if (folder < 0)
		err = -folder;
	else if (!t.at || t.full)
		err = ENOMEM;
	else if (count_files(folder) >= POSTMORTEM_FILES)
		err = EMFILE;
	else
		err = write_file(folder, name, &t);
	if (!err)
		log_line("process %d (%.16s) %s; what its heap held is in %s/%s", p->identity.pid,
			 p->figures.comm, client_end_text(e, end), dir, name);
	else
		log_error("process %d (%.16s) %s, and no post-mortem could be written: %s: %s",
			  p->identity.pid, p->figures.comm, client_end_text(e, end), dir,
			  folder < 0	? why :
			  err == EMFILE ? "it has 256 of them; remove some" :
					  strerror(err));
	if (folder >= 0)
		close(folder);
	free(t.at);
}

void postmortem_write(struct postmortem *p, const struct client_end_watch *w)
{
	struct client_end e;

	if (!p)
		return;
	client_end_wait(w, clock_ns() + WAIT_NS, &e);
	if (is_the_one(p, w, &e))
		put(p, &e);
	else if (e.how == CLIENT_END_UNSEEN)
		log_line(
			"process %d (%.16s) has gone, how can't be known here, and so there is no "
			"post-mortem",
			p->identity.pid, p->figures.comm);
	free(p);
	leave();
}
