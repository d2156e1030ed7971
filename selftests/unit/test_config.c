// SPDX-License-Identifier: GPL-2.0-only
/* test_config.c - sizes, and tricolord.conf: every key, every mistake */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/process/config.h"
#include "core/system/size.h"
#include "kselftest.h"
#include "tricolor.h"

static char folder[] = "/tmp/tricolor-config.XXXXXX";
static char path[64];

static void test_sizes(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;		/* UINT64_MAX: it is none */
	} sizes[] = {
		{ "0", 0 },
		{ "1", 1 },
		{ "17B", 17 },
		{ "3KiB", 3 << 10 },
		{ "512MiB", 512 << 20 },
		{ "2GiB", 2ull << 30 },
		{ "1TiB", 1ull << 40 },
		{ "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", UINT64_MAX },
		{ "8388608TiB", UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX },
		{ "16777216TiB", UINT64_MAX },
		{ "", UINT64_MAX },
		{ " 1", UINT64_MAX },
		{ "-1", UINT64_MAX },
		{ "+1", UINT64_MAX },
		{ "12M", 12 << 20 },
		{ "12m", 12 << 20 },
		{ "12Mi", 12 << 20 },
		{ "12MB", 12 << 20 },
		{ "12mib", 12 << 20 },
		{ "12 MiB", 12 << 20 },
		{ "7k", 7 << 10 },
		{ "7Ki", 7 << 10 },
		{ "3g", 3ull << 30 },
		{ "2T", 2ull << 40 },
		{ "5b", 5 },
		{ "1.5GiB", 3ull << 29 },
		{ "0.5K", 512 },
		{ "0.1K", 102 },
		{ "1.000000000000000001T", 1ull << 40 },
		{ "1.999999999999999999K", 2047 },
		{ "8388607.999999999999999999T", INT64_MAX },
		{ "8388608.0T", UINT64_MAX },
		{ "1.0000000000000000001T", UINT64_MAX },
		{ "340282366920938463463374607431768211457", UINT64_MAX },
		{ "1.5", UINT64_MAX },
		{ "1.5B", UINT64_MAX },
		{ "1.G", UINT64_MAX },
		{ ".5G", UINT64_MAX },
		{ "1,5G", UINT64_MAX },
		{ "1.5.G", UINT64_MAX },
		{ "1 ", UINT64_MAX },
		{ "1  M", UINT64_MAX },
		{ "1M ", UINT64_MAX },
		{ "1iB", UINT64_MAX },
		{ "1Mib1", UINT64_MAX },
		{ "1Mb/s", UINT64_MAX },
		{ "1MM", UINT64_MAX },
		{ "1MBi", UINT64_MAX },
		{ "1P", UINT64_MAX },
		{ "12e6", UINT64_MAX },
		{ "5%", UINT64_MAX },
		{ "MiB", UINT64_MAX },
		{ "0x10", UINT64_MAX },
	};
	unsigned int wrong = 0;
	uint64_t n;
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		bool ok = tri_parse_bytes(sizes[i].text, &n);

		if (ok != (sizes[i].bytes != UINT64_MAX) || (ok && n != sizes[i].bytes)) {
			ksft_print_msg("'%s'\n", sizes[i].text);
			wrong++;
		}
	}
	ksft_test_result(!wrong, "sizes\n");
}

/* Each mistake is called by its name. */
static void test_mistakes(void)
{
	static const struct {
		const char *text, *says;
	} mistakes[] = {
		{ "", "nothing" },
		{ "-1", "negative" },
		{ "x", "digit" },
		{ "9223372036854775808", "more than can be" },
		{ "8388608T", "more than can be" },
		{ "12Q", "no such unit" },
		{ "1.5", "no parts" },
		{ "1.M", "digits" },
		{ "1.0000000000000000000M", "digits" },
		{ "0", "limit of 0" },
	};
	unsigned int wrong = 0;
	size_t i;

	for (i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		if (!strstr(tri_size_mistake(mistakes[i].text), mistakes[i].says)) {
			ksft_print_msg("'%s': %s\n", mistakes[i].text,
				       tri_size_mistake(mistakes[i].text));
			wrong++;
		}
	}
	ksft_test_result(!wrong, "what is wrong with a size is said\n");
}

static void test_limits(void)
{
	int64_t n;
	int32_t p;

	ksft_test_result(tri_parse_limit("off", &n) && n == TRI_LIMIT_NONE &&
			 tri_parse_limit("auto", &n) && n == TRI_LIMIT_AUTO &&
			 tri_parse_limit("1KiB", &n) && n == 1024 && !tri_parse_limit("0", &n) &&
			 !tri_parse_limit("offf", &n) && !tri_parse_limit("", &n), "limits\n");
	ksft_test_result(tri_parse_percent("off", &p) && p == -1 && tri_parse_percent("0", &p) &&
				 !p && tri_parse_percent("1000000", &p) && p == 1000000 &&
				 !tri_parse_percent("1000001", &p) &&
				 !tri_parse_percent("-1", &p) && !tri_parse_percent("", &p) &&
				 !tri_parse_percent("5%", &p) &&
				 !tri_parse_percent("99999999999999999999", &p),
			 "percentages\n");
}

static void test_values(void)
{
	static const struct {
		const char *key, *value;
		bool ok;
	} tries[] = {
		{ "socket", "/run/x", true },
		{ "socket", "x", false },
		{ "socket", "", false },
		{ "workers", "auto", true },
		{ "workers", "1", true },
		{ "workers", "1024", true },
		{ "workers", "0", false },
		{ "workers", "1025", false },
		{ "workers", "-1", false },
		{ "workers", "2x", false },
		{ "workers", "", false },
		{ "gc-percent", "50", true },
		{ "gc-percent", "off", true },
		{ "gc-percent", "x", false },
		{ "memory-limit", "1GiB", true },
		{ "memory-limit", "auto", true },
		{ "memory-limit", "1GB", true },
		{ "memory-limit", "off", true },
		{ "memory-limit", "1Gx", false },
		{ "total-memory-limit", "1GiB", true },
		{ "total-memory-limit", "auto", true },
		{ "total-memory-limit", "off", false },
		{ "limit-policy", "continue", true },
		{ "limit-policy", "fail-fast", true },
		{ "limit-policy", "", false },
		{ "limit-policy", "fail", false },
		{ "log-level", "debug", true },
		{ "log-level", "loud", false },
		{ "gc_percent", "50", false },
		{ "", "50", false },
	};
	struct config c, before;
	unsigned int wrong = 0;
	size_t i;

	config_defaults(&c);
	for (i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		before = c;
		if (config_set(&c, tries[i].key, tries[i].value, "test:1") != tries[i].ok ||
		    (!tries[i].ok && memcmp(&before, &c, sizeof(c)))) {
			ksft_print_msg("%s = %s\n", tries[i].key, tries[i].value);
			wrong++;
		}
	}
	ksft_test_result(!wrong, "values are taken, or refused and nothing changed\n");
	ksft_test_result(c.workers == 1024 && c.gc_percent == -1 &&
				 c.memory_limit_bytes == TRI_LIMIT_NONE &&
				 c.total_limit_bytes == TRI_LIMIT_AUTO &&
				 c.limit_policy == TRI_LIMIT_FAIL_FAST &&
				 c.log_level == LOG_DEBUG && !strcmp(c.socket, "/run/x"),
			 "the last one holds\n");
}

static void write_file(const char *name, const char *text, size_t n)
{
	FILE *f = fopen(name, "we");

	if (!f || fwrite(text, 1, n, f) != n || fclose(f))
		ksft_exit_fail_msg("can't write %s\n", name);
}

static bool reads(const char *text, struct config *c)
{
	config_defaults(c);
	write_file(path, text, strlen(text));
	return config_read(c, path, false);
}

static void test_lines(void)
{
	char *longest = malloc(4096);
	struct config c;

	ksft_test_result(reads("", &c) && c.gc_percent == CONFIG_GC_PERCENT, "an empty file\n");
	ksft_test_result(reads("\n \t \n# c\n  # c = d\n; c\n", &c), "comments and blanks\n");
	ksft_test_result(reads("  gc-percent\t=  70 \r\n", &c) && c.gc_percent == 70,
			 "blanks around\n");
	ksft_test_result(reads("gc-percent=71", &c) && c.gc_percent == 71,
			 "no newline at the end\n");
	ksft_test_result(reads("gc-percent=1\ngc-percent=72\n", &c) && c.gc_percent == 72 &&
				 strstr(c.origin[CONFIG_DEFAULT_GC_PERCENT], ":2"),
			 "the later line holds\n");
	ksft_test_result(!reads("gc-percent\n", &c) && !reads("= 3\n", &c) &&
				 !reads("gc-percent =\n", &c) &&
				 !reads("gc-percent = 3 # three\n", &c),
			 "lines that are none\n");
	ksft_test_result(!reads("nonsense\ngc-percent = 73\n", &c) && c.gc_percent == 73,
			 "the rest is read after a mistake\n");
	memset(longest, '#', 4000);
	strcpy(longest + 4000, "\n");
	ksft_test_result(!reads(longest, &c), "a line that is too long\n");
	config_defaults(&c);
	write_file(path, "gc-percent = 7\0005\n", 17);
	ksft_test_result(!config_read(&c, path, false) && c.gc_percent == CONFIG_GC_PERCENT,
			 "a zero byte\n");
	unlink(path);
	ksft_test_result(!config_read(&c, path, false) && config_read(&c, path, true),
			 "a file that is not there is an error unless it is optional\n");
	ksft_test_result(!config_read(&c, folder, false), "a folder is no file\n");
	free(longest);
}

static void test_drop_ins(void)
{
	char drop_ins[80], name[128];
	struct config c;

	snprintf(drop_ins, sizeof(drop_ins), "%s.d", path);
	mkdir(drop_ins, 0700);
	snprintf(name, sizeof(name), "%s/b.conf", drop_ins);
	write_file(name, "gc-percent = 2\n", 15);
	snprintf(name, sizeof(name), "%s/a.conf", drop_ins);
	write_file(name, "gc-percent = 1\nworkers = 3\n", 27);
	snprintf(name, sizeof(name), "%s/.c.conf", drop_ins);
	write_file(name, "hidden\n", 7);
	snprintf(name, sizeof(name), "%s/c.conf~", drop_ins);
	write_file(name, "backup\n", 7);
	ksft_test_result(reads("gc-percent = 9\nlog-level = error\n", &c) && c.gc_percent == 2 &&
				 c.workers == 3 && c.log_level == LOG_ERROR,
			 "drop-ins in the order of their names\n");
	unlink(name);
	snprintf(name, sizeof(name), "%s/.c.conf", drop_ins);
	unlink(name);
	snprintf(name, sizeof(name), "%s/a.conf", drop_ins);
	unlink(name);
	snprintf(name, sizeof(name), "%s/b.conf", drop_ins);
	unlink(name);
	rmdir(drop_ins);
	unlink(path);
}

/* What is printed can be read, and is the same then. */
static void test_print(void)
{
	struct config c, again;
	char text[4096] = "";
	FILE *f;

	config_defaults(&c);
	config_set(&c, "memory-limit", "1536MiB", "x");
	config_set(&c, "total-memory-limit", "4097", "x");
	config_set(&c, "gc-percent", "off", "x");
	config_set(&c, "workers", "5", "x");
	f = fmemopen(text, sizeof(text), "w");
	config_print(&c, f);
	fclose(f);
	ksft_test_result(reads(text, &again) && again.memory_limit_bytes == 1536 << 20 &&
				 again.total_limit_bytes == 4097 && again.gc_percent == -1 &&
				 again.workers == 5,
			 "what is printed reads as it was\n");
	unlink(path);
}

static void test_reload(void)
{
	struct config now, next;

	config_defaults(&now);
	next = now;
	ksft_test_result(!config_compare(&now, &next), "no change\n");
	config_set(&next, "socket", "/elsewhere", "x");
	config_set(&next, "workers", "7", "x");
	config_set(&next, "gc-percent", "30", "x");
	config_keep(&now, &next);
	ksft_test_result(!strcmp(next.socket, now.socket) && next.workers == now.workers &&
			 next.gc_percent == 30 && config_compare(&now, &next) == 1,
			 "socket and workers stay as they were, the rest changes\n");
	config_enforce(&next);
	ksft_test_result(config_gc_percent() == 30 &&
				 config_memory_limit_bytes() == TRI_LIMIT_AUTO &&
				 config_limit_policy() == TRI_LIMIT_CONTINUE,
			 "and is in force\n");
}

/* The sample has all settings, and all of them as they are without it. */
static void test_sample(void)
{
	char *text = calloc(1, 65536), *line, *state, *uncommented = calloc(1, 65536);
	struct config c, defaults;
	unsigned int settings = 0;
	FILE *f = fopen("daemon/dist/tricolord.conf", "re");
	size_t n = f ? fread(text, 1, 65535, f) : 0;

	if (!n) {
		ksft_test_result_skip("daemon/dist/tricolord.conf is not in the current folder\n");
		return;
	}
	fclose(f);
	for (line = strtok_r(text, "\n", &state); line; line = strtok_r(NULL, "\n", &state)) {
		if (line[0] == '#' && line[1] >= 'a' && line[1] <= 'z' && strstr(line, " = ")) {
			strcat(uncommented, line + 1);
			strcat(uncommented, "\n");
			settings++;
		}
	}
	config_defaults(&defaults);
	ksft_test_result(settings == CONFIG_KEYS && reads(uncommented, &c) &&
				 !config_compare(&defaults, &c),
			 "tricolord.conf: its %u comments are the defaults\n", settings);
	unlink(path);
	free(uncommented);
	free(text);
}

int main(void)
{
	ksft_print_header();
	ksft_set_plan(23);
	if (!mkdtemp(folder))
		ksft_exit_fail_msg("%s\n", folder);
	snprintf(path, sizeof(path), "%s/c", folder);
	/* Mistakes are said on standard error; here they are wanted. */
	log_set_level(LOG_ERROR);
	test_sizes();
	test_mistakes();
	test_limits();
	test_values();
	test_lines();
	test_drop_ins();
	test_print();
	test_reload();
	test_sample();
	rmdir(folder);
	ksft_finished();
}
