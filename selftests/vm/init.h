/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * init.h - the parts of the VM's process 1
 *
 * It is linked statically and needs nothing in the VM but the kernel.  What it has to tell goes to
 * the second serial port, a line each; the first belongs to the kernel.  Lines that begin with "@"
 * are its own, and all others are a test program's:
 *
 *	@begin NAME
 *	@end NAME status=N ms=N
 *	@problem TEXT		what is wrong beside that, before the @end of the program concerned
 *	@note TEXT
 *	@done			everything was run
 */
#ifndef TRICOLOR_VM_INIT_H
#define TRICOLOR_VM_INIT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* init.c */
void vm_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
void vm_write(const char *bytes, size_t n);
uint64_t vm_now_ms(void);
/* Its first line without the newline; an empty string if it can't be read. */
void vm_read_file(const char *path, char *text, size_t size);

/* program.c */
struct vm_program {
	const char *name;		/* the program's path below /b/tests */
	unsigned int seconds;		/* until it is killed */
	char **argv;			/* argv[0] is the path to execute */
	char **env;
};

/* Run it to its end, and end whatever it leaves.  Says @begin, @problem and @end. */
void vm_run(const struct vm_program *p);

/* kmsg.c */
/* Begin to watch the kernel's log from here on. */
void kmsg_open(void);
/* Report, as @problem, what the kernel has complained about since the last call. */
void kmsg_check(void);
/* Ask kmemleak, where the kernel has it, what was leaked since the last call. */
void kmsg_check_leaks(void);

/* arenas.c */
/* Report, as @problem, arenas or references to the module that the last program left. */
void arenas_check(void);
/* Load the module, or take it out; as @problem if that fails. */
bool arenas_load(void);
void arenas_unload(void);

#endif
