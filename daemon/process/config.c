// SPDX-License-Identifier: GPL-2.0-only
/* config.c - the settings, their names and their checks: see config.h */
#include "config.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/proto/socket.h"
#include "tricolor.h"

#define WORKERS_MAX 1024

struct key {
	const char *name;
	const char *want;		/* what is accepted, as the object of "want" */
	bool (*parse)(struct config *c, const char *value);
	void (*print)(const struct config *c, char *text, size_t room);
	bool fixed;			/* it takes a restart to change it */
};

static bool parse_socket(struct config *c, const char *value)
{
	if (*value != '/' || strlen(value) >= sizeof(c->socket))
		return false;
	strcpy(c->socket, value);
	return true;
}

static void print_socket(const struct config *c, char *text, size_t room)
{
	snprintf(text, room, "%s", c->socket);
}

static bool parse_workers(struct config *c, const char *value)
{
	char *end;
	long n;

	if (!strcmp(value, "auto")) {
		c->workers = 0;
		return true;
	}
	n = strtol(value, &end, 10);
	if (end == value || *end || n < 1 || n > WORKERS_MAX)
		return false;
	c->workers = (int)n;
	return true;
}

static void print_workers(const struct config *c, char *text, size_t room)
{
	if (c->workers)
		snprintf(text, room, "%d", c->workers);
	else
		snprintf(text, room, "auto");
}

static bool parse_gc_percent(struct config *c, const char *value)
{
	return tri_parse_percent(value, &c->gc_percent);
}

static void print_gc_percent(const struct config *c, char *text, size_t room)
{
	if (c->gc_percent < 0)
		snprintf(text, room, "off");
	else
		snprintf(text, room, "%d", c->gc_percent);
}

static bool parse_memory_limit(struct config *c, const char *value)
{
	return tri_parse_limit(value, &c->memory_limit_bytes);
}

/* Print a limit in the largest unit of which it is a whole multiple. */
static void print_limit(int64_t n, char *text, size_t room)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t unit = 0;

	if (n == TRI_LIMIT_NONE || n == TRI_LIMIT_AUTO) {
		snprintf(text, room, "%s", n ? "off" : "auto");
		return;
	}
	for (; n && n % 1024 == 0 && unit < 4; unit++)
		n /= 1024;
	snprintf(text, room, "%lld%s", (long long)n, units[unit]);
}

static void print_memory_limit(const struct config *c, char *text, size_t room)
{
	print_limit(c->memory_limit_bytes, text, room);
}

static bool parse_total_limit(struct config *c, const char *value)
{
	int64_t n;

	/* Clients without any limit are what "memory-limit = off" is for. */
	if (!tri_parse_limit(value, &n) || n == TRI_LIMIT_NONE)
		return false;
	c->total_limit_bytes = n;
	return true;
}

static void print_total_limit(const struct config *c, char *text, size_t room)
{
	print_limit(c->total_limit_bytes, text, room);
}

static const char *const policies[] = { "continue", "fail-fast" };
static const char *const levels[] = { "error", "warning", "info", "debug" };

static int find_word(const char *const *words, int n, const char *value)
{
	while (n-- && strcmp(words[n], value))
		;
	return n;
}

static bool parse_policy(struct config *c, const char *value)
{
	int i = find_word(policies, 2, value);

	if (i >= 0)
		c->limit_policy = i ? TRI_LIMIT_FAIL_FAST : TRI_LIMIT_CONTINUE;
	return i >= 0;
}

static void print_policy(const struct config *c, char *text, size_t room)
{
	snprintf(text, room, "%s", policies[c->limit_policy == TRI_LIMIT_FAIL_FAST]);
}

static bool parse_level(struct config *c, const char *value)
{
	int i = find_word(levels, 4, value);

	c->log_level = i < 0 ? c->log_level : (enum log_level)i;
	return i >= 0;
}

static void print_level(const struct config *c, char *text, size_t room)
{
	snprintf(text, room, "%s", levels[c->log_level]);
}

static const char *const markers[] = { "shared", "own" };

static bool parse_marker(struct config *c, const char *value)
{
	int i = find_word(markers, 2, value);

	if (i >= 0)
		c->marker_own = i;
	return i >= 0;
}

static void print_marker(const struct config *c, char *text, size_t room)
{
	snprintf(text, room, "%s", markers[c->marker_own]);
}

static bool parse_on_kill(struct config *c, const char *value)
{
	bool off = !strcmp(value, "off");

	if (!off && (*value != '/' || strlen(value) >= sizeof(c->on_kill)))
		return false;
	strcpy(c->on_kill, off ? "" : value);
	return true;
}

static void print_on_kill(const struct config *c, char *text, size_t room)
{
	snprintf(text, room, "%s", c->on_kill[0] ? c->on_kill : "off");
}

static const struct key keys[CONFIG_KEYS] = {
	[CONFIG_SOCKET] = { "socket", "an absolute path of at most 107 characters", parse_socket,
			    print_socket, true },
	[CONFIG_WORKERS] = { "workers", "a number of threads from 1 to 1024, or auto",
			     parse_workers, print_workers, true },
	[CONFIG_DEFAULT_GC_PERCENT] = { "gc-percent", "a percentage from 0 to 1000000, or off",
					parse_gc_percent, print_gc_percent, false },
	[CONFIG_DEFAULT_MEMORY_LIMIT] = { "memory-limit", TRI_SIZE_FORMS ", auto or off",
					  parse_memory_limit, print_memory_limit, false },
	[CONFIG_TOTAL_LIMIT] = { "total-memory-limit", TRI_SIZE_FORMS ", or auto",
				 parse_total_limit, print_total_limit, false },
	[CONFIG_LIMIT_POLICY] = { "limit-policy", "continue or fail-fast", parse_policy,
				  print_policy, false },
	[CONFIG_LOG_LEVEL] = { "log-level", "error, warning, info or debug", parse_level,
			       print_level, false },
	[CONFIG_MARKER] = { "marker", "own or shared", parse_marker, print_marker, false },
	[CONFIG_ON_KILL] = { "on-kill",
			     "the absolute path of a folder, of at most 255 characters, or off",
			     parse_on_kill, print_on_kill, true },
};

void config_defaults(struct config *c)
{
	*c = (struct config){
		.socket = TRI_DEFAULT_SOCKET,
		.gc_percent = CONFIG_GC_PERCENT,
		.memory_limit_bytes = TRI_LIMIT_AUTO,
		.total_limit_bytes = TRI_LIMIT_AUTO,
		.limit_policy = TRI_LIMIT_CONTINUE,
		.log_level = LOG_INFO,
		.marker_own = true,
	};
}

bool config_set(struct config *c, const char *key, const char *value, const char *origin)
{
	char known[256] = "";
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		if (strcmp(keys[i].name, key))
			continue;
		if (!keys[i].parse(c, value)) {
			log_error("%s: %s = %s: want %s", origin, key, value, keys[i].want);
			return false;
		}
		snprintf(c->origin[i], sizeof(c->origin[i]), "%s", origin);
		return true;
	}
	for (i = 0; i < CONFIG_KEYS; i++) {
		strcat(known, i ? ", " : "");
		strcat(known, keys[i].name);
	}
	log_error("%s: there is no setting '%s'; there are %s", origin, key, known);
	return false;
}

void config_print(const struct config *c, FILE *out)
{
	char value[320], line[384];
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		keys[i].print(c, value, sizeof(value));
		snprintf(line, sizeof(line), "%s = %s", keys[i].name, value);
		fprintf(out, "# %s\n%s\n", c->origin[i][0] ? c->origin[i] : "default", line);
	}
}

static bool same(const struct key *k, const struct config *a, const struct config *b, char *old,
		 char *new, size_t room)
{
	k->print(a, old, room);
	k->print(b, new, room);
	return !strcmp(old, new);
}

void config_keep(const struct config *now, struct config *next)
{
	char old[320], new[320];
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		if (!keys[i].fixed || same(&keys[i], now, next, old, new, sizeof(old)))
			continue;
		log_warning("%s stays %s: %s takes a restart", keys[i].name, old, new);
		keys[i].parse(next, old);
		strcpy(next->origin[i], now->origin[i]);
	}
}

unsigned int config_compare(const struct config *now, const struct config *next)
{
	char old[320], new[320];
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < CONFIG_KEYS; i++) {
		if (same(&keys[i], now, next, old, new, sizeof(old)))
			continue;
		log_line("%s: %s, was %s", keys[i].name, new, old);
		n++;
	}
	return n;
}

/* Each setting is atomic by itself, as none depends on another one. */
static _Atomic(int32_t) gc_percent = CONFIG_GC_PERCENT;
static _Atomic(int64_t) memory_limit_bytes = TRI_LIMIT_AUTO;
static _Atomic(int64_t) total_limit_bytes = TRI_LIMIT_AUTO;
static _Atomic(uint32_t) limit_policy = TRI_LIMIT_CONTINUE;
static _Atomic(bool) marker_own = true;
static bool private, elects;
/* This one is written before there are threads, and constant from then on. */
static char on_kill[sizeof(((struct config *)0)->on_kill)];

void config_enforce(const struct config *c)
{
	atomic_store(&gc_percent, c->gc_percent);
	atomic_store(&memory_limit_bytes, c->memory_limit_bytes);
	atomic_store(&total_limit_bytes, c->total_limit_bytes);
	atomic_store(&limit_policy, c->limit_policy);
	atomic_store(&marker_own, c->marker_own);
	log_set_level(c->log_level);
	/* A new value takes a restart, so this is not written while others read it. */
	if (strcmp(on_kill, c->on_kill))
		strcpy(on_kill, c->on_kill);
}

const char *config_on_kill(void)
{
	return on_kill;
}

int32_t config_gc_percent(void)
{
	return atomic_load(&gc_percent);
}

int64_t config_memory_limit_bytes(void)
{
	return atomic_load(&memory_limit_bytes);
}

int64_t config_total_limit_bytes(void)
{
	return atomic_load(&total_limit_bytes);
}

uint32_t config_limit_policy(void)
{
	return atomic_load(&limit_policy);
}

bool config_marker_own(void)
{
	return atomic_load(&marker_own);
}

void config_set_private(bool elects_policy)
{
	private = true;
	elects = elects_policy;
}

bool config_is_private(void)
{
	return private;
}

bool config_elects(void)
{
	return elects;
}
