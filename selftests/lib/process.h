/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * process.h - what tests with several processes need: seeds, clocks, /proc, a collector to start
 *
 * The reporting process of such a test makes no heap of its own: it forks clients, which say what
 * they found in shared memory, and it reads everything else about them from /proc.
 */
#ifndef TRICOLOR_SELFTESTS_PROCESS_H
#define TRICOLOR_SELFTESTS_PROCESS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "draw.h"
#include "kselftest.h"

/* How long to wait for what must happen: far more than it takes on a machine that is busy. */
#define PATIENCE_NS 10000000000ull

/**
 * Whether CPUs are emulated, where all is slow, but not alike: marking, which on a CPU waits for
 * memory, takes 15 times as long, and a program's steps 7 times.
 */
bool emulated(void);

/**
 * Have this process, and what it starts, get CPUs before others, where that is permitted: for tests
 * of what happens while there are some.  The kernel may weigh sessions and not processes
 * (autogroup): it has to have one of its own, or everything else in the terminal that tests are run
 * from comes first, too.
 */
void come_first(void);

/** From Linux 6.15 on the end of a process that was waited for is told. */
bool kernel_tells_ends(void);

/** Sleep for so long, or until a signal. */
void pause_ns(uint64_t ns);

/* Wait until @condition holds, looking every @step_ns; false if it does not within @ns. */
#define WAIT_FOR(condition, step_ns, ns)				\
	({								\
		uint64_t end_ = now_ns() + (ns);			\
		bool holds_;						\
									\
		while (!(holds_ = (condition)) && now_ns() < end_)	\
			pause_ns(step_ns);				\
		holds_;							\
	})

/** The seed of this run, which is printed: SEED=N repeats it. */
uint64_t test_seed(void);

/** Zeroed memory that children share; ends the test if there is none. */
void *shared_memory(size_t bytes);

/** A value of /proc/PID/status, in the file's unit; -1 if there is no such line or process. */
long proc_status(pid_t pid, const char *name);

/** How many entries a folder of /proc/PID has, such as "fd"; -1: there is no such process. */
int proc_entries(pid_t pid, const char *folder);

/** Times that all threads of @pid gave up a CPU of their own will, which is once a wake-up. */
uint64_t proc_switches(pid_t pid);

/** A program of the build tree that this one is in. */
char *built_path(const char *name, char *path, size_t room);

/** The collector: TRICOLOR_DAEMON, else that of the build tree. */
const char *daemon_path(void);

/** Whether somebody listens at @socket_path. */
bool can_connect(const char *socket_path);

/** A connection to who listens at @socket_path, that waits for nothing longer than PATIENCE_NS. */
int connect_to(const char *socket_path);

/**
 * Who marks: "own" or "shared", as in tricolord.conf(5).  Most of what is promised holds with
 * either, and some tests are run with both.
 */
const char *test_marker(void);

/**
 * A shared collector at @socket_path, with the markers that tests are run with; what it logs goes
 * to @log.  Waits until it listens.
 */
pid_t start_daemon(const char *socket_path, const char *log);

/** The same for a test of a shared collector that marks. */
pid_t start_marking_daemon(const char *socket_path, const char *log);

/** A folder of its own for a socket and a log. */
char *temporary_folder(void);

/** Its exit status, or 128 + the signal that killed it. */
int wait_status(pid_t pid);

#endif
