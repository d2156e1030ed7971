// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_end.c - what ended a program, or children of it, in a `tricolor run`
 *
 * Anybody may kill a program by SIGKILL.  That the kernel did so, for lack of memory, is seen in
 * the control group's count of such kills (memory.events, or memory.oom_control of v1), which is
 * read before and after.  The counts of the groups from there upwards tell whose limit it was. v2
 * counts how often a group could not keep memory.max, and adds that to all groups above, so the
 * limit is that of the lowest group whose count has grown. v1 counts how often each limit was
 * reached, even if something could be reclaimed then; if several were reached, all are named.  If
 * none was, the whole machine was out of memory.
 *
 * The collector tells what the heap had: it keeps the last figures of clients that have ended.
 */
#include "run_end.h"

#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "collector.h"
#include "complain.h"
#include "core/system/cgroup.h"
#include "show.h"

#define ANSWER_S 10

static uint64_t read_value(const char *dir, const char *name, const char *key)
{
	char text[4096];
	uint64_t n;

	if (!tri_cgroup_read(dir, name, text, sizeof(text)))
		return key ? 0 : TRI_CGROUP_NONE;
	if (key)
		return tri_cgroup_parse_stat(text, key, &n) ? n : 0;
	return tri_cgroup_parse_number(text, &n) ? n : TRI_CGROUP_NONE;
}

static void read_level(const char *dir, unsigned int version, struct run_end_level *l)
{
	if (version == 2) {
		l->limit_bytes = read_value(dir, "memory.max", NULL);
		l->kills = read_value(dir, "memory.events", "oom_kill");
		l->reached = read_value(dir, "memory.events", "oom");
	} else {
		l->limit_bytes = read_value(dir, "memory.limit_in_bytes", NULL);
		l->kills = read_value(dir, "memory.oom_control", "oom_kill");
		l->reached = read_value(dir, "memory.failcnt", NULL);
		if (l->reached == TRI_CGROUP_NONE)
			l->reached = 0;
	}
}

static size_t read_levels(const struct run_end *e,
			  struct run_end_level levels[static RUN_END_LEVELS])
{
	char dir[PATH_MAX];
	size_t n = 0;

	if (!e->dir[0])
		return 0;
	strcpy(dir, e->dir);
	do
		read_level(dir, e->version, &levels[n++]);
	while (n < RUN_END_LEVELS && tri_cgroup_up(dir, e->mount_len));
	return n;
}

void run_end_begin(struct run_end *e, const char *dir)
{
	struct tri_cgroup *own = malloc(sizeof(*own));

	memset(e, 0, sizeof(*e));
	if (own && tri_cgroup_find("", TRI_CGROUP_SELF, "memory", own)) {
		e->version = own->version;
		e->mount_len = own->mount_len;
		strcpy(e->dir, *dir ? dir : own->dir);
		e->levels = read_levels(e, e->before);
	}
	free(own);
}

/* Print what was given as 64MiB as 64 MiB, and not as 64.0 MiB. */
static const char *limit_text(uint64_t bytes, char text[static 32])
{
	if (bytes >> 30 && !(bytes & ((1ull << 30) - 1)))
		snprintf(text, 32, "%llu GiB", (unsigned long long)(bytes >> 30));
	else if (bytes >> 20 && !(bytes & ((1ull << 20) - 1)))
		snprintf(text, 32, "%llu MiB", (unsigned long long)(bytes >> 20));
	else
		show_bytes(bytes, text);
	return text;
}

/* "memory limit of 64 MiB" */
static void name_limit(const struct run_end *e, const struct run_end_level *now, char *text,
		       size_t room)
{
	size_t i, used = 0, named = 0;
	char size[32];

	for (i = 0; i < e->levels; i++) {
		if (now[i].reached <= e->before[i].reached || now[i].limit_bytes == TRI_CGROUP_NONE)
			continue;
		used += (size_t)snprintf(text + used, room - used,
					 named ? ", or %s of a group above" : "memory limit of %s",
					 limit_text(now[i].limit_bytes, size));
		named++;
		if (e->version == 2 || used >= room)
			break;
	}
	if (!named)
		snprintf(text, room, "the machine was out of memory");
}

/* The last figures of heaps in the program's group, newest first. */
struct heaps {
	struct control_request request;
	struct arena_of *arenas;
	size_t n;
};

static bool ask(struct collector *c, void *arg)
{
	struct heaps *h = arg;
	struct control_reply reply;

	/*
	 * A collector that has ended, or is of an older version, does not answer; the message is
	 * shorter then.
	 */
	if (!collector_ask(c, &h->request, ANSWER_S, &reply, &h->arenas))
		h->n = reply.arenas;
	return false;
}

static void find_heaps(struct heaps *h, const char *socket)
{
	*h = (struct heaps){ .request = collector_request(CONTROL_ENDED) };
	collectors_each(socket, ask, h);
}

static const struct control_arena *heap_of(const struct heaps *h, pid_t pid)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->arenas[i].arena.pid == pid)
			return &h->arenas[i].arena;
	return NULL;
}

/*
 * Make a text such as ", 42.0 MiB live at the last collection", or one that says that no heap is
 * known.
 */
static void name_heap(const struct control_arena *a, char *text, size_t room)
{
	char live[32], heap[32], freed[32];

	if (!a)
		snprintf(text, room, ", no heap that its collector knows of");
	else
		snprintf(text, room,
			 ", %s live at the last collection, which left a heap of %s%s%s",
			 show_bytes(a->live_bytes, live), show_bytes(a->heap_bytes, heap),
			 a->free_bytes ? " and free memory of " : "",
			 a->free_bytes ? show_bytes(a->free_bytes, freed) : "");
}

/*
 * Whether a newer entry of the list is of the same client.  A client whose marker was killed has
 * attached again, and is in the list several times: only the newest entry counts.
 */
static bool has_newer(const struct heaps *h, size_t i)
{
	pid_t pid = h->arenas[i].arena.pid;

	while (i && h->arenas[i - 1].arena.pid != pid)
		i--;
	return i && pid > 0;
}

/*
 * How the kernel ended a child, in words; NULL: the kernel did not end it.  Before Linux 6.15 this
 * can't always be known.
 */
static const char *killed_how(const struct control_arena *a)
{
	if (a->ended_how == CONTROL_END_SIGNAL && a->ended_signal == SIGKILL)
		return "was killed by the kernel";
	if (a->ended_how == CONTROL_END_UNKNOWN && a->ended_kills)
		return "has ended, as the kernel killed processes of its group";
	return NULL;
}

/* Print which children the kernel killed.  Only those that had heaps are known. */
static void say_children(const struct heaps *h, pid_t pid, uint64_t kills, const char *limit)
{
	char heap[160];
	uint64_t named = 0;
	size_t i;

	for (i = 0; i < h->n && named < kills; i++) {
		const struct control_arena *a = &h->arenas[i].arena;
		const char *how = killed_how(a);

		if (a->pid == pid || !how || has_newer(h, i))
			continue;
		name_heap(a, heap, sizeof(heap));
		complain("its child %s (process %lld) %s: %s%s", a->comm, (long long)a->pid, how,
			 limit, heap);
		if (a->ended_how == CONTROL_END_SIGNAL)
			named++;
	}
	if (named < kills)
		complain("%llu %sprocess%s of its group %s killed by the kernel: %s",
			 (unsigned long long)(kills - named), named ? "more " : "",
			 kills - named == 1 ? "" : "es", kills - named == 1 ? "was" : "were",
			 limit);
}

void run_end_say(const struct run_end *e, const char *name, pid_t pid, int status,
		 const char *socket)
{
	struct run_end_level now[RUN_END_LEVELS];
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	size_t n = read_levels(e, now);
	uint64_t kills =
		n && now[0].kills > e->before[0].kills ? now[0].kills - e->before[0].kills : 0;
	struct heaps h = { .n = 0 };
	char limit[160] = "", heap[160];
	const char *abbrev = sig ? sigabbrev_np(sig) : NULL;

	if (kills) {
		name_limit(e, now, limit, sizeof(limit));
		find_heaps(&h, socket);
	}
	if (sig == SIGKILL && kills) {
		name_heap(heap_of(&h, pid), heap, sizeof(heap));
		complain("%s (process %d) was killed by the kernel: %s%s", name, pid, limit, heap);
		kills--;
	} else if (sig) {
		complain("%s (process %d) was killed by signal %d (%s%s)%s", name, pid, sig,
			 abbrev ? "SIG" : "", abbrev ? abbrev : strsignal(sig),
			 WCOREDUMP(status) ? ", and there is a core" : "");
	}
	if (kills)
		say_children(&h, pid, kills, limit);
	free(h.arenas);
}
