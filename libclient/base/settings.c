// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * settings.c - options and TRICOLOR_* variables
 *
 * An option that the program sets takes precedence over the variable, and the variable over the
 * default.  Programs that run with more rights than their caller ignore the variables
 * (secure_getenv()).
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../core/heap/layout.h"
#include "../../core/proto/socket.h"
#include "../../core/proto/version.h"
#include "../../core/system/size.h"
#include "error.h"
#include "settings.h"
#include "tricolor.h"
#include "watched.h"

#define DEFAULT_ARENA_BYTES (64ull << 30)
#define VALGRIND_ARENA_BYTES (64ull << 20)	/* see watched.c */
#define DEFAULT_DEBUG_BYTES (1ull << 30)
#define DEFAULT_MAX_WAIT_S 10		/* as long as tri_gc() waits for a collector */
#define MAX_WAIT_MOST_S 3600

/* Fail with a sentence: the option or variable @name may not be @value. */
static int bad(const char *name, const char *value, const char *want)
{
	return tri_fail(EINVAL, "tricolor: %s=%s: want %s", name, value, want);
}

/*
 * A word of a list with commas.  The word sets @flag; or it is followed by an equals sign and
 * *@number, which is at least 1.
 */
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

/* Whether @text is word @p.  If so, its flag or number is set. */
static bool take_word(const struct word *p, const char *text)
{
	size_t n = strlen(p->word);

	if (p->number)
		return !strncmp(text, p->word, n) && text[n] == '=' &&
		       parse_number(text + n + 1, p->number);
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

/* Copy @text.  False: it does not fit. */
static bool copy_path(char *path, size_t room, const char *text)
{
	if (strlen(text) >= room)
		return false;
	strcpy(path, text);
	return true;
}

/* The index of @text in @words, or -1. */
static int which_of(const char *text, const char *const *words)
{
	int i;

	for (i = 0; words[i]; i++)
		if (!strcmp(text, words[i]))
			return i;
	return -1;
}

static bool is_absolute_or_off(const char *text)
{
	return *text == '/' || !strcmp(text, "off");
}

static bool gc_percent(struct tri_settings *s, const char *text)
{
	s->chosen |= TRI_CHOSEN_GC_PERCENT;
	return tri_parse_percent(text, &s->gc_percent);
}

static bool memory_limit(struct tri_settings *s, const char *text)
{
	s->chosen |= TRI_CHOSEN_MEMORY_LIMIT;
	return tri_parse_limit(text, &s->memory_limit_bytes);
}

static bool limit_policy(struct tri_settings *s, const char *text)
{
	static const char *const words[] = { "continue", "fail-fast", NULL };
	int which = which_of(text, words);

	s->chosen |= TRI_CHOSEN_LIMIT_POLICY;
	s->limit_policy = which ? TRI_LIMIT_FAIL_FAST : TRI_LIMIT_CONTINUE;
	return which >= 0;
}

static bool arena_size(struct tri_settings *s, const char *text)
{
	return tri_parse_bytes(text, &s->arena_bytes);
}

static bool backing(struct tri_settings *s, const char *text)
{
	static const char *const words[] = { [TRI_BACKING_AUTO] = "auto",
					     [TRI_BACKING_MEMFD] = "memfd",
					     [TRI_BACKING_DEV] = "dev",
					     NULL };
	int which = which_of(text, words);

	s->backing = (enum tri_backing)which;
	return which >= 0;
}

static bool what_fork_does(struct tri_settings *s, const char *text)
{
	static const char *const words[] = {
		[TRI_FORK_AUTO] = "auto", [TRI_FORK_COPY] = "copy", [TRI_FORK_FRESH] = "fresh", NULL
	};
	int which = which_of(text, words);

	s->fork = (enum tri_fork)which;
	return which >= 0;
}

static bool who_finalizes(struct tri_settings *s, const char *text)
{
	static const char *const words[] = { [TRI_FINALIZERS_AUTO] = "auto",
					     [TRI_FINALIZERS_THREAD] = "thread",
					     [TRI_FINALIZERS_PROGRAM] = "program",
					     NULL };
	int which = which_of(text, words);

	s->finalizers = (enum tri_finalizers)which;
	return which >= 0;
}

static bool handshake_signal(struct tri_settings *s, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	s->signal = (int)n;
	return !*end && n >= 1 && n <= SIGRTMAX;
}

static bool socket_path(struct tri_settings *s, const char *text)
{
	return copy_path(s->socket, sizeof(s->socket), text);
}

/* The collector uses it, but a mistake should be reported where it was made. */
static bool on_kill(struct tri_settings *s, const char *text)
{
	(void)s;
	return is_absolute_or_off(text);
}

/*
 * The daemon is started in the folder /, and maybe long after the program has changed its own
 * folder: a relative path would not lead to it.
 */
static bool daemon_is_absolute(struct tri_settings *s, const char *text)
{
	(void)s;
	return is_absolute_or_off(text);
}

static bool daemon_path(struct tri_settings *s, const char *text)
{
	return copy_path(s->daemon, sizeof(s->daemon), text);
}

static bool max_wait(struct tri_settings *s, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	s->max_wait_s = (uint32_t)n;
	return *text >= '0' && *text <= '9' && !*end && n <= MAX_WAIT_MOST_S;
}

static bool marker(struct tri_settings *s, const char *text)
{
	s->lent_marker = !strcmp(text, "lent");
	return s->lent_marker || !strcmp(text, "auto");
}

static bool control(struct tri_settings *s, const char *text)
{
	s->no_control = !strcmp(text, "off");
	return s->no_control || !strcmp(text, "on");
}

static bool debug_file(struct tri_settings *s, const char *text)
{
	return copy_path(s->debug_file, sizeof(s->debug_file), text);
}

static bool debug_memory(struct tri_settings *s, const char *text)
{
	return tri_parse_bytes(text, &s->debug_memory_bytes);
}

static const struct variable {
	const char *name;
	const char *want;		/* what it takes, for an error message */
	/* Take the value @text.  False: it is not what @want says. */
	bool (*parse)(struct tri_settings *s, const char *text);
} variables[] = {
	{ "TRICOLOR_GC_PERCENT", "a percentage of 0 or more, or off", gc_percent },
	{ "TRICOLOR_MEMORY_LIMIT", TRI_SIZE_FORMS ", auto or off", memory_limit },
	{ "TRICOLOR_LIMIT_POLICY", "continue or fail-fast", limit_policy },
	{ "TRICOLOR_ARENA_SIZE", TRI_SIZE_FORMS, arena_size },
	{ "TRICOLOR_BACKING", "auto, memfd or dev", backing },
	{ "TRICOLOR_FORK", "auto, copy or fresh", what_fork_does },
	{ "TRICOLOR_FINALIZERS", "auto, thread or program", who_finalizes },
	{ "TRICOLOR_SIGNAL", "the number of a signal", handshake_signal },
	{ "TRICOLOR_SOCKET", "a shorter path", socket_path },
	{ "TRICOLOR_ON_KILL", "the absolute path of a folder, or off", on_kill },
	{ "TRICOLOR_DAEMON", "an absolute path, or off", daemon_is_absolute },
	{ "TRICOLOR_DAEMON", "a shorter path", daemon_path },
	{ "TRICOLOR_MAX_WAIT", "a number of seconds, 0 to 3600", max_wait },
	{ "TRICOLOR_MARKER", "auto or lent", marker },
	{ "TRICOLOR_CONTROL", "on or off", control },
	{ "TRICOLOR_DEBUG_FILE", "a shorter path", debug_file },
	{ "TRICOLOR_DEBUG_MEMORY", TRI_SIZE_FORMS, debug_memory },
};

/* Read all variables.  An empty one counts as none. */
static int read_environment(struct tri_settings *s)
{
	const char *text = secure_getenv("TRICOLOR_QUIET");
	const struct variable *v;
	size_t i;

	/* This comes first, because it decides whether mistakes in the others are printed. */
	s->quiet = text && *text && strcmp(text, "0");
	for (i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
		v = &variables[i];
		text = secure_getenv(v->name);
		if (text && *text && !v->parse(s, text))
			return bad(v->name, text, v->want);
	}
	return 0;
}

/*
 * Copy the options of a program that was compiled with another header.  An older header has fewer
 * options, and the others are 0 then.  A newer one may have more options, and none of these may be
 * set.
 */
static int copy_options(struct tri_options *to, const struct tri_options *from)
{
	size_t size = from->size, i;

	if (size < offsetof(struct tri_options, memory_limit_bytes))
		return tri_fail(EINVAL,
				"tricolor: tri_options.size must be sizeof(struct tri_options)");
	for (i = sizeof(*to); i < size; i++)
		if (((const char *)from)[i])
			return tri_fail(
				E2BIG,
				"tricolor: an option is set that libtricolor " TRI_VERSION
				" does not "
				"know; use the library of the header that the program was compiled with");
	memset(to, 0, sizeof(*to));
	memcpy(to, from, size < sizeof(*to) ? size : sizeof(*to));
	return 0;
}

static int read_options(struct tri_settings *s, const struct tri_options *opts, const char **trace,
			const char **debug)
{
	struct tri_options copy, *o = &copy;
	const char *wrong;
	int err = copy_options(o, opts);

	if (err)
		return err;
	wrong = o->backing > TRI_BACKING_DEV ? "backing" :
		o->handshake_signal < 0 || o->handshake_signal > SIGRTMAX ? "handshake_signal" :
		o->memory_limit_bytes < 0 ? "memory_limit_bytes" :
		o->gc_percent < -1 ? "gc_percent" :
		o->limit_policy > TRI_LIMIT_FAIL_FAST ? "limit_policy" :
		o->fork > TRI_FORK_FRESH ? "fork" :
		o->finalizers > TRI_FINALIZERS_PROGRAM ? "finalizers" : NULL;
	if (wrong)
		return tri_fail(
			EINVAL,
			"tricolor: tri_options.%s is out of range; tricolor.h says what it takes",
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
	if (o->finalizers)
		s->finalizers = (enum tri_finalizers)o->finalizers;
	if (o->handshake_signal)
		s->signal = o->handshake_signal;
	if (o->trace)
		*trace = o->trace;
	if (o->debug)
		*debug = o->debug;
	if (o->socket && !socket_path(s, o->socket))
		return bad("socket", o->socket, "a shorter path");
	return 0;
}

/*
 * Whether threads may be interrupted by @sig.  They may not by those that the kernel sends to a
 * thread or a process itself, nor by those that nobody can handle.
 */
static bool may_interrupt(int sig)
{
	static const int others[] = { SIGKILL, SIGSTOP, SIGSEGV, SIGBUS,  SIGFPE,
				      SIGILL,  SIGTRAP, SIGABRT, SIGSYS,  SIGQUIT,
				      SIGINT,  SIGTERM, SIGCHLD, SIGPIPE, SIGCONT };
	size_t i;

	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (sig == others[i])
			return false;
	return sig < 32 || sig >= SIGRTMIN;
}

int tri_settings_read(struct tri_settings *s, const struct tri_options *opts)
{
	const struct word traces[] = {
		{ "gc", &s->trace_gc, NULL },
		{ "pacer", &s->trace_pacer, NULL },
		{ "scav", &s->trace_scav, NULL },
		{ "limit", &s->trace_limit, NULL },
		{ NULL, NULL, NULL },
	};
	const struct word debugs[] = {
		{ "checkmark", &s->checkmark, NULL },
		{ "clobberfree", &s->clobberfree, NULL },
		{ "frees", &s->frees, NULL },
		{ "nomembarrier", &s->no_membarrier, NULL },
		{ "norseq", &s->no_rseq, NULL },
		{ "novmread", &s->no_vm_read, NULL },
		{ "gc", NULL, &s->gc_every },
		{ "barriers", &s->barriers, NULL },
		{ "barriers=abort", &s->barriers_abort, NULL },
		{ "barriers=status", &s->barriers_status, NULL },
		{ NULL, NULL, NULL },
	};
	const char *trace, *debug;
	int err;

	memset(s, 0, sizeof(*s));
	s->arena_bytes = tri_on_valgrind() ? VALGRIND_ARENA_BYTES : DEFAULT_ARENA_BYTES;
	s->memory_limit_bytes = TRI_LIMIT_AUTO;
	s->limit_policy = TRI_LIMIT_CONTINUE;
	s->gc_percent = 100;
	s->debug_memory_bytes = DEFAULT_DEBUG_BYTES;
	s->max_wait_s = DEFAULT_MAX_WAIT_S;
	strcpy(s->socket, TRI_DEFAULT_SOCKET);
	trace = secure_getenv("TRICOLOR_TRACE");
	debug = secure_getenv("TRICOLOR_DEBUG");
	err = read_environment(s);
	if (!err && opts)
		err = read_options(s, opts, &trace, &debug);
	if (!err && trace)
		err = parse_words("TRICOLOR_TRACE", trace, traces,
				  "a list of gc, pacer, scav, limit");
	if (!err && debug)
		err = parse_words(
			"TRICOLOR_DEBUG", debug, debugs,
			"a list of checkmark, clobberfree, frees, gc=N (N: 1 or more), nomembarrier, norseq, "
			"novmread, barriers, barriers=abort, barriers=status");
	s->barriers |= s->barriers_abort || s->barriers_status;
	/* Free slots are to be empty, or overwritten, or not to be handed out. */
	s->frees_at_once = !s->frees && !s->barriers && !s->checkmark && !s->clobberfree;
	/* Every allocation and store is to be counted, so none may be inline. */
	s->no_rseq |= s->gc_every != 0;
	s->prints = s->trace_gc || s->trace_pacer || s->trace_scav || s->trace_limit ||
		    s->checkmark || s->barriers || s->frees;
	if (!err && s->signal && !may_interrupt(s->signal))
		err = tri_fail(
			EINVAL,
			"tricolor: signal %d can't be the library's: the kernel sends it, or it can't be "
			"caught; TRICOLOR_SIGNAL and tri_options.handshake_signal take a real-time signal, "
			"%d to %d, or SIGUSR1, SIGUSR2 or SIGURG",
			s->signal, SIGRTMIN, SIGRTMAX);
	if (!err && (s->arena_bytes >> TRI_PAGE_SHIFT < TRI_MIN_HEAP_PAGES ||
		     s->arena_bytes >> TRI_PAGE_SHIFT > TRI_MAX_HEAP_PAGES))
		err = tri_fail(EINVAL,
			       "tricolor: an arena of %llu bytes is not between 4 MiB and 1 TiB "
			       "(TRICOLOR_ARENA_SIZE, tri_options.arena_bytes)",
			       (unsigned long long)s->arena_bytes);
	return err;
}
