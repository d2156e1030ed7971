// SPDX-License-Identifier: GPL-2.0-only
/*
 * source.c - which function, file and line an instruction is of, and who called it
 *
 * libdw of elfutils reads the objects' files: they say which lines there are, and how to unwind.
 * The process need not exist any more.  Only a piece of its stack is known, so unwinding ends where
 * that piece ends.
 */
#include "source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool is_c_library(const char *path)
{
	static const char *const names[] = { "libc.so", "libc-", "ld-linux", "ld-2" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strncmp(base_name(path), names[i], strlen(names[i])))
			return true;
	return false;
}

/*
 * Code that is inlined from headers in these folders, or made from a template in them, is not the
 * program's own: it is the compiler's, the system's, or this library's.
 */
static bool is_header(const char *file)
{
	return !strncmp(file, "/usr/include/", 13) || !strncmp(file, "/usr/lib/gcc/", 13) ||
	       !strcmp(base_name(file), "tricolor.h") || strstr(file, "/tricolor/inline.h");
}

const struct source_frame *source_blame(const struct source_frame *frames, size_t n)
{
	const struct source_frame *outside = NULL, *header = NULL;
	size_t i;

	for (i = 0; i < n; i++) {
		if (is_c_library(frames[i].module))
			continue;
		/* A C library that was linked statically usually has no lines. */
		if (*frames[i].file && !is_header(frames[i].file))
			return &frames[i];
		if (*frames[i].file && !header)
			header = &frames[i];
		if (!outside)
			outside = &frames[i];
	}
	if (header)
		return header;
	return outside ? outside : n ? frames : NULL;
}

#ifdef HAVE_LIBDW
#include <dwarf.h>
#include <elfutils/libdwfl.h>

bool source_is_known(void)
{
	return true;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
};

static Dwfl *open_modules(const struct source_module *modules, size_t n)
{
	Dwfl *dwfl = dwfl_begin(&callbacks);
	size_t i;

	if (!dwfl)
		return NULL;
	dwfl_report_begin(dwfl);
	/* An object whose file is gone is left out: nothing in it can be named. */
	for (i = 0; i < n; i++)
		dwfl_report_elf(dwfl, modules[i].path, modules[i].path, -1, modules[i].bias, true);
	dwfl_report_end(dwfl, NULL, NULL);
	return dwfl;
}

struct walk {
	const struct source_state *state;
	struct source_frame *frames;
	size_t n, most;
};

/* libdw asks for one thread after the other.  There is one. */
static pid_t next_thread(Dwfl *dwfl, void *arg, void **thread_arg)
{
	const struct walk *w = arg;

	(void)dwfl;
	if (*thread_arg)
		return 0;
	*thread_arg = arg;
	return w->state->tid;
}

static bool read_memory(Dwfl *dwfl, Dwarf_Addr addr, Dwarf_Word *result, void *arg)
{
	const struct source_state *s = ((struct walk *)arg)->state;
	uint64_t at = addr - s->registers[SOURCE_SP];

	(void)dwfl;
	if (at >= s->stack_bytes || s->stack_bytes - at < sizeof(*result))
		return false;
	memcpy(result, s->stack + at, sizeof(*result));
	return true;
}

/* The registers have DWARF's numbers for x86-64. */
static bool set_registers(Dwfl_Thread *thread, void *arg)
{
	static const struct {
		int number;
		enum source_register which;
	} map[] = {
		{ 3, SOURCE_BX },   { 6, SOURCE_BP },	{ 7, SOURCE_SP },   { 12, SOURCE_R12 },
		{ 13, SOURCE_R13 }, { 14, SOURCE_R14 }, { 15, SOURCE_R15 },
	};
	const uint64_t *registers = ((struct walk *)arg)->state->registers;
	size_t i;

	for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
		if (!dwfl_thread_state_registers(thread, map[i].number, 1,
						 &registers[map[i].which]))
			return false;
	dwfl_thread_state_register_pc(thread, registers[SOURCE_IP]);
	return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.memory_read = read_memory,
	.set_initial_registers = set_registers,
};

/*
 * libdw finds no line in an object without a table that leads from addresses to compilation units,
 * such as those of clang.  Then each unit is asked whether the address is its own.
 */
static const char *search_units(Dwfl_Module *module, uint64_t at, int *number)
{
	Dwarf_Die *unit = NULL;
	Dwarf_Addr bias;
	Dwarf_Line *line;

	while ((unit = dwfl_module_nextcu(module, unit, &bias))) {
		if (dwarf_haspc(unit, at - bias) <= 0)
			continue;
		line = dwarf_getsrc_die(unit, at - bias);
		return line && !dwarf_lineno(line, number) ? dwarf_linesrc(line, NULL, NULL) : NULL;
	}
	return NULL;
}

/* The place that an inlined function was called from.  False: it is not recorded. */
static bool call_site(Dwarf_Die *cu, Dwarf_Die *inlined, struct source_frame *f)
{
	Dwarf_Attribute attribute;
	Dwarf_Word number, line;
	Dwarf_Files *files;
	const char *file, *dir;

	if (dwarf_getsrcfiles(cu, &files, NULL) ||
	    dwarf_formudata(dwarf_attr(inlined, DW_AT_call_file, &attribute), &number) ||
	    dwarf_formudata(dwarf_attr(inlined, DW_AT_call_line, &attribute), &line))
		return false;
	file = dwarf_filesrc(files, number, NULL, NULL);
	if (!file)
		return false;
	/* A relative path begins in the folder of the compilation, as dwfl_lineinfo() has it. */
	dir = *file == '/' ? NULL : dwarf_formstring(dwarf_attr(cu, DW_AT_comp_dir, &attribute));
	snprintf(f->file, sizeof(f->file), "%s%s%s", dir ? dir : "", dir ? "/" : "", file);
	f->line = (int)line;
	return true;
}

/* An instruction that is inlined from such a header is attributed to the caller. */
static void leave_header(Dwfl *dwfl, uint64_t at, struct source_frame *f)
{
	Dwarf_Addr bias;
	Dwarf_Die *cu = dwfl_addrdie(dwfl, at, &bias), *innermost, *scopes;
	int n = cu ? dwarf_getscopes(cu, at - bias, &innermost) : 0, i;

	if (n <= 0)
		return;
	/* The scopes that enclose it here, and not those where the inline function was defined. */
	n = dwarf_getscopes_die(innermost, &scopes);
	free(innermost);
	for (i = 0; i < n && is_header(f->file); i++)
		if (dwarf_tag(&scopes[i]) == DW_TAG_inlined_subroutine &&
		    !call_site(cu, &scopes[i], f))
			break;
	if (n > 0)
		free(scopes);
}

/* @at: an address inside the instruction. */
static void describe(Dwfl *dwfl, uint64_t at, struct source_frame *f)
{
	Dwfl_Module *module = dwfl_addrmodule(dwfl, at);
	const char *name, *file;
	Dwarf_Addr bias = 0;
	Dwfl_Line *line;

	memset(f, 0, sizeof(*f));
	f->vaddr = at;
	if (!module)
		return;
	name = dwfl_module_addrname(module, at);
	dwfl_module_getelf(module, &bias);
	f->vaddr = at - bias;
	snprintf(f->module, sizeof(f->module), "%s",
		 dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL));
	snprintf(f->function, sizeof(f->function), "%s", name ? name : "");
	line = dwfl_module_getsrc(module, at);
	file = line ? dwfl_lineinfo(line, NULL, &f->line, NULL, NULL, NULL) :
		      search_units(module, at, &f->line);
	snprintf(f->file, sizeof(f->file), "%s", file ? file : "");
	leave_header(dwfl, at, f);
}

static int add_frame(Dwfl_Frame *frame, void *arg)
{
	struct walk *w = arg;
	Dwarf_Addr pc;

	if (w->n == w->most || !dwfl_frame_pc(frame, &pc, NULL))
		return DWARF_CB_ABORT;
	/* The addresses are those behind the store, and behind each call. */
	describe(dwfl_thread_dwfl(dwfl_frame_thread(frame)), pc - 1, &w->frames[w->n++]);
	return DWARF_CB_OK;
}

size_t source_find(const struct source_state *state, struct source_frame *frames, size_t most)
{
	struct walk w = { .state = state, .frames = frames, .most = most };
	Dwfl *dwfl = open_modules(state->modules, state->nmodules);

	if (!dwfl)
		return 0;
	if (dwfl_attach_state(dwfl, NULL, state->pid, &thread_callbacks, &w))
		dwfl_getthread_frames(dwfl, state->tid, add_frame, &w);
	/* The first frame, that of the instruction itself, needs no unwinding. */
	if (!w.n && most && dwfl_addrmodule(dwfl, state->registers[SOURCE_IP] - 1))
		describe(dwfl, state->registers[SOURCE_IP] - 1, &frames[w.n++]);
	dwfl_end(dwfl);
	return w.n;
}

bool source_line(const char *path, uint64_t vaddr, struct source_frame *f)
{
	const struct source_module module = { path, 0 };
	Dwfl *dwfl = open_modules(&module, 1);

	memset(f, 0, sizeof(*f));
	if (!dwfl)
		return false;
	if (dwfl_addrmodule(dwfl, vaddr))
		describe(dwfl, vaddr, f);
	dwfl_end(dwfl);
	return *f->file || *f->function;
}

bool source_variable(const char *path, uint64_t vaddr, char *name, size_t size, uint64_t *offset)
{
	const struct source_module module = { path, 0 };
	Dwfl *dwfl = open_modules(&module, 1);
	Dwfl_Module *found = dwfl ? dwfl_addrmodule(dwfl, vaddr) : NULL;
	const char *symbol = NULL;
	GElf_Sym sym;

	if (found)
		symbol = dwfl_module_addrinfo(found, vaddr, offset, &sym, NULL, NULL, NULL);
	snprintf(name, size, "%s", symbol ? symbol : "");
	dwfl_end(dwfl);
	return symbol && *offset < (sym.st_size ? sym.st_size : 1);
}

#else

bool source_is_known(void)
{
	return false;
}

size_t source_find(const struct source_state *state, struct source_frame *frames, size_t most)
{
	(void)state, (void)frames, (void)most;
	return 0;
}

bool source_line(const char *path, uint64_t vaddr, struct source_frame *f)
{
	(void)path, (void)vaddr;
	memset(f, 0, sizeof(*f));
	return false;
}

bool source_variable(const char *path, uint64_t vaddr, char *name, size_t size, uint64_t *offset)
{
	(void)path, (void)vaddr, (void)name, (void)size, (void)offset;
	return false;
}
#endif
