// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * report.c - what TRICOLOR_DEBUG=barriers says: lines on standard error, and as JSON in
 * TRICOLOR_DEBUG_FILE
 *
 * The format is in design/checker.md.  Each line is one write, so that several processes may share
 * a file.  The agent has kept standard error, as it does for a trace.  Where there is a file,
 * single stores are reported there only, since whoever has asked for the file reads it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../core/heap/layout.h"
#include "checker.h"
#include "../roots/object.h"
#include "../base/state.h"

#define LINE_BYTES 65536u
#define FILE_BYTES 4096u

static char line[LINE_BYTES];		/* the line that is being made */
static size_t length;
static int file = -1;
static uint64_t pass;

static void put(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(line + length, LINE_BYTES - 1 - length, fmt, args);
	va_end(args);
	if (n > 0)
		length += (size_t)n < LINE_BYTES - 2 - length ? (size_t)n : LINE_BYTES - 2 - length;
}

/* Write the line.  Returns 0 or an errno. */
static int write_to(int fd)
{
	size_t done = 0;
	int err = 0;

	line[length++] = '\n';
	while (done < length && !err) {
		ssize_t n = write(fd, line + done, length - done);

		if (n < 0 && errno != EINTR)
			err = errno;
		done += n > 0 ? (size_t)n : 0;
	}
	length = 0;
	return err;
}

/* Report that there is no file.  Reports go to standard error alone. */
static void say_no_file(int err)
{
	put("tricolor: barriers: nothing is written to TRICOLOR_DEBUG_FILE=%s: %s%s",
	    tri_g.settings.debug_file, strerror(err), err == ENXIO ? "; nobody reads it" : "");
	write_to(2);
}

/* Write the line to the file.  If that fails, it was the last one. */
static void write_to_file(void)
{
	int err = write_to(file);

	if (!err)
		return;
	close(file);
	file = -1;
	say_no_file(err);
}

static void put_string(const char *text)
{
	put("\"");
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			put("\\%c", *text);
		else if ((unsigned char)*text < ' ')
			put("\\u%04x", (unsigned char)*text);
		else
			put("%c", *text);
	}
	put("\"");
}

/** The reports of the next pass begin. */
void tri_report_pass(void)
{
	pass++;
}

/** Open the file, if there is to be one. */
void tri_report_open(void)
{
	char program[FILE_BYTES];
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 1);

	program[n > 0 ? n : 0] = 0;
	if (*tri_g.settings.debug_file) {
		/* With O_NONBLOCK, a FIFO that nobody reads is an error and no wait. */
		file = open(tri_g.settings.debug_file,
			    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0666);
		if (file < 0 || fcntl(file, F_SETFL, O_APPEND))
			say_no_file(errno);
	}
	if (file < 0)
		return;
	put("{\"event\":\"start\",\"version\":1,\"pid\":%d,\"program\":", tri_g.pid);
	put_string(program);
	put(",\"heap\":\"0x%llx\",\"heap_bytes\":%llu}", (unsigned long long)tri_g.view.heap_va,
	    (unsigned long long)(tri_g.view.heap_pages << TRI_PAGE_SHIFT));
	write_to_file();
}

/* ---- For people ---- */

static void put_place(uintptr_t at)
{
	char name[FILE_BYTES];
	const char *base;
	uintptr_t bias;

	if (!tri_object_find(at, name, sizeof(name), &bias)) {
		put("0x%lx", at);
		return;
	}
	base = strrchr(name, '/');
	put("%s+0x%lx", base ? base + 1 : name, at - bias);
}

static void put_object(const struct tri_suspect *s)
{
	const char *type = "";
	uintptr_t ip = s->site ? tri_sites_ip(s->site, &type) : 0;

	put("the object of %llu bytes", (unsigned long long)s->object_bytes);
	if (*type)
		put(" of type %s", type);
	put(" at 0x%lx, offset %lu", s->object, s->at - s->object);
	if (ip) {
		put(", allocated before ");
		put_place(ip);
	}
}

static void put_slot(const struct tri_suspect *s)
{
	if (s->where == TRI_WHERE_HEAP) {
		put_object(s);
		return;
	}
	put(s->where == TRI_WHERE_GLOBAL ? "a global, " : "a registered range, ");
	put_place(s->at);
}

static void say_store(size_t site, const struct tri_suspect *s, const struct tri_hit *hit,
		      const char *why)
{
	put("tricolor: barriers: %zu: %s stored without a barrier: 0x%llx over 0x%llx in ", site,
	    s->sure ? "a pointer was" : "what may be a pointer was", (unsigned long long)s->now,
	    (unsigned long long)s->was);
	put_slot(s);
	if (hit) {
		put(", by thread %u before ", hit->tid);
		put_place(hit->ip);
	} else {
		put("; by whom is not known: %s", why);
	}
	write_to(2);
}

/* ---- For the command ---- */

static void put_module(uintptr_t at)
{
	char name[FILE_BYTES];
	uintptr_t bias;

	if (!tri_object_find(at, name, sizeof(name), &bias)) {
		put("\"module\":null,\"vaddr\":null");
		return;
	}
	put("\"module\":");
	put_string(name);
	put(",\"vaddr\":\"0x%lx\"", at - bias);
}

#define MODULES 32			/* the most of a piece of stack */
/* Up to here there is room for one more module, and for the rest of the line. */
#define MODULES_END (LINE_BYTES - 6 * FILE_BYTES - 1024)

/* The objects that a stack leads into, and where each is.  The command needs this to unwind it. */
static void put_modules(const struct tri_hit *hit)
{
	uintptr_t seen[MODULES], bias, word = hit->registers[TRI_HIT_IP];
	char name[FILE_BYTES];
	size_t at, n = 0, i;

	put(",\"modules\":[");
	for (at = 0;; at += sizeof(word)) {
		if (tri_object_find(word, name, sizeof(name), &bias)) {
			for (i = 0; i < n && seen[i] != bias; i++)
				;
			if (i == n) {
				put("%s{\"module\":", n ? "," : "");
				put_string(name);
				put(",\"bias\":\"0x%lx\"}", bias);
				seen[n++] = bias;
			}
		}
		if (n == MODULES || at + sizeof(word) > hit->stack_bytes || length > MODULES_END)
			break;
		memcpy(&word, hit->stack + at, sizeof(word));
	}
	put("]");
}

static void put_hit(const struct tri_hit *hit)
{
	static const char *const names[TRI_HIT_REGISTERS] = { "ip",  "sp",  "bp",  "bx",
							      "r12", "r13", "r14", "r15" };
	unsigned int i;

	put("{\"after\":\"0x%llx\",", (unsigned long long)hit->ip);
	put_module(hit->ip);
	put(",\"tid\":%u,\"registers\":{", hit->tid);
	for (i = 0; i < TRI_HIT_REGISTERS; i++)
		put("%s\"%s\":\"0x%llx\"", i ? "," : "", names[i],
		    (unsigned long long)hit->registers[i]);
	put("},\"stack\":\"");
	for (i = 0; i < hit->stack_bytes; i++)
		put("%02x", hit->stack[i]);
	put("\"");
	put_modules(hit);
	put("}");
}

static void put_object_members(const struct tri_suspect *s)
{
	const char *type = "";
	uintptr_t ip = s->site ? tri_sites_ip(s->site, &type) : 0;

	put("\"where\":\"heap\",\"object\":\"0x%lx\",\"object_bytes\":%llu,\"offset\":%lu,\"kind\":\"%s\",\"type\":",
	    s->object, (unsigned long long)s->object_bytes, s->at - s->object,
	    s->sure ? "typed" : "conservative");
	if (*type)
		put_string(type);
	else
		put("null");
	if (!ip) {
		put(",\"allocation\":null");
		return;
	}
	put(",\"allocation\":{\"after\":\"0x%lx\",", ip);
	put_module(ip);
	put("}");
}

static void put_suspect(const struct tri_suspect *s)
{
	put("\"pass\":%llu,\"sure\":%s,\"slot\":{\"address\":\"0x%lx\",", (unsigned long long)pass,
	    s->sure ? "true" : "false", s->at);
	if (s->where == TRI_WHERE_HEAP) {
		put_object_members(s);
	} else {
		put("\"where\":\"%s\",", s->where == TRI_WHERE_GLOBAL ? "global" : "root");
		put_module(s->at);
	}
	put("},\"old\":\"0x%llx\",\"new\":\"0x%llx\"", (unsigned long long)s->was,
	    (unsigned long long)s->now);
}

/** Report a suspect word, the first one of @place.  Who has stored there may be found later. */
void tri_report_suspect(size_t place, const struct tri_suspect *s)
{
	if (file < 0)
		return;
	put("{\"event\":\"suspect\",\"pid\":%d,\"place\":%zu,", tri_g.pid, place);
	put_suspect(s);
	put("}");
	write_to_file();
}

static void write_store(size_t site, const struct tri_suspect *s, const struct tri_hit *hit,
			size_t place, const char *why)
{
	put("{\"event\":\"store\",\"pid\":%d,\"site\":%zu,\"place\":%zu,", tri_g.pid, site, place);
	put_suspect(s);
	put(",\"store\":");
	if (hit)
		put_hit(hit);
	else
		put("null");
	put(",\"why\":");
	if (why)
		put_string(why);
	else
		put("null");
	put("}");
	write_to_file();
}

/**
 * Report @hit, the first store of a site.  NULL: it is not known, for the reason @why, and the
 * site is @place itself.
 */
void tri_report_store(size_t site, const struct tri_suspect *s, const struct tri_hit *hit,
		      size_t place, const char *why)
{
	if (file >= 0)
		write_store(site, s, hit, place, why);
	/* There was no file, or it could not be written. */
	if (file < 0)
		say_store(site, s, hit, why);
}

/**
 * Report that @site has stored at @place.  If @bare is not 0, the place was reported as that site.
 */
void tri_report_known(size_t place, size_t bare, size_t site)
{
	if (bare && file < 0) {
		put("tricolor: barriers: %zu: the instruction is known now: it is that of %zu",
		    bare, site);
		write_to(2);
	}
	if (file < 0)
		return;
	put("{\"event\":\"known\",\"pid\":%d,\"place\":%zu,\"site\":%zu}", tri_g.pid, place, site);
	write_to_file();
}

void tri_report_count(size_t site, uint64_t count)
{
	if (file < 0)
		return;
	put("{\"event\":\"count\",\"pid\":%d,\"site\":%zu,\"count\":%llu}", tri_g.pid, site,
	    (unsigned long long)count);
	write_to_file();
}

void tri_report_end(size_t sites, uint64_t stores, uint64_t unwatched)
{
	put("tricolor: barriers: %llu stores without a barrier at %zu sites, in %llu passes",
	    (unsigned long long)stores, sites, (unsigned long long)pass);
	write_to(2);
	if (file < 0)
		return;
	put("{\"event\":\"end\",\"pid\":%d,\"sites\":%zu,\"stores\":%llu,\"passes\":%llu,\"shadow_bytes\":%llu,"
	    "\"unwatched\":%llu}",
	    tri_g.pid, sites, (unsigned long long)stores, (unsigned long long)pass,
	    (unsigned long long)tri_shadow_bytes(), (unsigned long long)unwatched);
	write_to_file();
}

/** Report that something can't be known from now on. */
void tri_report_notice(const char *what)
{
	put("tricolor: barriers: %s", what);
	write_to(2);
	if (file < 0)
		return;
	put("{\"event\":\"notice\",\"pid\":%d,\"what\":", tri_g.pid);
	put_string(what);
	put("}");
	write_to_file();
}

/** Report that nothing is checked from now on. */
void tri_report_refusal(const char *why)
{
	put("tricolor: barriers: stores are not checked: %s", why);
	write_to(2);
	if (file < 0)
		return;
	put("{\"event\":\"refused\",\"pid\":%d,\"why\":", tri_g.pid);
	put_string(why);
	put("}");
	write_to_file();
}
