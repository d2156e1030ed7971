// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * settings.c - options and TRICOLOR_* variables
 *
 * An option that the program sets wins over the variable, the variable over the default.  Programs
 * that run with more rights than their caller ignore the variables (secure_getenv).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../core/heap/layout.h"
#include "../core/proto/socket.h"
#include "../core/system/size.h"
#include "error.h"
#include "settings.h"
#include "tricolor.h"
#include "watched.h"

#define DEFAULT_ARENA_BYTES (64ull << 30)
#define VALGRIND_ARENA_BYTES (64ull << 20)	/* see watched.c */
#define DEFAULT_DEBUG_BYTES (1ull << 30)
#define DEFAULT_MAX_WAIT_S 10		/* as long as a program waits for a collector that is not there */
#define MAX_WAIT_MOST_S 3600

static int bad(const char *name, const char *value, const char *want)
{
	return tri_fail(EINVAL, "tricolor: %s=%s: want %s", name, value, want);
}

/* The words of a comma-separated list, each of which sets a flag; or a number from 1 on, behind an equals sign. */
struct word {
	const char *word;
	bool *flag;
	uint32_t *number;
};

static bool parse_number(const char *text, uint32_t *number)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || !n || n > UINT32_MAX)
		return false;
	*number = (uint32_t)n;
	return true;
}

/* Whether @text is @p, and if so that is set. */
static bool take_word(const struct word *p, const char *text)
{
	size_t n = strlen(p->word);

	if (p->number)
		return !strncmp(text, p->word, n) && text[n] == '=' && parse_number(text + n + 1, p->number);
	if (strcmp(text, p->word))
		return false;
	*p->flag = true;
	return true;
}

static int parse_words(const char *name, const char *text, const struct word *words,
		       const char *want)
{
	char copy[256], *state = NULL, *w;
	const struct word *p;

	if (strlen(text) >= sizeof(copy))
		return bad(name, text, want);
	strcpy(copy, text);
	for (w = strtok_r(copy, ",", &state); w; w = strtok_r(NULL, ",", &state)) {
		for (p = words; p->word && !take_word(p, w); p++)
			;
		if (!p->word)
			return bad(name, text, want);
	}
	return 0;
}

static int parse_path(const char *name, const char *text, char *path, size_t room)
{
	if (strlen(text) >= room)
		return bad(name, text, "a shorter path");
	strcpy(path, text);
	return 0;
}

static int read_environment(struct tri_settings *s, const char **trace, const char **debug)
{
	const char *e;
	char *end;
	int err = 0;

	/* First: it counts for what is said of the others. */
	e = secure_getenv("TRICOLOR_QUIET");
	s->quiet = e && *e && strcmp(e, "0");
	e = secure_getenv("TRICOLOR_GC_PERCENT");
	if (e && *e) {
		if (!tri_parse_percent(e, &s->gc_percent))
			return bad("TRICOLOR_GC_PERCENT", e, "a percentage of 0 or more, or off");
		s->chosen |= TRI_CHOSEN_GC_PERCENT;
	}
	e = secure_getenv("TRICOLOR_MEMORY_LIMIT");
	if (e && *e) {
		if (!tri_parse_limit(e, &s->memory_limit_bytes))
			return bad("TRICOLOR_MEMORY_LIMIT", e, TRI_SIZE_FORMS ", auto or off");
		s->chosen |= TRI_CHOSEN_MEMORY_LIMIT;
	}
	e = secure_getenv("TRICOLOR_LIMIT_POLICY");
	if (e && *e) {
		s->chosen |= TRI_CHOSEN_LIMIT_POLICY;
		if (!strcmp(e, "continue"))
			s->limit_policy = TRI_LIMIT_CONTINUE;
		else if (!strcmp(e, "fail-fast"))
			s->limit_policy = TRI_LIMIT_FAIL_FAST;
		else
			return bad("TRICOLOR_LIMIT_POLICY", e, "continue or fail-fast");
	}
	e = secure_getenv("TRICOLOR_ARENA_SIZE");
	if (e && *e && !tri_parse_bytes(e, &s->arena_bytes))
		return bad("TRICOLOR_ARENA_SIZE", e, TRI_SIZE_FORMS);
	e = secure_getenv("TRICOLOR_BACKING");
	if (!err && e && *e) {
		if (!strcmp(e, "auto"))
			s->backing = TRI_BACKING_AUTO;
		else if (!strcmp(e, "memfd"))
			s->backing = TRI_BACKING_MEMFD;
		else if (!strcmp(e, "dev"))
			s->backing = TRI_BACKING_DEV;
		else
			return bad("TRICOLOR_BACKING", e, "auto, memfd or dev");
	}
	e = secure_getenv("TRICOLOR_FORK");
	if (!err && e && *e) {
		if (!strcmp(e, "auto"))
			s->fork = TRI_FORK_AUTO;
		else if (!strcmp(e, "copy"))
			s->fork = TRI_FORK_COPY;
		else if (!strcmp(e, "fresh"))
			s->fork = TRI_FORK_FRESH;
		else
			return bad("TRICOLOR_FORK", e, "auto, copy or fresh");
	}
	e = secure_getenv("TRICOLOR_SIGNAL");
	if (!err && e && *e) {
		long n = strtol(e, &end, 10);

		if (*end || n < 1 || n > SIGRTMAX)
			return bad("TRICOLOR_SIGNAL", e, "the number of a signal");
		s->signal = (int)n;
	}
	e = secure_getenv("TRICOLOR_SOCKET");
	if (!err && e && *e)
		err = parse_path("TRICOLOR_SOCKET", e, s->socket, sizeof(s->socket));
	/* The collector's business; but a mistake is to be seen where it was made. */
	e = secure_getenv("TRICOLOR_ON_KILL");
	if (!err && e && *e && *e != '/' && strcmp(e, "off"))
		return bad("TRICOLOR_ON_KILL", e, "the absolute path of a folder, or off");
	e = secure_getenv("TRICOLOR_DAEMON");
	/* It is started with / as its folder, and maybe long after the program has changed its own. */
	if (!err && e && *e && *e != '/' && strcmp(e, "off"))
		return bad("TRICOLOR_DAEMON", e, "an absolute path, or off");
	if (!err && e && *e)
		err = parse_path("TRICOLOR_DAEMON", e, s->daemon, sizeof(s->daemon));
	e = secure_getenv("TRICOLOR_MAX_WAIT");
	if (!err && e && *e) {
		long n = strtol(e, &end, 10);

		if (*e < '0' || *e > '9' || *end || n > MAX_WAIT_MOST_S)
			return bad("TRICOLOR_MAX_WAIT", e, "a number of seconds, 0 to 3600");
		s->max_wait_s = (uint32_t)n;
	}
	e = secure_getenv("TRICOLOR_MARKER");
	if (!err && e && *e) {
		if (strcmp(e, "auto") && strcmp(e, "lent"))
			return bad("TRICOLOR_MARKER", e, "auto or lent");
		s->lent_marker = !strcmp(e, "lent");
	}
	e = secure_getenv("TRICOLOR_CONTROL");
	if (!err && e && *e) {
		if (strcmp(e, "on") && strcmp(e, "off"))
			return bad("TRICOLOR_CONTROL", e, "on or off");
		s->no_control = !strcmp(e, "off");
	}
	e = secure_getenv("TRICOLOR_DEBUG_FILE");
	if (!err && e && *e)
		err = parse_path("TRICOLOR_DEBUG_FILE", e, s->debug_file, sizeof(s->debug_file));
	e = secure_getenv("TRICOLOR_DEBUG_MEMORY");
	if (e && *e && !tri_parse_bytes(e, &s->debug_memory_bytes))
		return bad("TRICOLOR_DEBUG_MEMORY", e, TRI_SIZE_FORMS);
	*trace = secure_getenv("TRICOLOR_TRACE");
	*debug = secure_getenv("TRICOLOR_DEBUG");
	return err;
}

static int read_options(struct tri_settings *s, const struct tri_options *o, const char **trace,
			const char **debug)
{
	const char *wrong;

	if (o->size < sizeof(*o))
		return tri_fail(EINVAL, "tricolor: tri_options.size must be sizeof(struct tri_options)");
	wrong = o->backing > TRI_BACKING_DEV ? "backing" :
		o->handshake_signal < 0 || o->handshake_signal > SIGRTMAX ? "handshake_signal" :
		o->memory_limit_bytes < 0 ? "memory_limit_bytes" :
		o->gc_percent < -1 ? "gc_percent" :
		o->limit_policy > TRI_LIMIT_FAIL_FAST ? "limit_policy" :
		o->fork > TRI_FORK_FRESH ? "fork" : NULL;
	if (wrong)
		return tri_fail(EINVAL, "tricolor: tri_options.%s is out of range; tricolor.h says what it takes",
				wrong);
	if (o->arena_bytes)
		s->arena_bytes = o->arena_bytes;
	if (o->memory_limit_bytes) {
		s->memory_limit_bytes = o->memory_limit_bytes;
		s->chosen |= TRI_CHOSEN_MEMORY_LIMIT;
	}
	if (o->limit_policy) {
		s->limit_policy = o->limit_policy;
		s->chosen |= TRI_CHOSEN_LIMIT_POLICY;
	}
	if (o->gc_percent) {
		s->gc_percent = o->gc_percent;
		s->chosen |= TRI_CHOSEN_GC_PERCENT;
	}
	if (o->backing)
		s->backing = (enum tri_backing)o->backing;
	if (o->fork)
		s->fork = (enum tri_fork)o->fork;
	if (o->handshake_signal)
		s->signal = o->handshake_signal;
	if (o->trace)
		*trace = o->trace;
	if (o->debug)
		*debug = o->debug;
	return o->socket ? parse_path("socket", o->socket, s->socket, sizeof(s->socket)) : 0;
}

/* Signals by which the kernel tells a thread of its own doing, and those that nobody can handle. */
static bool may_interrupt(int sig)
{
	static const int others[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS,
				      SIGQUIT, SIGINT, SIGTERM, SIGCHLD, SIGPIPE, SIGCONT };
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (sig == others[i])
			return false;
	return sig < 32 || sig >= SIGRTMIN;
}

int tri_settings_read(struct tri_settings *s, const struct tri_options *opts)
{
	const struct word traces[] = {
		{ "gc", &s->trace_gc, NULL }, { "pacer", &s->trace_pacer, NULL }, { "scav", &s->trace_scav, NULL },
		{ "limit", &s->trace_limit, NULL }, { NULL, NULL, NULL },
	};
	const struct word debugs[] = {
		{ "checkmark", &s->checkmark, NULL }, { "clobberfree", &s->clobberfree, NULL },
		{ "nomembarrier", &s->no_membarrier, NULL }, { "norseq", &s->no_rseq, NULL },
		{ "novmread", &s->no_vm_read, NULL }, { "gc", NULL, &s->gc_every }, { "barriers", &s->barriers, NULL },
		{ "barriers=abort", &s->barriers_abort, NULL }, { "barriers=status", &s->barriers_status, NULL },
		{ NULL, NULL, NULL },
	};
	const char *trace = NULL, *debug = NULL;
	int err;

	memset(s, 0, sizeof(*s));
	s->arena_bytes = tri_on_valgrind() ? VALGRIND_ARENA_BYTES : DEFAULT_ARENA_BYTES;
	s->memory_limit_bytes = TRI_LIMIT_AUTO;
	s->limit_policy = TRI_LIMIT_CONTINUE;
	s->gc_percent = 100;
	s->debug_memory_bytes = DEFAULT_DEBUG_BYTES;
	s->max_wait_s = DEFAULT_MAX_WAIT_S;
	strcpy(s->socket, TRI_DEFAULT_SOCKET);
	err = read_environment(s, &trace, &debug);
	if (!err && opts)
		err = read_options(s, opts, &trace, &debug);
	if (!err && trace)
		err = parse_words("TRICOLOR_TRACE", trace, traces,
				  "a list of gc, pacer, scav, limit");
	if (!err && debug)
		err = parse_words("TRICOLOR_DEBUG", debug, debugs,
				  "a list of checkmark, clobberfree, gc=N (N: 1 or more), nomembarrier, norseq, "
				  "novmread, barriers, barriers=abort, barriers=status");
	s->barriers |= s->barriers_abort || s->barriers_status;
	/* Every allocation and store is to be counted: none may go the inline way. */
	s->no_rseq |= s->gc_every != 0;
	s->prints = s->trace_gc || s->trace_pacer || s->trace_scav || s->trace_limit || s->checkmark ||
		    s->barriers;
	if (!err && s->signal && !may_interrupt(s->signal))
		err = tri_fail(EINVAL, "tricolor: signal %d can't be the library's: the kernel sends it, or it can't be "
			       "caught; TRICOLOR_SIGNAL and tri_options.handshake_signal take a real-time signal, "
			       "%d to %d, or SIGUSR1, SIGUSR2 or SIGURG", s->signal, SIGRTMIN, SIGRTMAX);
	if (!err && (s->arena_bytes >> TRI_PAGE_SHIFT < TRI_MIN_HEAP_PAGES ||
		     s->arena_bytes >> TRI_PAGE_SHIFT > TRI_MAX_HEAP_PAGES))
		err = tri_fail(EINVAL, "tricolor: an arena of %llu bytes is not between 4 MiB and 1 TiB "
			       "(TRICOLOR_ARENA_SIZE, tri_options.arena_bytes)",
			       (unsigned long long)s->arena_bytes);
	return err;
}
