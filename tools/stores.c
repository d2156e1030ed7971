// SPDX-License-Identifier: GPL-2.0-only
/*
 * stores.c - what TRICOLOR_DEBUG=barriers has written, with functions and lines
 *
 * Several processes may share the file, so a site's number is one within its process, and so is a
 * place's.  How often a site was met is written at the end of the process.  If it was killed, that
 * is not known, but each line stands for at least one time.  It may also have found words, and
 * still have waited for a chance to see who stores to them.
 */
#include "stores.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "complain.h"
#include "source.h"

#define FRAMES 16
#define MODULES 64
#define STACK_BYTES 8192

static const char *text(json_object *o, const char *name)
{
	return json_object_get_string(json_object_object_get(o, name));
}

static uint64_t address(json_object *o, const char *name)
{
	const char *digits = text(o, name);

	return digits ? strtoull(digits, NULL, 16) : 0;
}

static void take(json_object *to, json_object *from, const char *name)
{
	json_object_object_add(to, name, json_object_get(json_object_object_get(from, name)));
}

static void add_text(json_object *o, const char *name, const char *s)
{
	json_object_object_add(o, name, s && *s ? json_object_new_string(s) : NULL);
}

static void add_frame(json_object *o, const struct source_frame *f)
{
	char vaddr[32];

	add_text(o, "function", f ? f->function : NULL);
	add_text(o, "file", f ? f->file : NULL);
	json_object_object_add(o, "line", f && f->line ? json_object_new_int(f->line) : NULL);
	add_text(o, "module", f ? f->module : NULL);
	snprintf(vaddr, sizeof(vaddr), "0x%" PRIx64, f ? f->vaddr : 0);
	add_text(o, "vaddr", f ? vaddr : NULL);
}

static size_t read_modules(json_object *store, struct source_module *modules)
{
	json_object *list = json_object_object_get(store, "modules");
	size_t n = json_object_is_type(list, json_type_array) ? json_object_array_length(list) : 0,
	       i, taken = 0;

	for (i = 0; i < n && taken < MODULES; i++) {
		json_object *m = json_object_array_get_idx(list, i);

		if (text(m, "module"))
			modules[taken++] =
				(struct source_module){ text(m, "module"), address(m, "bias") };
	}
	return taken;
}

static size_t read_stack(const char *digits, unsigned char *stack)
{
	size_t n;
	unsigned int byte;

	for (n = 0; digits && n < STACK_BYTES && sscanf(digits + 2 * n, "%2x", &byte) == 1; n++)
		stack[n] = (unsigned char)byte;
	return n;
}

/* An instruction of which only the object is known. */
static size_t bare_frame(json_object *store, struct source_frame *f)
{
	memset(f, 0, sizeof(*f));
	if (!text(store, "module"))
		return 0;
	snprintf(f->module, sizeof(f->module), "%s", text(store, "module"));
	f->vaddr = address(store, "vaddr") - 1;
	return 1;
}

static size_t find_frames(json_object *event, struct source_frame *frames)
{
	static const char *const names[SOURCE_REGISTERS] = { "ip",  "sp",  "bp",  "bx",
							     "r12", "r13", "r14", "r15" };
	json_object *store = json_object_object_get(event, "store");
	json_object *registers = json_object_object_get(store, "registers");
	struct source_module modules[MODULES];
	unsigned char stack[STACK_BYTES];
	struct source_state state = { .modules = modules, .stack = stack };
	unsigned int i;
	size_t n;

	if (!store)
		return 0;
	state.pid = json_object_get_int(json_object_object_get(event, "pid"));
	state.tid = json_object_get_int(json_object_object_get(store, "tid"));
	state.nmodules = read_modules(store, modules);
	state.stack_bytes = read_stack(text(store, "stack"), stack);
	for (i = 0; i < SOURCE_REGISTERS; i++)
		state.registers[i] = address(registers, names[i]);
	n = source_find(&state, frames, FRAMES);
	return n ? n : bare_frame(store, frames);
}

/* The symbol table of an object's file says more than the running program does. */
static void name_variable(json_object *slot)
{
	char name[256];
	uint64_t offset;

	if (!text(slot, "module") || !source_variable(text(slot, "module"), address(slot, "vaddr"),
						      name, sizeof(name), &offset))
		return;
	json_object_object_add(slot, "symbol", json_object_new_string(name));
	json_object_object_add(slot, "symbol_offset", json_object_new_uint64(offset));
}

/* The place where the slot's object was allocated. */
static void name_allocation(json_object *slot)
{
	json_object *allocation = json_object_object_get(slot, "allocation");
	struct source_frame f;

	/* The address is that of the instruction behind the call. */
	if (!text(allocation, "module") ||
	    !source_line(text(allocation, "module"), address(allocation, "vaddr") - 1, &f))
		return;
	add_text(allocation, "function", f.function);
	add_text(allocation, "file", f.file);
	json_object_object_add(allocation, "line", f.line ? json_object_new_int(f.line) : NULL);
}

static json_object *site(json_object *event)
{
	static const char *const same[] = { "pid",  "site", "place", "sure",
					    "slot", "old",  "new",   "why" };
	json_object *o = json_object_new_object(), *list = json_object_new_array(), *frame;
	struct source_frame frames[FRAMES];
	size_t n = find_frames(event, frames), i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		take(o, event, same[i]);
	json_object_object_add(o, "count", json_object_new_int(1));
	json_object_object_add(o, "slots", json_object_new_int(1));
	name_variable(json_object_object_get(o, "slot"));
	name_allocation(json_object_object_get(o, "slot"));
	add_frame(o, source_blame(frames, n));
	for (i = 0; i < n; i++) {
		frame = json_object_new_object();
		add_frame(frame, &frames[i]);
		json_object_array_add(list, frame);
	}
	json_object_object_add(o, "frames", list);
	return o;
}

/* The newest entry of @list with the numbers that @event has: a PID may have had a heap before. */
static json_object *find(json_object *list, json_object *event, const char *number)
{
	size_t i = json_object_array_length(list);

	while (i--) {
		json_object *o = json_object_array_get_idx(list, i);

		if (json_object_equal(json_object_object_get(o, "pid"),
				      json_object_object_get(event, "pid")) &&
		    (!number || json_object_equal(json_object_object_get(o, number),
						  json_object_object_get(event, number))))
			return o;
	}
	return NULL;
}

static json_object *process(json_object *event)
{
	json_object *o = json_object_new_object();

	take(o, event, "pid");
	take(o, event, "program");
	json_object_object_add(o, "passes", NULL);
	json_object_object_add(o, "refused", NULL);
	return o;
}

/* A word that a process has found stored to, and about which it wrote no more. */
static json_object *suspect(json_object *event)
{
	json_object *o = site(event);

	add_text(o, "why",
		 "the program ended before it was seen to be stored to again, and not by exit()");
	return o;
}

static bool is_of(json_object *o, json_object *pid)
{
	return !pid || json_object_equal(json_object_object_get(o, "pid"), pid);
}

/*
 * Remove from @list the entries without an instruction for the place of @event, or, if @number is
 * NULL, all such entries of its process.
 */
static void drop(json_object *list, json_object *event, const char *number)
{
	size_t i = json_object_array_length(list);

	while (i--) {
		json_object *o = json_object_array_get_idx(list, i);

		if (!is_of(o, json_object_object_get(event, "pid")) || !text(o, "why") ||
		    (number && !json_object_equal(json_object_object_get(o, number),
						  json_object_object_get(event, number))))
			continue;
		json_object_array_del_idx(list, i, 1);
	}
}

/*
 * Nothing more will be known about process @pid, or, if @pid is NULL, about any process: turn its
 * suspects into sites.  A program that follows by exec() has the same PID, and places of its own.
 */
static void settle(json_object *sites, json_object *suspects, json_object *pid)
{
	size_t i, n = json_object_array_length(suspects);

	for (i = 0; i < n; i++)
		if (is_of(json_object_array_get_idx(suspects, i), pid))
			json_object_array_add(sites,
					      json_object_get(
						      json_object_array_get_idx(suspects, i)));
	while (n--)
		if (is_of(json_object_array_get_idx(suspects, n), pid))
			json_object_array_del_idx(suspects, n, 1);
	n = json_object_array_length(sites);
	for (i = 0; i < n; i++)
		if (is_of(json_object_array_get_idx(sites, i), pid))
			json_object_object_del(json_object_array_get_idx(sites, i), "place");
}

/* Events of unknown kinds are ignored: a later version writes more of them. */
static void add_event(json_object *event, json_object *processes, json_object *sites,
		      json_object *suspects)
{
	const char *kind = text(event, "event");
	json_object *o;

	if (!kind)
		return;
	if (!strcmp(kind, "start")) {
		settle(sites, suspects, json_object_object_get(event, "pid"));
		json_object_array_add(processes, process(event));
	} else if (!strcmp(kind, "suspect")) {
		json_object_array_add(suspects, suspect(event));
	} else if (!strcmp(kind, "known")) {
		drop(suspects, event, "place");
		drop(sites, event, "place");
	} else if (!strcmp(kind, "store")) {
		if (text(event, "why"))
			drop(suspects, event, "place");
		json_object_array_add(sites, site(event));
	} else if (!strcmp(kind, "count")) {
		o = find(sites, event, "site");
		if (o)
			take(o, event, "count");
	} else if (!strcmp(kind, "end") || !strcmp(kind, "refused")) {
		o = find(processes, event, NULL);
		drop(suspects, event, NULL);
		if (o && *kind == 'e')
			take(o, event, "passes");
		else if (o)
			json_object_object_add(o, "refused",
					       json_object_get(
						       json_object_object_get(event, "why")));
	}
}

static bool are_equal(json_object *a, json_object *b, const char *const *names, size_t n)
{
	while (n--)
		if (!json_object_equal(json_object_object_get(a, names[n]),
				       json_object_object_get(b, names[n])))
			return false;
	return true;
}

/* When a compiler has unrolled a loop over an array, many instructions store for one line. */
static bool are_one_line(json_object *a, json_object *b)
{
	static const char *const names[] = { "pid", "module", "file", "line", "function" };
	static const char *const allocation[] = { "allocation" };

	return text(a, "line") && are_equal(a, b, names, 5) &&
	       json_object_object_get(json_object_object_get(a, "slot"), "allocation") &&
	       are_equal(json_object_object_get(a, "slot"), json_object_object_get(b, "slot"),
			 allocation, 1);
}

/*
 * Who already stands for the instruction that @o blames, or for the same line and objects allocated
 * at one place, or NULL.
 */
static json_object *same_instruction(json_object *sites, json_object *o)
{
	static const char *const names[] = { "pid", "module", "vaddr" };
	size_t n = json_object_array_length(sites), i;
	json_object *other;

	if (!text(o, "module"))
		return NULL;
	for (i = 0; i < n; i++) {
		other = json_object_array_get_idx(sites, i);
		if (are_equal(o, other, names, 3) || are_one_line(o, other))
			return other;
	}
	return NULL;
}

/*
 * Who already stands for stores of which no more is known than that they were to objects allocated
 * where that of @o was.  An array of pointers would have a line for each of its elements.
 */
static json_object *same_allocation(json_object *sites, json_object *o)
{
	json_object *allocation =
			    json_object_object_get(json_object_object_get(o, "slot"), "allocation"),
		    *other;
	size_t n = json_object_array_length(sites), i;

	if (text(o, "module") || !allocation)
		return NULL;
	for (i = 0; i < n; i++) {
		other = json_object_array_get_idx(sites, i);
		if (!text(other, "module") &&
		    json_object_equal(json_object_object_get(o, "pid"),
				      json_object_object_get(other, "pid")) &&
		    json_object_equal(json_object_object_get(o, "why"),
				      json_object_object_get(other, "why")) &&
		    json_object_equal(allocation,
				      json_object_object_get(json_object_object_get(other, "slot"),
							     "allocation")))
			return other;
	}
	return NULL;
}

static int64_t count_of(json_object *o)
{
	return json_object_get_int64(json_object_object_get(o, "count"));
}

/*
 * The library tells stores apart by the instruction that stores: all of those of a memcpy() are the
 * caller's one.  Sites without an instruction it tells apart by offset and size.
 */
static json_object *merge(json_object *sites)
{
	json_object *merged = json_object_new_array(), *o, *first;
	size_t n = json_object_array_length(sites), i;
	int64_t slots;

	for (i = 0; i < n; i++) {
		o = json_object_array_get_idx(sites, i);
		first = same_instruction(merged, o);
		if (!first)
			first = same_allocation(merged, o);
		if (!first) {
			json_object_array_add(merged, json_object_get(o));
			continue;
		}
		json_object_object_add(first, "count",
				       json_object_new_int64(count_of(first) + count_of(o)));
		slots = json_object_get_int64(json_object_object_get(first, "slots"));
		json_object_object_add(first, "slots", json_object_new_int64(slots + 1));
	}
	return merged;
}

json_object *stores_read(FILE *file)
{
	json_object *all = json_object_new_object(), *event;
	json_object *processes = json_object_new_array(), *sites = json_object_new_array();
	json_object *suspects = json_object_new_array();
	char *line = NULL;
	size_t room = 0;

	json_object_object_add(all, "processes", processes);
	while (getline(&line, &room, file) > 0) {
		event = json_tokener_parse(line);
		if (!event) {
			complain("a line of the program's file is no JSON: %.60s", line);
			json_object_put(all);
			all = NULL;
			break;
		}
		add_event(event, processes, sites, suspects);
		json_object_put(event);
	}
	free(line);
	settle(sites, suspects, NULL);
	if (all)
		json_object_object_add(all, "sites", merge(sites));
	json_object_put(suspects);
	json_object_put(sites);
	if (ferror(file))
		complain("can't read what the program wrote: %s", strerror(errno));
	return all;
}

static void show_object(json_object *slot, FILE *out)
{
	json_object *allocation = json_object_object_get(slot, "allocation");

	fprintf(out, "offset %s of an object of %s bytes", text(slot, "offset"),
		text(slot, "object_bytes"));
	if (text(slot, "type"))
		fprintf(out, " (%s)", text(slot, "type"));
	if (text(allocation, "file"))
		fprintf(out, ", allocated at %s:%s", text(allocation, "file"),
			text(allocation, "line"));
	else if (text(allocation, "module"))
		fprintf(out, ", allocated before %s+%s", text(allocation, "module"),
			text(allocation, "vaddr"));
}

static void show_slot(json_object *slot, FILE *out)
{
	const char *where = text(slot, "where");

	if (!where)
		return;
	if (!strcmp(where, "heap"))
		show_object(slot, out);
	else if (text(slot, "symbol") && strcmp(text(slot, "symbol_offset"), "0"))
		fprintf(out, "%s+%s", text(slot, "symbol"), text(slot, "symbol_offset"));
	else if (text(slot, "symbol"))
		fputs(text(slot, "symbol"), out);
	else if (text(slot, "module"))
		fprintf(out, "a variable of %s at %s", text(slot, "module"), text(slot, "vaddr"));
	else
		fprintf(out, "a registered range at %s", text(slot, "address"));
}

static void show_site(json_object *o, FILE *out)
{
	const char *times = text(o, "count");

	if (text(o, "file"))
		fprintf(out, "%s:%s: ", text(o, "file"), text(o, "line"));
	else if (text(o, "module"))
		fprintf(out, "%s+%s: ", text(o, "module"), text(o, "vaddr"));
	if (text(o, "function"))
		fprintf(out, "in %s: ", text(o, "function"));
	fprintf(out, "%s stored without a barrier in ",
		json_object_get_boolean(json_object_object_get(o, "sure")) ?
			"a pointer is" :
			"what may be a pointer is");
	show_slot(json_object_object_get(o, "slot"), out);
	/*
	 * If the instruction is known, it made all of these stores, and their slots are not counted
	 * here.
	 */
	if (!text(o, "module") && strcmp(text(o, "slots"), "1"))
		fprintf(out, " and %lld more of its kind",
			(long long)json_object_get_int64(json_object_object_get(o, "slots")) - 1);
	if (strcmp(times, "1"))
		fprintf(out, ", %s times", times);
	if (text(o, "why"))
		fprintf(out, "; the instruction is not known: %s", text(o, "why"));
	putc('\n', out);
}

void stores_show(json_object *stores, FILE *out)
{
	json_object *sites = json_object_object_get(stores, "sites");
	size_t n = json_object_array_length(sites), i;

	for (i = 0; i < n; i++)
		show_site(json_object_array_get_idx(sites, i), out);
	fprintf(out, "%zu %s without a barrier\n", n, n == 1 ? "place stores" : "places store");
}
