// SPDX-License-Identifier: GPL-2.0-only
/*
 * One run of a program.
 *
 * The collector of a program may be another process that the program's own wait() can't see.  This
 * process is a subreaper: whoever loses its parent below it becomes its child, and is waited for
 * with its CPU time.  A run ends when the last of them has ended; what is still there some seconds
 * after the program is reported as a failure, and killed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"
#include "run.h"

#define RUN_SAMPLE_NS 10000000ull
#define RUN_LINGER_NS 10000000000ull	/* the time that other processes have after the program's
					 * own end */
#define RUN_OUTPUT_SIZE 16384

struct run_state {
	pid_t pid;
	int ended;
	int status;
	uint64_t started_ns, ended_ns;
	uint64_t cpu_ns, helper_cpu_ns;
	char output[RUN_OUTPUT_SIZE];
	size_t output_len;
};

static int child_events = -1;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t usage_ns(const struct rusage *usage)
{
	return (uint64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000u +
	       (uint64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000u;
}

int run_init(void)
{
	sigset_t child;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1))
		return -errno;
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	child_events = signalfd(-1, &child, SFD_NONBLOCK | SFD_CLOEXEC);
	return child_events < 0 ? -errno : 0;
}

static void run_child(char *const argv[], int output, const struct run_options *options)
{
	int log = open(options->error_log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	sigset_t none;

	if (log >= 0)
		dup2(log, STDERR_FILENO);
	dup2(output, STDOUT_FILENO);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (char *const *e = options->environment; e && *e; e++)
		putenv(*e);
	execv(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Record which processes have ended.  Returns 0 when no process is left. */
static int run_reap(struct run_state *state)
{
	struct rusage usage;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
		if (pid == state->pid) {
			state->ended = 1;
			state->ended_ns = now_ns();
			state->status = status;
			state->cpu_ns += usage_ns(&usage);
		} else {
			state->helper_cpu_ns += usage_ns(&usage);
		}
	}
	return pid == 0 || errno != ECHILD;
}

static void run_read(struct run_state *state, int output)
{
	char *to = state->output + state->output_len;
	ssize_t n;

	while ((n = read(output, to, RUN_OUTPUT_SIZE - 1 - state->output_len)) > 0) {
		state->output_len += (size_t)n;
		to += n;
	}
	state->output[state->output_len] = '\0';
}

static void run_kill(struct memory_tree *tree)
{
	memory_find(tree);
	for (unsigned int i = 0; i < tree->count; i++)
		kill(tree->pids[i], SIGKILL);
}

/*
 * Wait until the last process has ended.  The pipe is read for its content only.  Its end of file
 * means nothing, as a descendant may have inherited the other side.
 */
static void run_wait(struct run_state *state, int output, const struct run_options *options,
		     struct memory_tree *tree, struct run *run)
{
	uint64_t deadline = state->started_ns + options->timeout_s * 1000000000ull;
	uint64_t next_sample = state->started_ns, now;
	struct signalfd_siginfo event;

	while (run_reap(state)) {
		struct pollfd fds[] = { { child_events, POLLIN, 0 }, { output, POLLIN, 0 } };
		uint64_t until;

		now = now_ns();
		if (state->ended && deadline > state->ended_ns + RUN_LINGER_NS)
			deadline = state->ended_ns + RUN_LINGER_NS;
		if (now >= deadline) {
			memory_find(tree);
			if (!*run->failure && state->ended)
				snprintf(run->failure, sizeof(run->failure),
					 "process %d is still there after its end, of %u",
					 tree->count ? (int)tree->pids[0] : 0, tree->count);
			else if (!*run->failure)
				snprintf(run->failure, sizeof(run->failure),
					 "not done after %u s", options->timeout_s);
			run_kill(tree);
			deadline = now + RUN_LINGER_NS;
		}
		if (options->watch_memory && now >= next_sample) {
			memory_sample(tree);
			now = now_ns();
			next_sample = now + RUN_SAMPLE_NS;
		}
		until = options->watch_memory && next_sample < deadline ? next_sample : deadline;
		poll(fds, 2, (int)((until > now ? until - now : 0) / 1000000 + 1));
		if (fds[1].revents & POLLIN)
			run_read(state, output);
		else if (fds[1].revents)	/* closed: nothing more will come from there */
			poll(fds, 1, 1);
		while (read(child_events, &event, sizeof(event)) > 0)
			;
	}
	run_read(state, output);
}

static void run_parse(const struct run_state *state, struct run *run)
{
	char *save = NULL, copy[RUN_OUTPUT_SIZE];

	strcpy(copy, state->output);
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, '='), *end;
		double number;

		if (!value)
			continue;
		*value++ = '\0';
		number = strtod(value, &end);
		if (*value && !*end)
			run_add(run, line, number);
	}
}

static void last_line(const char *path, char *text, size_t size)
{
	FILE *file = fopen(path, "r");
	char line[512];

	*text = '\0';
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (*line)
			snprintf(text, size, "%.*s", (int)size - 1, line);
	}
	fclose(file);
}

static void run_judge(const struct run_state *state, const char *error_log, struct run *run)
{
	char reason[160];

	if (*run->failure || (WIFEXITED(state->status) && !WEXITSTATUS(state->status)))
		return;
	last_line(error_log, reason, sizeof(reason));
	if (WIFSIGNALED(state->status))
		snprintf(run->failure, sizeof(run->failure), "%s%s%s",
			 strsignal(WTERMSIG(state->status)), *reason ? ": " : "", reason);
	else
		snprintf(run->failure, sizeof(run->failure), "exit status %d%s%s",
			 WEXITSTATUS(state->status), *reason ? ": " : "", reason);
}

void run_program(char *const argv[], const struct run_options *options, struct run *run,
		 char *output, size_t output_size)
{
	struct memory_tree tree = { .count = 0 };
	struct run_state state = { .pid = -1 };
	int fds[2];

	memset(run, 0, sizeof(*run));
	run->done = 1;
	if (pipe2(fds, O_CLOEXEC)) {
		snprintf(run->failure, sizeof(run->failure), "pipe: %s", strerror(errno));
		return;
	}
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	state.started_ns = now_ns();
	state.pid = fork();
	if (state.pid == 0)
		run_child(argv, fds[1], options);
	close(fds[1]);
	if (state.pid < 0)
		snprintf(run->failure, sizeof(run->failure), "fork: %s", strerror(errno));
	else
		run_wait(&state, fds[0], options, &tree, run);
	close(fds[0]);
	if (state.pid < 0)
		return;

	run_judge(&state, options->error_log, run);
	run_parse(&state, run);
	run_add(run, "wall_s", (state.ended_ns - state.started_ns) / 1e9);
	run_add(run, "cpu_s", (state.cpu_ns + state.helper_cpu_ns) / 1e9);
	run_add(run, "helper_cpu_s", state.helper_cpu_ns / 1e9);
	if (options->watch_memory) {
		double peak_mib = tree.peak_bytes / 1048576.0;
		const double *live_mib = run_get(run, "live_mib");

		run_add(run, "peak_mib", peak_mib);
		if (live_mib && *live_mib > 0)
			run_add(run, "footprint_ratio", peak_mib / *live_mib);
	}
	if (output)
		snprintf(output, output_size, "%.*s", (int)strcspn(state.output, "\n"),
			 state.output);
}
