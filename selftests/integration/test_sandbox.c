// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_sandbox.c - programs in sandboxes that deny a system call, as containers' profiles do
 *
 * With EPERM, or with ENOSYS, as profiles of either kind do.  Most must make no difference: the
 * heap is collected, by a private collector in the same sandbox.  Without the others there is no
 * heap, or no collector: then the program is told so, by a sentence that says what is missing.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "lib/process.h"
#include "lib/witness.h"

enum outcome { WORKS, REFUSES };

static const struct denied {
	const char *name;
	int number, err;
	enum outcome outcome;
	const char *word;		/* in the sentence */
} denied[] = {
	{ "membarrier", SYS_membarrier, EPERM, WORKS, NULL },
	{ "membarrier", SYS_membarrier, ENOSYS, WORKS, NULL },
	{ "userfaultfd", SYS_userfaultfd, EPERM, WORKS, NULL },
	{ "process_vm_readv", SYS_process_vm_readv, EPERM, WORKS, NULL },
	{ "process_vm_readv", SYS_process_vm_readv, ENOSYS, WORKS, NULL },
	{ "close_range", SYS_close_range, EPERM, WORKS, NULL },
	{ "close_range", SYS_close_range, ENOSYS, WORKS, NULL },
	{ "unshare", SYS_unshare, EPERM, WORKS, NULL },
	{ "rseq", SYS_rseq, ENOSYS, WORKS, NULL },
	/* The C library falls back to clone() for this one only. */
	{ "clone3", SYS_clone3, ENOSYS, WORKS, NULL },
	{ "pidfd_open", SYS_pidfd_open, EPERM, WORKS, NULL },
	{ "pidfd_send_signal", SYS_pidfd_send_signal, ENOSYS, WORKS, NULL },
	{ "sched_setattr", SYS_sched_setattr, EPERM, WORKS, NULL },
	{ "inotify_init1", SYS_inotify_init1, EPERM, WORKS, NULL },
	{ "ppoll", SYS_ppoll, EPERM, WORKS, NULL },
	{ "memfd_create", SYS_memfd_create, EPERM, REFUSES, "arena" },
	{ "rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, EPERM, REFUSES, "rt_tgsigqueueinfo" },
	{ "socketpair", SYS_socketpair, EPERM, REFUSES, "no collector" },
	{ "execve", SYS_execve, EPERM, REFUSES, "can't start" },
	{ "eventfd2", SYS_eventfd2, EPERM, REFUSES, "refuses" },
};

#define DENIED ((int)(sizeof(denied) / sizeof(denied[0])))

static bool deny(const struct denied *d)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned int)d->number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned int)d->err),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { 4, filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static struct witness *list;

/* Garbage, and a list that lives. */
static bool use_heap(void)
{
	struct witness *w;
	uint64_t i;
	int cycle;

	for (i = 0; i < 1000; i++) {
		w = witness_new(i);
		tri_store(&w->next, list);
		tri_store(&list, w);
	}
	for (cycle = 0; cycle < 3; cycle++) {
		for (i = 0; i < 20000; i++)
			witness_new(i);
		if (tri_gc())
			return false;
	}
	for (w = list, i = 1000; w; w = w->next)
		if (!witness_ok(w, --i))
			return false;
	return !i;
}

/*
 * A heap, or a collector, is refused with a sentence, which some thread can read sooner or later.
 */
static bool is_refused(const char *word)
{
	if (!tri_init(NULL))
		WAIT_FOR(strcmp(tri_error(), "no error") || read_stats().collector_pid, 1000000,
			 PATIENCE_NS);
	return strstr(tri_error(), word);
}

static int run(const struct denied *d)
{
	bool ok;

	alarm(60);
	ok = d->outcome == WORKS ? use_heap() : is_refused(d->word);
	if (!ok)
		ksft_print_msg("%s, %s: %s\n", d->name, strerror(d->err), tri_error());
	fflush(stdout);
	return !ok;
}

/* The sandbox is there before the program is, as one that a container's manager makes. */
static pid_t start(const struct denied *d)
{
	char number[16];
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	setenv("TRICOLOR_SOCKET", "off", 1);
	setenv("TRICOLOR_QUIET", "1", 1);
	snprintf(number, sizeof(number), "%d", (int)(d - denied));
	if (!deny(d))
		_exit(4);
	if (d->number != SYS_execve)
		execl("/proc/self/exe", "test_sandbox", number, NULL);
	_exit(d->number == SYS_execve ? run(d) : 5);
}

/* A shared collector whose sandbox does not let it watch over holes. */
static pid_t start_shared(const char *folder)
{
	static const struct denied no_holes = { "userfaultfd", SYS_userfaultfd, EPERM, WORKS,
						NULL };
	char socket[128], log[128];
	pid_t pid, daemon;
	bool ok;

	snprintf(socket, sizeof(socket), "%s/sock", folder);
	snprintf(log, sizeof(log), "%s/log", folder);
	fflush(stdout);
	pid = fork();
	if (pid)
		return pid;
	alarm(60);
	if (!deny(&no_holes))
		_exit(4);
	daemon = start_marking_daemon(socket, log);
	setenv("TRICOLOR_SOCKET", socket, 1);
	ok = use_heap() && read_stats().collector_pid == (uint64_t)daemon;
	kill(daemon, SIGTERM);
	wait_status(daemon);
	unlink(log);
	_exit(!ok);
}

static void report(int status, const char *name, const char *how, const char *what)
{
	if (status == 4)
		ksft_test_result_skip("%s: no seccomp here\n", name);
	else
		ksft_test_result(!status, "%s, %s: %s\n", name, how, what);
}

int main(int argc, char **argv)
{
	const char *folder;
	pid_t pid[DENIED];
	int i;

	if (argc == 2)
		_exit(run(&denied[atoi(argv[1])]));
	folder = temporary_folder();
	ksft_print_header();
	ksft_set_plan(DENIED + 1);
	for (i = 0; i < DENIED; i++)
		pid[i] = start(&denied[i]);
	for (i = 0; i < DENIED; i++)
		report(wait_status(pid[i]), denied[i].name, strerror(denied[i].err),
		       denied[i].outcome == WORKS ? "works" : "is refused in words");
	report(wait_status(start_shared(folder)), "userfaultfd", "of a shared collector", "works");
	rmdir(folder);
	ksft_finished();
}
