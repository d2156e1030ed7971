/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kselftest_harness.h - tests with fixtures, in the form of the kernel's selftests
 *
 *	FIXTURE(arena) { int fd; };
 *	FIXTURE_SETUP(arena) { self->fd = open(...); ASSERT_LE(0, self->fd); }
 *	FIXTURE_TEARDOWN(arena) { close(self->fd); }
 *	TEST_F(arena, grows) { EXPECT_EQ(0, grow(self->fd)); }
 *	TEST(no_arena) { ... }
 *	TEST_HARNESS_MAIN
 *
 * and, where a fixture comes in several sorts,
 *
 *	FIXTURE_VARIANT(arena) { int flags; };
 *	FIXTURE_VARIANT_ADD(arena, huge) { .flags = HUGE };	(in SETUP and tests: variant->flags)
 *
 * Each test is a process of its own, and a process group.  So it may crash, hang (TEST_F_TIMEOUT,
 * or TEST_TIMEOUT_SECONDS) or leave children without harm to the others.  After a failure EXPECT_*
 * go on, and ASSERT_* end the test; what was set up is torn down in either case.  Both take the
 * expected value first.  They work in functions that a test calls, and in children that it forks.
 * A failure in such a child makes its exit status 1, which the parent has to check.  SKIP(return,
 * "reason") skips the test.
 *
 * Arguments: -l lists the tests; words choose those whose name contains one of them.
 * KSFT_TIMEOUT_FACTOR=n gives tests n times as long, for slow machines.
 */
#ifndef TRICOLOR_KSELFTEST_HARNESS_H
#define TRICOLOR_KSELFTEST_HARNESS_H

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest.h"

#ifndef TEST_TIMEOUT_SECONDS
#define TEST_TIMEOUT_SECONDS 60
#endif

struct th_variant {
	struct th_variant *next;
	const char *name;		/* empty: the one of a fixture that has none */
	const void *data;
};

struct th_fixture {
	const char *name;		/* empty: the one of tests without */
	size_t bytes;			/* of self */
	void (*setup)(void *self, const void *variant);
	void (*teardown)(void *self, const void *variant);
	struct th_variant *variants;
};

struct th_test {
	struct th_test *next;
	const char *name;
	struct th_fixture *fixture;
	void (*run)(void *self, const void *variant);
	unsigned int seconds;
};

/* The test that this process runs. */
static struct {
	pid_t pid;			/* the test's own process, not one that it forked */
	sigjmp_buf out;			/* where ASSERT_* goes */
	bool failed;
	char *reason;			/* shared with the runner: why it was skipped; SKIP_BYTES */
} th;

#define TH_SKIP_BYTES 256

static struct th_test *th_tests, **th_tests_end = &th_tests;
static struct th_fixture __attribute__((unused)) th_no_fixture = { .name = "" };

static inline void th_add_test(struct th_test *t)
{
	*th_tests_end = t;
	th_tests_end = &t->next;
}

static inline void th_add_variant(struct th_fixture *f, struct th_variant *v)
{
	struct th_variant **end = &f->variants;

	while (*end)
		end = &(*end)->next;
	*end = v;
}

static inline void __attribute__((noreturn)) th_leave(void)
{
	if (getpid() != th.pid)
		_exit(KSFT_FAIL);
	siglongjmp(th.out, 1);
}

static inline void th_fail(bool fatal)
{
	th.failed = true;
	if (fatal)
		th_leave();
}

#define TH_LOG(format, ...) \
	ksft_print_msg("%s:%d: " format "\n", __FILE__, __LINE__, ##__VA_ARGS__)

#define SKIP(statement, format, ...)							\
	do {										\
		snprintf(th.reason, TH_SKIP_BYTES, format, ##__VA_ARGS__);		\
		statement;								\
	} while (0)

/* Values of different signs are compared as C does, which is what the test of a result means. */
#define TH_COMPARE(expected, expected_text, seen, seen_text, op, fatal)			\
	do {										\
		_Pragma("GCC diagnostic push")						\
		_Pragma("GCC diagnostic ignored \"-Wsign-compare\"")			\
		__typeof__(expected) e_ = (expected);					\
		__typeof__(seen) s_ = (seen);						\
		int errno_ = errno;							\
											\
		if (!(e_ op s_)) {							\
			TH_LOG("expected %s (%#llx) %s %s (%#llx); errno %d", expected_text, \
			       (unsigned long long)(uintptr_t)e_, #op, seen_text,	\
			       (unsigned long long)(uintptr_t)s_, errno_);		\
			th_fail(fatal);							\
		}									\
		_Pragma("GCC diagnostic pop")						\
	} while (0)

#define TH_COMPARE_TEXT(expected, seen, op, fatal)					\
	do {										\
		const char *e_ = (expected), *s_ = (seen);				\
											\
		if (!(strcmp(e_, s_) op 0)) {						\
			TH_LOG("expected '%s' %s '%s'", e_, #op, s_);			\
			th_fail(fatal);							\
		}									\
	} while (0)

/* The texts are made here, before the preprocessor expands the arguments. */
#define EXPECT_EQ(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, ==, false)
#define EXPECT_NE(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, !=, false)
#define EXPECT_LT(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, <, false)
#define EXPECT_LE(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, <=, false)
#define EXPECT_GT(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, >, false)
#define EXPECT_GE(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, >=, false)
#define EXPECT_TRUE(seen)	TH_COMPARE(0, "0", seen, #seen, !=, false)
#define EXPECT_FALSE(seen)	TH_COMPARE(0, "0", seen, #seen, ==, false)
#define EXPECT_STREQ(expected, seen)	TH_COMPARE_TEXT(expected, seen, ==, false)
#define EXPECT_STRNE(expected, seen)	TH_COMPARE_TEXT(expected, seen, !=, false)
#define ASSERT_EQ(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, ==, true)
#define ASSERT_NE(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, !=, true)
#define ASSERT_LT(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, <, true)
#define ASSERT_LE(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, <=, true)
#define ASSERT_GT(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, >, true)
#define ASSERT_GE(expected, seen)	TH_COMPARE(expected, #expected, seen, #seen, >=, true)
#define ASSERT_TRUE(seen)	TH_COMPARE(0, "0", seen, #seen, !=, true)
#define ASSERT_FALSE(seen)	TH_COMPARE(0, "0", seen, #seen, ==, true)
#define ASSERT_STREQ(expected, seen)	TH_COMPARE_TEXT(expected, seen, ==, true)
#define ASSERT_STRNE(expected, seen)	TH_COMPARE_TEXT(expected, seen, !=, true)

/* Constructors run in the order in which they stand in the file, so tests run in that order too. */
#define TH_REGISTER(id, fixture_, text, function, timeout)				\
	static struct th_test id##_test = { NULL, text, &fixture_, function, timeout };	\
	static void __attribute__((constructor)) id##_register(void)			\
	{										\
		th_add_test(&id##_test);						\
	}

#define TEST_TIMEOUT(name, timeout)							\
	static void name##_body(void);							\
	static void name##_run(void *self, const void *variant)				\
	{										\
		(void)self;								\
		(void)variant;								\
		name##_body();								\
	}										\
	TH_REGISTER(name, th_no_fixture, #name, name##_run, timeout)			\
	static void name##_body(void)
#define TEST(name) TEST_TIMEOUT(name, TEST_TIMEOUT_SECONDS)

/* A fixture without FIXTURE_VARIANT has no variants, and its set-up gets NULL. */
#define FIXTURE(fixture)									\
	struct fixture##_variant;								\
	struct fixture##_self;								\
	static void fixture##_setup(struct fixture##_self *, const struct fixture##_variant *);	\
	static void fixture##_teardown(struct fixture##_self *, const struct fixture##_variant *);\
	static void fixture##_setup_any(void *self, const void *variant)			\
	{										\
		fixture##_setup(self, variant);						\
	}										\
	static void fixture##_teardown_any(void *self, const void *variant)		\
	{										\
		fixture##_teardown(self, variant);						\
	}										\
	static struct th_fixture fixture##_fixture = { .name = #fixture,			\
						    .setup = fixture##_setup_any,		\
						    .teardown = fixture##_teardown_any };	\
	struct fixture##_self

#define FIXTURE_SETUP(name)								\
	static void __attribute__((constructor)) name##_size(void)			\
	{										\
		name##_fixture.bytes = sizeof(struct name##_self);			\
	}										\
	static void name##_setup(struct name##_self *self __attribute__((unused)),	\
				 const struct name##_variant *variant __attribute__((unused)))

#define FIXTURE_TEARDOWN(name)								\
	static void name##_teardown(struct name##_self *self __attribute__((unused)),	\
				    const struct name##_variant *variant __attribute__((unused)))

#define FIXTURE_VARIANT(name) struct name##_variant

#define FIXTURE_VARIANT_ADD(name, sort)							\
	static const struct name##_variant name##_##sort##_data;			\
	static struct th_variant name##_##sort = { NULL, #sort, &name##_##sort##_data };	\
	static void __attribute__((constructor)) name##_##sort##_register(void)		\
	{										\
		th_add_variant(&name##_fixture, &name##_##sort);			\
	}										\
	static const struct name##_variant name##_##sort##_data =

#define TEST_F_TIMEOUT(fixture, name, timeout)						\
	static void fixture##_##name##_body(struct fixture##_self *,			\
					    const struct fixture##_variant *);		\
	static void fixture##_##name##_run(void *self, const void *variant)		\
	{										\
		fixture##_##name##_body(self, variant);					\
	}										\
	TH_REGISTER(fixture##_##name, fixture##_fixture, #name, fixture##_##name##_run,	\
		    timeout)								\
	static void fixture##_##name##_body(						\
		struct fixture##_self *self __attribute__((unused)),			\
		const struct fixture##_variant *variant __attribute__((unused)))
#define TEST_F(fixture, name) TEST_F_TIMEOUT(fixture, name, TEST_TIMEOUT_SECONDS)

/* ------------------------------------------------------------------------------------------ */
/* Running                                                                                    */
/* ------------------------------------------------------------------------------------------ */

/* Run @fn.  Returns false if an ASSERT_* ended it. */
static bool __attribute__((noinline)) th_call(void (*f)(void *, const void *), void *self,
					      const void *variant)
{
	if (sigsetjmp(th.out, 1))
		return false;
	if (f)
		f(self, variant);
	return true;
}

/* What the test's own process does: set up, run, tear down, and report by its exit status. */
static inline void __attribute__((noreturn)) th_child(struct th_test *t, struct th_variant *v)
{
	struct th_fixture *f = t->fixture;
	void *self = calloc(1, f->bytes + 1);

	setpgid(0, 0);
	th.pid = getpid();
	if (!self)
		_exit(KSFT_FAIL);
	if (th_call(f->setup, self, v->data)) {
		/* SKIP() in the set-up skips the test. */
		if (!*th.reason && !th.failed)
			th_call(t->run, self, v->data);
		th_call(f->teardown, self, v->data);
	}
	fflush(stdout);
	_exit(th.failed ? KSFT_FAIL : *th.reason ? KSFT_SKIP : KSFT_PASS);
}

static inline void th_run(struct th_test *t, struct th_variant *v, const char *name)
{
	const char *factor = getenv("KSFT_TIMEOUT_FACTOR");
	struct timespec limit = { t->seconds * (factor ? atoi(factor) : 1), 0 };
	bool timed_out = false;
	sigset_t chld, old;
	int status;
	pid_t pid;

	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &old);
	*th.reason = 0;
	fflush(stdout);
	pid = fork();
	if (!pid) {
		sigprocmask(SIG_SETMASK, &old, NULL);
		th_child(t, v);
	}
	setpgid(pid, pid);
	while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
		/*
		 * If the child stops, or a signal interrupts us, we wait again for the whole time.
		 */
		if (sigtimedwait(&chld, NULL, &limit) < 0 && errno == EAGAIN) {
			timed_out = true;
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			break;
		}
	}
	if (pid > 0)
		kill(-pid, SIGKILL);
	sigprocmask(SIG_SETMASK, &old, NULL);

	if (pid < 0)
		ksft_test_result_fail("%s: fork: %s\n", name, strerror(errno));
	else if (timed_out)
		ksft_test_result_fail("%s: took longer than %ld s\n", name, (long)limit.tv_sec);
	else if (WIFSIGNALED(status))
		ksft_test_result_fail("%s: killed by signal %d\n", name, WTERMSIG(status));
	else if (WEXITSTATUS(status) == KSFT_SKIP)
		ksft_test_result_skip("%s: %s\n", name, th.reason);
	else
		ksft_test_result(WEXITSTATUS(status) == KSFT_PASS, "%s\n", name);
}

static inline bool th_is_chosen(const char *name, int argc, char **argv)
{
	int i;

	for (i = 1; i < argc; i++)
		if (strstr(name, argv[i]))
			return true;
	return argc < 2;
}

/* For each test with each variant: run it, list it, or just count. */
static inline unsigned int th_for_each(bool run, bool list, int argc, char **argv)
{
	static struct th_variant none = { NULL, "", NULL };
	unsigned int n = 0;
	struct th_variant *v;
	struct th_test *t;
	char name[256];

	for (t = th_tests; t; t = t->next) {
		for (v = t->fixture->variants ? t->fixture->variants : &none; v; v = v->next) {
			snprintf(name, sizeof(name), "%s%s%s%s%s", t->fixture->name,
				 *t->fixture->name ? "." : "", v->name, *v->name ? "." : "",
				 t->name);
			if (!th_is_chosen(name, argc, argv))
				continue;
			n++;
			if (list)
				puts(name);
			if (run)
				th_run(t, v, name);
		}
	}
	return n;
}

static inline int th_main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "-l"))
		return !th_for_each(false, true, argc - 1, argv + 1);
	th.reason = mmap(NULL, TH_SKIP_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	ksft_print_header();
	if (th.reason == MAP_FAILED)
		ksft_exit_fail_msg("no shared memory: %s\n", strerror(errno));
	if (!th_for_each(false, false, argc, argv))
		ksft_exit_fail_msg("no test has such a name\n");
	ksft_set_plan(th_for_each(false, false, argc, argv));
	th_for_each(true, false, argc, argv);
	ksft_finished();
}

#define TEST_HARNESS_MAIN			\
	int main(int argc, char **argv)		\
	{					\
		return th_main(argc, argv);	\
	}

#endif
