// SPDX-License-Identifier: GPL-2.0-only
/* checked.c - see checked.h */
#include "checked.h"

#include <dlfcn.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "process.h"

static char own_path[PATH_MAX];
char checked_plugin[PATH_MAX];

/* ------------------------------------------------------------------------------------------ */
/* The process that is checked                                                                */
/* ------------------------------------------------------------------------------------------ */

/*
 * Forbid a system call, as containers do.  Profiles of many containers have calls fail; older ones
 * kill the process.
 */
static void deny(long number, bool kills)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K,
			 kills ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		exit(8);
}

extern int __cxa_atexit(void (*fn)(void *arg), void *arg, void *dso);

static void see_who_traces(void *unused)
{
	FILE *file = fopen("/proc/self/status", "r");
	char text[256];
	int tracer = 0;

	(void)unused;
	while (file && fgets(text, sizeof(text), file))
		sscanf(text, "TracerPid: %d", &tracer);
	if (tracer)
		_exit(17);
	if (file)
		fclose(file);
}

/*
 * Functions of atexit() are called in reverse order, and this one is registered before all others,
 * so it is called last, after the destructors of libraries.  It belongs to no object, or it would
 * be called with the destructors of that object.
 */
static void call_at_the_very_end(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		__cxa_atexit(see_who_traces, NULL, NULL);
}

__attribute__((section(".preinit_array"),
	       used)) static void (*early)(int argc, char **argv) = call_at_the_very_end;

void checked_main(int argc, char **argv)
{
	char *slash;

	snprintf(own_path, sizeof(own_path), "%s", argv[0]);
	snprintf(checked_plugin, sizeof(checked_plugin) - 32, "%s", argv[0]);
	slash = strrchr(checked_plugin, '/');
	strcpy(slash ? slash + 1 : checked_plugin, slash ? "plugin_store.so" : "./plugin_store.so");
	if (argc < 2)
		return;
	if (getenv("DENY_EVENTS"))
		deny(SYS_perf_event_open, getenv("DENY_KILLS"));
	if (getenv("DENY_TRACING"))
		deny(SYS_ptrace, getenv("DENY_KILLS"));
}

void *checked_load_plugin(void)
{
	void *handle = dlopen(checked_plugin, RTLD_NOW);

	if (!handle)
		exit(18);
	return handle;
}

/* ------------------------------------------------------------------------------------------ */
/* The process that reads what was reported                                                   */
/* ------------------------------------------------------------------------------------------ */

int checked_run(const char *name, const char *debug, const char *memory, char path[static 64])
{
	struct rlimit no_core = { 0, 0 };
	int status = -1, fd;
	pid_t pid;

	strcpy(path, "/tmp/checked.XXXXXX");
	fd = mkstemp(path);
	if (fd < 0)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	close(fd);
	pid = fork();
	if (!pid) {
		setenv("TRICOLOR_DEBUG", debug, 1);
		setenv("TRICOLOR_DEBUG_FILE", path, 1);
		if (memory)
			setenv("TRICOLOR_DEBUG_MEMORY", memory, 1);
		setrlimit(RLIMIT_CORE, &no_core);
		alarm(emulated() ? 400 : 100);
		execl("/proc/self/exe", own_path, name, (char *)NULL);
		_exit(126);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		ksft_exit_fail_msg("can't run %s: %s\n", name, strerror(errno));
	return status;
}

int checked_run_traced(const char *name, const char *debug, bool traced, char path[static 64])
{
	int status;

	if (traced)
		setenv("DENY_EVENTS", "1", 1);
	status = checked_run(name, debug, NULL, path);
	unsetenv("DENY_EVENTS");
	return status;
}

const char *report_field(const char *from, const char *key)
{
	static char value[8192];
	char quoted[64];
	const char *p;
	size_t n;

	snprintf(quoted, sizeof(quoted), "\"%s\":", key);
	p = from ? strstr(from, quoted) : NULL;
	if (!p)
		return NULL;
	p += strlen(quoted);
	p += *p == '"';
	n = strcspn(p, "\",}");
	snprintf(value, sizeof(value), "%.*s", (int)n, p);
	return value;
}

uint64_t report_number(const char *from, const char *key)
{
	const char *value = report_field(from, key);

	return value ? strtoull(value, NULL, 0) : 0;
}

bool report_is(const char *from, const char *key, const char *want)
{
	const char *value = report_field(from, key);

	return value && !strcmp(value, want);
}

struct checked checked_read(const char *path, void (*see)(const char *line, void *arg), void *arg)
{
	static char line[65536];
	FILE *file = fopen(path, "r");
	struct checked c = { 0 };

	while (file && fgets(line, sizeof(line), file)) {
		if (report_is(line, "event", "store")) {
			c.stores++;
			c.globals += report_is(line, "where", "global");
			ksft_print_msg("%.400s\n", line);
		} else if (report_is(line, "event", "end")) {
			c.ended = true;
			c.sites = report_number(line, "sites");
		} else if (report_is(line, "event", "refused")) {
			c.refused = true;
		}
		if (see)
			see(line, arg);
	}
	if (file)
		fclose(file);
	unlink(path);
	return c;
}
