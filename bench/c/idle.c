// SPDX-License-Identifier: GPL-2.0-only
/*
 * What an idle program costs: it has built a graph and dropped as much again, and then sleeps.  The
 * context switches of all threads of it and of its collector are counted, apart from those of the
 * thread that counts; and the memory that the collector has of its own.  Then the same for each of
 * so many collections that it asks for, while so many threads run in it that allocate and store:
 * only switches of threads that went to sleep, as those that lose their CPU say what else the
 * machine does.
 *
 * live_mib=N settle_ms=N idle_ms=N threads=N collections=N.
 */
#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "bind.h"
#include "graph.h"
#include "workload.h"

/*
 * The number after @field in a status file; 0: there is none.  @field must not be the end of
 * another field's name.
 */
static uint64_t idle_status(const char *path, const char *field)
{
	FILE *file = fopen(path, "r");
	uint64_t value = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, field, strlen(field)))
			value = strtoull(line + strlen(field), NULL, 10);
	}
	if (file)
		fclose(file);
	return value;
}

/*
 * Count the switches of all threads of @pid except this one.  @all: also those of threads that lost
 * their CPU.
 */
static uint64_t idle_switches(pid_t pid, int all)
{
	struct dirent *entry;
	uint64_t switches = 0;
	char path[512];
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	tasks = opendir(path);
	if (!tasks)
		fail("can't list the threads of process %d", (int)pid);
	while ((entry = readdir(tasks))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || atoi(entry->d_name) == gettid())
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/status", (int)pid, entry->d_name);
		switches += idle_status(path, "voluntary_ctxt_switches:");
		switches += all ? idle_status(path, "nonvoluntary_ctxt_switches:") : 0;
	}
	closedir(tasks);
	return switches;
}

static void idle_memory(const char *who, pid_t pid)
{
	char path[64], key[32];

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	snprintf(key, sizeof(key), "%s_anon_mib", who);
	report(key, idle_status(path, "RssAnon:") / 1024.0);
	snprintf(key, sizeof(key), "%s_shmem_mib", who);
	report(key, idle_status(path, "RssShmem:") / 1024.0);
}

static void idle_sleep(uint64_t ms)
{
	struct timespec time = { .tv_sec = (time_t)(ms / 1000),
				 .tv_nsec = (long)(ms % 1000 * 1000000) };

	while (nanosleep(&time, &time))
		;
}

static atomic_bool idle_over;

/* Build a list, which is dropped now and then. */
static void *idle_thread(void *unused)
{
	struct bench_edges *list = NULL, *next;
	uint64_t n;

	for (n = 0; !atomic_load_explicit(&idle_over, memory_order_relaxed); n++) {
		next = bind_alloc_zeroed(sizeof(*next));
		if (!next)
			fail("no memory for an object");
		bind_store(&next->edge[0], n % 1000 ? list : NULL);
		list = next;
	}
	return unused;
}

static void idle_collections(uint64_t threads, uint64_t collections, pid_t collector)
{
	uint64_t program, helper = 0, i;
	pthread_t ids[64];

	if (threads > 64 || !collections)
		fail("threads must be up to 64, collections above 0");
	for (i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, idle_thread, NULL))
			fail("no thread");
	bind_collect();
	program = idle_switches(getpid(), 0);
	if (collector)
		helper = idle_switches(collector, 0);
	for (i = 0; i < collections; i++)
		bind_collect();
	program = idle_switches(getpid(), 0) - program;
	if (collector)
		helper = idle_switches(collector, 0) - helper;
	atomic_store(&idle_over, true);
	for (i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
	report("program_sleeps_per_collection", (double)program / (double)collections);
	if (collector)
		report("helper_sleeps_per_collection", (double)helper / (double)collections);
}

void idle_run(void)
{
	uint32_t objects = (uint32_t)((param_u64("live_mib") << 20) / sizeof(struct bench_edges));
	uint64_t idle_ms = param_u64("idle_ms"), program, helper = 0;
	struct bench_edges *root, *dropped;
	pid_t collector;
	double seconds;
	uint64_t start;

	if (!objects || !idle_ms)
		fail("live_mib and idle_ms must be above 0");
	root = graph_build(objects, "random", 0);
	dropped = graph_build(objects, "list", 0);
	if (graph_count(dropped, objects) != objects)
		fail("a list has lost objects");
	collector = bind_collector_pid();
	idle_sleep(param_u64("settle_ms"));

	program = idle_switches(getpid(), 1);
	if (collector)
		helper = idle_switches(collector, 1);
	start = now_ns();
	idle_sleep(idle_ms);
	seconds = (now_ns() - start) / 1e9;
	program = idle_switches(getpid(), 1) - program;
	if (collector)
		helper = idle_switches(collector, 1) - helper;

	report("program_switches_per_s", program / seconds);
	idle_memory("program", getpid());
	if (collector) {
		report("helper_switches_per_s", helper / seconds);
		idle_memory("helper", collector);
	}
	idle_collections(param_u64("threads"), param_u64("collections"), collector);
	if (!graph_count(root, objects))
		fail("the graph is gone");
}
