// SPDX-License-Identifier: GPL-2.0-only
/* The entry of a workload program: `PROGRAM WORKLOAD key=value...`, or `PROGRAM version`. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "bind.h"
#include "meter.h"
#include "workload.h"

static const struct {
	const char *name;
	void (*run)(void);
} workloads[] = {
	{ "drop", drop_run },
	{ "trees", trees_run },
	{ "mark", mark_run },
	{ "ring", ring_run },
	{ "barrier", barrier_run },
	{ "gcbench", gcbench_run },
	{ "larson", larson_run },
	{ "lru", lru_run },
	{ "churn", churn_run },
	{ "live", live_run },
	{ "idle", idle_run },
	{ "threads", threads_run },
	{ "strings", strings_run },
	{ "finalize", finalize_run },
};

static char **params;

void fail(const char *format, ...)
{
	va_list args;

	fprintf(stderr, "%s: ", BIND_NAME);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static const char *param_find(const char *key)
{
	size_t len = strlen(key);

	for (char **p = params; *p; p++) {
		if (!strncmp(*p, key, len) && (*p)[len] == '=')
			return *p + len + 1;
	}
	return NULL;
}

const char *param_string(const char *key)
{
	const char *value = param_find(key);

	if (!value)
		fail("the parameter %s=... is missing", key);
	return value;
}

uint64_t param_u64(const char *key)
{
	const char *text = param_string(key);
	char *end;
	uint64_t value = strtoull(text, &end, 10);

	if (*text < '0' || *text > '9' || *end)
		fail("%s=%s is not a number", key, text);
	return value;
}

void report(const char *key, double value)
{
	printf("%s=%.10g\n", key, value);
}

uint64_t process_cpu_ns(void)
{
	struct timespec cpu;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	return (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	const char *metered;

	bind_init();
	if (!strcmp(name, "version")) {
		printf("%s\n", bind_version());
		return 0;
	}
	params = argv + 2;
	for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++) {
		if (strcmp(name, workloads[i].name))
			continue;
		metered = param_find("meter");
		if (metered && !strcmp(metered, "1"))
			meter_start();
		workloads[i].run();
		if (metered && !strcmp(metered, "1"))
			meter_stop();
		bind_report();
		return 0;
	}
	fprintf(stderr, "usage: %s version | WORKLOAD key=value...\n", argv[0]);
	return 2;
}
