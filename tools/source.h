/* SPDX-License-Identifier: GPL-2.0-only */
/* source.h - which function, file and line an instruction is of, and who called it */
#ifndef TRICOLOR_SOURCE_H
#define TRICOLOR_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* An object that a process had loaded: @bias was added to the addresses in its file. */
struct source_module {
	const char *path;
	uint64_t bias;
};

enum source_register {
	SOURCE_IP,
	SOURCE_SP,
	SOURCE_BP,
	SOURCE_BX,
	SOURCE_R12,
	SOURCE_R13,
	SOURCE_R14,
	SOURCE_R15,
	SOURCE_REGISTERS
};

/* The registers and stack of a thread just behind an instruction.  The caller owns the memory. */
struct source_state {
	pid_t pid, tid;
	const struct source_module *modules;
	size_t nmodules;
	uint64_t registers[SOURCE_REGISTERS];
	const unsigned char *stack;	/* from sp up */
	size_t stack_bytes;
};

struct source_frame {
	char function[128], file[512];	/* empty: not known */
	int line;
	char module[512];
	uint64_t vaddr;			/* of the instruction, as in its module's file */
};

/** Whether files and lines can be found at all: this program was built with libdw. */
bool source_is_known(void);

/**
 * Fill in the function that executed the instruction, and then its callers.  Returns how many
 * frames that are; 0: the instruction is in no known module.
 */
size_t source_find(const struct source_state *state, struct source_frame *frames, size_t most);

/**
 * The frame that a report should name: the innermost one that is not in the C library.
 */
const struct source_frame *source_blame(const struct source_frame *frames, size_t n);

/**
 * The line of the instruction at @vaddr of the object @path.  If it was inlined from a system
 * header, or from tricolor.h, this is the line of the call.  False: not known.
 */
bool source_line(const char *path, uint64_t vaddr, struct source_frame *frame);

/** The variable at @vaddr of the object @path.  False: there is none that has a name. */
bool source_variable(const char *path, uint64_t vaddr, char *name, size_t size, uint64_t *offset);

#endif
