// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver: `driver FOLDER [SET]` runs FOLDER/bin/SYSTEM for each system and workload of the set
 * (plan.c), each run in a process of its own, and leaves its findings in FOLDER.
 *
 * A round runs every workload once on every system, the systems one right after another, beginning
 * with another one each round: what else the machine does is spread over all of them.
 *
 *   BENCH_ROUNDS=N	rounds, 3 by default, 1 if quick
 *   BENCH_QUICK=1	small parameters: does it all work?
 *   BENCH_SYSTEMS="a b"	only these
 *   BENCH_WORKLOADS="a* b"	only these; wildcards as in the shell
 *   BENCH_VARIANTS=1	also those that are left out by default, for they take longer than the rest
 *   BENCH_<PARAMETER>	another value, for example BENCH_DEPTH=22 (plan.c has them)
 */
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "result.h"
#include "run.h"

#define BENCH_TIMEOUT_S 300
#define BENCH_PATH_MAX (PATH_MAX + 256)	/* room for the path of a file below the folder */

/* Is @name in the blank-separated list of the environment variable @variable?  Unset: yes. */
static int chosen(const char *variable, const char *name)
{
	const char *list = getenv(variable);
	char copy[1024], *save = NULL;

	if (!list || !*list)
		return 1;
	snprintf(copy, sizeof(copy), "%s", list);
	for (char *word = strtok_r(copy, " ,", &save); word; word = strtok_r(NULL, " ,", &save)) {
		if (!fnmatch(word, name, 0))
			return 1;
	}
	return 0;
}

static int is_on(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value && strcmp(value, "0");
}

static void describe_machine(char *text, size_t size)
{
	char line[512], model[128] = "unknown processor";
	FILE *info = fopen("/proc/cpuinfo", "r");
	struct utsname system;

	while (info && fgets(line, sizeof(line), info)) {
		if (sscanf(line, "model name : %127[^\n]", model) == 1)
			break;
	}
	if (info)
		fclose(info);
	uname(&system);
	snprintf(text, size, "%s, %ld CPUs, %ld MiB, Linux %s", model,
		 sysconf(_SC_NPROCESSORS_ONLN),
		 sysconf(_SC_PHYS_PAGES) / 1024 * (sysconf(_SC_PAGESIZE) / 1024), system.release);
}

static void warn_if_busy(void)
{
	double load;

	if (getloadavg(&load, 1) == 1 && load > 0.5)
		fprintf(stderr, "bench: the machine is busy (load %.1f): expect noise\n", load);
}

/* Find out which systems are installed.  A missing one is left out. */
static void find_systems(struct results *results, const char *folder)
{
	for (unsigned int s = 0; s < SYSTEMS; s++) {
		char path[BENCH_PATH_MAX], log[BENCH_PATH_MAX];
		struct run_options options = { .timeout_s = 10, .error_log = log };
		char *argv[] = { path, "version", NULL };
		struct run run;

		if (!chosen("BENCH_SYSTEMS", bench_systems[s].name))
			continue;
		snprintf(path, sizeof(path), "%s/bin/%s", folder, bench_systems[s].name);
		snprintf(log, sizeof(log), "%s/log/version.%s", folder, bench_systems[s].name);
		if (access(path, X_OK)) {
			fprintf(stderr, "bench: %s is not there: left out\n",
				bench_systems[s].label);
			continue;
		}
		run_program(argv, &options, &run, results->versions[s],
			    sizeof(results->versions[s]));
		if (*run.failure) {
			fprintf(stderr, "bench: %s does not start, and is left out: %s\n",
				bench_systems[s].label, run.failure);
			continue;
		}
		results->active[s] = 1;
	}
}

static void run_cell(struct results *results, const char *folder, size_t w, unsigned int s,
		     unsigned int round)
{
	const struct bench_workload *workload = &bench_workloads[w];
	char path[BENCH_PATH_MAX], log[BENCH_PATH_MAX], launcher[BENCH_PATH_MAX];
	char params[BENCH_MAX_PARAMS][128];
	char settings[BENCH_MAX_SETTINGS][BENCH_PATH_MAX];
	char *environment[BENCH_MAX_SETTINGS + 1] = { NULL };
	struct run_options options = { .watch_memory = workload->watch_memory,
				       .timeout_s = BENCH_TIMEOUT_S, .error_log = log,
				       .environment = environment };
	struct run *run = &results->cells[w][s].runs[round];
	char *argv[BENCH_MAX_PARAMS + 4];
	int argc = 0, count = 0;

	snprintf(path, sizeof(path), "%s/bin/%s", folder, bench_systems[s].name);
	snprintf(log, sizeof(log), "%s/log/%s.%s.%u", folder, workload->name,
		 bench_systems[s].name, round + 1);
	if (workload->launcher) {
		snprintf(launcher, sizeof(launcher), "%s/%s", folder, workload->launcher);
		argv[argc++] = launcher;
	}
	argv[argc++] = path;
	argv[argc++] = (char *)workload->program;
	for (size_t i = 0; i < BENCH_MAX_PARAMS && workload->params[i].key; i++) {
		snprintf(params[i], sizeof(params[i]), "%s=%s", workload->params[i].key,
			 bench_param_value(&workload->params[i], results->quick));
		argv[argc++] = params[i];
	}
	argv[argc] = NULL;
	for (size_t i = 0; i < BENCH_MAX_SETTINGS && workload->environment[i].name; i++) {
		const struct bench_setting *setting = &workload->environment[i];
		int below = !strncmp(setting->value, "./", 2);

		if (setting->system != s)
			continue;
		snprintf(settings[count], sizeof(settings[count]), "%s=%s%s", setting->name,
			 below ? folder : "", setting->value + below);
		environment[count] = settings[count];
		count++;
	}
	run_program(argv, &options, run, NULL, 0);
	fprintf(stderr, "  %u/%u  %-18s %-9s %6.2f s  %s\n", round + 1, results->rounds,
		workload->name, bench_systems[s].label,
		run_get(run, "wall_s") ? *run_get(run, "wall_s") : 0, run->failure);
}

static void run_rounds(struct results *results, const char *folder)
{
	for (unsigned int round = 0; round < results->rounds; round++) {
		for (size_t w = 0; w < bench_workload_count; w++) {
			if (!results->selected[w])
				continue;
			for (unsigned int i = 0; i < SYSTEMS; i++) {
				unsigned int s = (round + i) % SYSTEMS;

				if (results->active[s] &&
				    bench_workloads[w].systems & SYSTEM_BIT(s))
					run_cell(results, folder, w, s, round);
			}
		}
	}
}

static int any_failure(const struct results *results)
{
	for (size_t w = 0; w < bench_workload_count; w++) {
		for (unsigned int s = 0; s < SYSTEMS; s++) {
			if (cell_failure(&results->cells[w][s], results->rounds))
				return 1;
		}
	}
	return 0;
}

static int settings(struct results *results)
{
	const char *rounds = getenv("BENCH_ROUNDS"), *workloads = getenv("BENCH_WORKLOADS");
	int any = 0, named = workloads && *workloads, variants = is_on("BENCH_VARIANTS");
	time_t now = time(NULL);

	results->quick = is_on("BENCH_QUICK");
	results->rounds = results->quick ? 1 : 3;
	if (rounds && *rounds)
		results->rounds = (unsigned int)atoi(rounds);
	if (!results->rounds || results->rounds > BENCH_MAX_ROUNDS) {
		fprintf(stderr, "bench: BENCH_ROUNDS=%s: must be 1 to %d\n", rounds,
			BENCH_MAX_ROUNDS);
		return -EINVAL;
	}
	results->cells = calloc(bench_workload_count, sizeof(*results->cells));
	results->selected = calloc(bench_workload_count, sizeof(*results->selected));
	if (!results->cells || !results->selected)
		return -ENOMEM;
	for (size_t w = 0; w < bench_workload_count; w++) {
		results->selected[w] = bench_workloads[w].set == results->set &&
				       (named || variants || !bench_workloads[w].variant) &&
				       chosen("BENCH_WORKLOADS", bench_workloads[w].name);
		any |= results->selected[w];
	}
	if (!any) {
		fprintf(stderr, "bench: BENCH_WORKLOADS=%s names no workload; there are:",
			getenv("BENCH_WORKLOADS"));
		for (size_t w = 0; w < bench_workload_count; w++) {
			if (bench_workloads[w].set == results->set)
				fprintf(stderr, " %s", bench_workloads[w].name);
		}
		fputc('\n', stderr);
		return -EINVAL;
	}
	strftime(results->started, sizeof(results->started), "%Y-%m-%dT%H:%M:%SZ", gmtime(&now));
	describe_machine(results->machine, sizeof(results->machine));
	return 0;
}

/* Returns 0, or -errno after a message. */
static int write_file(int (*write)(const struct results *results, const char *path),
		      const struct results *results, const char *folder, const char *ending)
{
	char path[512];
	int err;

	snprintf(path, sizeof(path), "%s/%s%s", folder, bench_sets[results->set], ending);
	err = write(results, path);
	if (err)
		fprintf(stderr, "bench: can't write %s: %s\n", path, strerror(-err));
	else
		printf("%s\n", path);
	return err;
}

int main(int argc, char **argv)
{
	static struct results results;
	char folder[PATH_MAX];
	int err;

	while (argc == 3 && results.set < SETS && strcmp(argv[2], bench_sets[results.set]))
		results.set++;
	if (argc < 2 || argc > 3 || results.set == SETS) {
		fprintf(stderr, "usage: %s FOLDER [bench|curves|scale]\n", argv[0]);
		return 2;
	}
	/* An absolute path, for programs that change their working directory. */
	if (!realpath(argv[1], folder)) {
		fprintf(stderr, "bench: %s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	err = run_init();
	if (err) {
		fprintf(stderr, "bench: can't adopt orphaned processes: %s\n", strerror(-err));
		return 1;
	}
	if (settings(&results))
		return 2;
	warn_if_busy();
	find_systems(&results, folder);
	run_rounds(&results, folder);
	table_print(&results);
	err = any_failure(&results);
	err |= write_file(json_write, &results, argv[1], ".json");
	err |= write_file(results.set == SET_CURVES ? curves_write : picture_write, &results,
			  argv[1], ".svg");
	free(results.cells);
	free(results.selected);
	return err ? 1 : 0;
}
