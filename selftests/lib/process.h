/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * process.h - what tests with several processes need: seeds, clocks, /proc, a collector to start
 *
 * The reporting process of such a test has no heap of its own.  It forks clients, which write what
 * they found into shared memory, and it reads everything else about them from /proc.
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

/* How long to wait for an event that must happen: far more than it takes on a busy machine. */
#define PATIENCE_NS 10000000000ull

/**
 * Whether CPUs are emulated.  Then all is slow, but not alike: marking, which on a real CPU waits
 * for memory, takes 15 times as long, and the program's own steps take 7 times as long.
 */
bool emulated(void);

/**
 * Have this process, and those it starts, get CPUs before others, where that is permitted.  It is
 * for tests of behaviour that needs a free CPU.  The kernel may weigh sessions instead of processes
 * (autogroup).  So the process gets a session of its own, or everything else in the terminal that
 * tests are run from would come first, too.
 */
void come_first(void);

/** Whether the kernel still tells how a process ended that was waited for: from Linux 6.15 on. */
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

/** How often the threads of @pid gave up a CPU voluntarily, which they do once for each wake-up. */
uint64_t proc_switches(pid_t pid);

/** A program of the build tree that this one is in. */
char *built_path(const char *name, char *path, size_t room);

/** The collector: TRICOLOR_DAEMON, else that of the build tree. */
const char *daemon_path(void);

/** Whether somebody listens at @socket_path. */
bool can_connect(const char *socket_path);

/**
 * Connect to the process that listens at @socket_path.  No call on the connection waits for longer
 * than PATIENCE_NS.
 */
int connect_to(const char *socket_path);

/**
 * Which process marks: "own" or "shared", as in tricolord.conf(5).  Most promises hold with either,
 * and some tests are run with both.
 */
const char *test_marker(void);

/**
 * Start a shared collector at @socket_path, with the markers that tests are run with.  Its log goes
 * to @log.  Waits until it listens.
 */
pid_t start_daemon(const char *socket_path, const char *log);

/** The same for tests that need a shared collector that marks. */
pid_t start_marking_daemon(const char *socket_path, const char *log);

/** Make a folder for a socket and a log. */
char *temporary_folder(void);

/** Wait for @pid.  Returns its exit status, or 128 + the signal that killed it. */
int wait_status(pid_t pid);

#endif
