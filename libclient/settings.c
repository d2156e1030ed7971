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

#include "core/size.h"
#include "internal.h"

#define DEFAULT_ARENA_BYTES (64ull << 30)
#define DEFAULT_SOCKET "/run/tricolor/tricolord.sock"

static int bad(const char *name, const char *value, const char *want)
{
	return tri_fail(EINVAL, "tricolor: %s=%s: want %s", name, value, want);
}

/* The words of a comma-separated list, each of which sets a flag. */
struct word {
	const char *word;
	bool *flag;
};

static int parse_words(const char *name, const char *text, const struct word *words,
		       const char *want)
{
	char copy[256], *state = NULL, *w;
	const struct word *p;

	if (strlen(text) >= sizeof(copy))
		return bad(name, text, want);
	strcpy(copy, text);
	for (w = strtok_r(copy, ",", &state); w; w = strtok_r(NULL, ",", &state)) {
		for (p = words; p->word && strcmp(p->word, w); p++)
			;
		if (!p->word)
			return bad(name, text, want);
		*p->flag = true;
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

	e = secure_getenv("TRICOLOR_GC_PERCENT");
	if (e && *e) {
		if (!tri_parse_percent(e, &s->gc_percent))
			return bad("TRICOLOR_GC_PERCENT", e, "a percentage of 0 or more, or off");
		s->chosen |= TRI_CHOSEN_GC_PERCENT;
	}
	e = secure_getenv("TRICOLOR_MEMORY_LIMIT");
	if (e && *e) {
		if (!tri_parse_limit(e, &s->memory_limit_bytes))
			return bad("TRICOLOR_MEMORY_LIMIT", e, "a size such as 512MiB, auto or off");
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
		return bad("TRICOLOR_ARENA_SIZE", e, "a size such as 64GiB");
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
	e = secure_getenv("TRICOLOR_DAEMON");
	/* It is started with / as its folder, and maybe long after the program has changed its own. */
	if (!err && e && *e && *e != '/')
		return bad("TRICOLOR_DAEMON", e, "an absolute path");
	if (!err && e && *e)
		err = parse_path("TRICOLOR_DAEMON", e, s->daemon, sizeof(s->daemon));
	e = secure_getenv("TRICOLOR_CONTROL");
	if (!err && e && *e) {
		if (strcmp(e, "on") && strcmp(e, "off"))
			return bad("TRICOLOR_CONTROL", e, "on or off");
		s->no_control = !strcmp(e, "off");
	}
	*trace = secure_getenv("TRICOLOR_TRACE");
	*debug = secure_getenv("TRICOLOR_DEBUG");
	return err;
}

static int read_options(struct tri_settings *s, const struct tri_options *o, const char **trace,
			const char **debug)
{
	if (o->size < sizeof(*o))
		return tri_fail(EINVAL, "tricolor: tri_options.size must be sizeof(struct tri_options)");
	if (o->backing > TRI_BACKING_DEV || o->handshake_signal < 0 || o->handshake_signal > SIGRTMAX ||
	    o->memory_limit_bytes < 0 || o->gc_percent < -1 || o->limit_policy > TRI_LIMIT_FAIL_FAST)
		return tri_fail(EINVAL, "tricolor: an option of tri_init() is out of range");
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
	if (o->handshake_signal)
		s->signal = o->handshake_signal;
	if (o->trace)
		*trace = o->trace;
	if (o->debug)
		*debug = o->debug;
	return o->socket ? parse_path("socket", o->socket, s->socket, sizeof(s->socket)) : 0;
}

int tri_settings_read(struct tri_settings *s, const struct tri_options *opts)
{
	const struct word traces[] = {
		{ "gc", &s->trace_gc }, { "pacer", &s->trace_pacer }, { "scav", &s->trace_scav },
		{ "limit", &s->trace_limit }, { NULL, NULL },
	};
	const struct word debugs[] = {
		{ "checkmark", &s->checkmark }, { "clobberfree", &s->clobberfree },
		{ "nomembarrier", &s->no_membarrier }, { "norseq", &s->no_rseq }, { NULL, NULL },
	};
	const char *trace = NULL, *debug = NULL;
	int err;

	memset(s, 0, sizeof(*s));
	s->arena_bytes = DEFAULT_ARENA_BYTES;
	s->memory_limit_bytes = TRI_LIMIT_AUTO;
	s->limit_policy = TRI_LIMIT_CONTINUE;
	s->gc_percent = 100;
	s->signal = SIGURG;
	strcpy(s->socket, DEFAULT_SOCKET);
	err = read_environment(s, &trace, &debug);
	if (!err && opts)
		err = read_options(s, opts, &trace, &debug);
	if (!err && trace)
		err = parse_words("TRICOLOR_TRACE", trace, traces,
				  "a list of gc, pacer, scav, limit");
	if (!err && debug)
		err = parse_words("TRICOLOR_DEBUG", debug, debugs,
				  "a list of checkmark, clobberfree, nomembarrier, norseq");
	s->prints = s->trace_gc || s->trace_pacer || s->trace_scav || s->trace_limit || s->checkmark;
	if (!err && s->signal == SIGKILL)
		err = tri_fail(EINVAL, "tricolor: signal %d can't be caught; choose another one", SIGKILL);
	if (!err && (s->arena_bytes >> TRI_PAGE_SHIFT < TRI_MIN_HEAP_PAGES ||
		     s->arena_bytes >> TRI_PAGE_SHIFT > TRI_MAX_HEAP_PAGES))
		err = tri_fail(EINVAL, "tricolor: an arena of %llu bytes is not between 4 MiB and 1 TiB",
			       (unsigned long long)s->arena_bytes);
	return err;
}
