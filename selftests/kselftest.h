/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kselftest.h - results of a test program, as TAP on standard output
 *
 * The names are those of the kernel's selftests, so that a test reads the same here and there.  A
 * program calls, in this order:
 *
 *	ksft_print_header();
 *	ksft_set_plan(2);
 *	ksft_test_result(sum == 4, "two and two\n");
 *	ksft_test_result_skip("no device\n");
 *	ksft_finished();
 *
 * For selftests/run.sh, a program that reports fewer points than it planned has failed.  So a test
 * may simply exit or crash where it can't go on.
 *
 * One process reports.  A forked child has its own copy of the counters, so it says by its exit
 * status what it found.  Any thread of the reporting process may report.
 */
#ifndef TRICOLOR_KSELFTEST_H
#define TRICOLOR_KSELFTEST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Exit status of a program. */
#define KSFT_PASS 0
#define KSFT_FAIL 1
#define KSFT_SKIP 4			/* all that was planned was skipped */

/*
 * The counters are written under the lock of stdout.  They are weak: all files of a program share
 * one copy.
 */
struct ksft_results {
	unsigned int planned;
	unsigned int passed;
	unsigned int failed;
	unsigned int skipped;
};

__attribute__((weak)) struct ksft_results ksft;

/* Print one line (or the lines that @format has) as a whole, even if other threads print too. */
static inline void ksft_vprint(const char *prefix, const char *format, va_list args)
{
	flockfile(stdout);
	fputs(prefix, stdout);
	vprintf(format, args);
	funlockfile(stdout);
}

static inline void ksft_print_header(void)
{
	/*
	 * stdout is flushed after each line, so that nothing is left in the buffer for a forked
	 * child to print again.
	 */
	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
}

static inline void ksft_set_plan(unsigned int planned)
{
	ksft.planned = planned;
	printf("1..%u\n", planned);
}

/** A remark; @format ends with a newline. */
static inline __attribute__((format(printf, 1, 2))) void ksft_print_msg(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ksft_vprint("# ", format, args);
	va_end(args);
}

static inline void ksft_vresult(unsigned int *count, const char *verdict, const char *remark,
				const char *format, va_list args)
{
	flockfile(stdout);
	++*count;
	printf("%s %u %s", verdict, ksft.passed + ksft.failed + ksft.skipped, remark);
	vprintf(format, args);
	funlockfile(stdout);
}

/** One point that passed if @condition holds.  @format says what was tested. */
static inline __attribute__((format(printf, 2, 3))) void ksft_test_result(int condition,
									  const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (condition)
		ksft_vresult(&ksft.passed, "ok", "", format, args);
	else
		ksft_vresult(&ksft.failed, "not ok", "", format, args);
	va_end(args);
}

static inline __attribute__((format(printf, 1, 2))) void ksft_test_result_pass(const char *format,
									       ...)
{
	va_list args;

	va_start(args, format);
	ksft_vresult(&ksft.passed, "ok", "", format, args);
	va_end(args);
}

static inline __attribute__((format(printf, 1, 2))) void ksft_test_result_fail(const char *format,
									       ...)
{
	va_list args;

	va_start(args, format);
	ksft_vresult(&ksft.failed, "not ok", "", format, args);
	va_end(args);
}

/** One point that can't be tested here; @format is the reason. */
static inline __attribute__((format(printf, 1, 2))) void ksft_test_result_skip(const char *format,
									       ...)
{
	va_list args;

	va_start(args, format);
	ksft_vresult(&ksft.skipped, "ok", "# SKIP ", format, args);
	va_end(args);
}

/** End the program with the status that the results give. */
static inline __attribute__((noreturn)) void ksft_finished(void)
{
	unsigned int run = ksft.passed + ksft.failed + ksft.skipped;

	if (run != ksft.planned)
		ksft_print_msg("planned %u points, reported %u\n", ksft.planned, run);
	ksft_print_msg("pass:%u fail:%u skip:%u\n", ksft.passed, ksft.failed, ksft.skipped);
	if (ksft.failed || run != ksft.planned)
		exit(KSFT_FAIL);
	exit(run && ksft.skipped == run ? KSFT_SKIP : KSFT_PASS);
}

/** End the program as skipped, before a plan: @format is the reason. */
static inline __attribute__((format(printf, 1, 2), noreturn)) void
ksft_exit_skip(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ksft_vprint("1..0 # SKIP ", format, args);
	va_end(args);
	exit(KSFT_SKIP);
}

/** End the program as failed: the rest can't be tested.  @format is the reason. */
static inline __attribute__((format(printf, 1, 2), noreturn)) void
ksft_exit_fail_msg(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	ksft_vprint("Bail out! ", format, args);
	va_end(args);
	exit(KSFT_FAIL);
}

#endif
