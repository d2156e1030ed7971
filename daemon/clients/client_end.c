// SPDX-License-Identifier: GPL-2.0-only
/*
 * client_end.c - how a client ended, as far as that can be known
 *
 * An end of file says only that the client's connection is gone.  The facts come from, in this
 * order:
 *
 *  1. A pidfd, from the connection or from the client's PID (peer.c).  It is readable when all
 *     threads have ended.  If it is not, the client has only closed the connection, as execve()
 *     does.
 *  2. PIDFD_GET_INFO with the exit's status: Linux 6.15, once the parent has waited for the client.
 *  3. Before that, and on older kernels, the status in /proc/PID/stat of a process that nobody has
 *     waited for yet.  It is shown to the process's own user and to root.  The pidfd is polled
 *     before and after it is read, so that the PID is the client's and no other process's.
 *  4. The group's count of processes that the kernel has killed for memory.
 *
 * If none of them tells, the end is called not known.
 */
#include "client_end.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "claim.h"
#include "core/system/clock.h"
#include "core/system/cgroup.h"
#include "peer.h"

/* linux/pidfd.h has this struct from 6.13 on, and exit_code from 6.15 on. */
struct exit_info {
	uint64_t mask;
	uint64_t cgroupid;
	uint32_t ids[11];
	int32_t exit_code;		/* as wait() has it */
};
#define INFO_EXIT 8ull
#define GET_INFO _IOWR(0xff, 11, struct exit_info)

_Static_assert(sizeof(struct exit_info) == 64, "pidfd_info");

/* Read the number of kills in the group.  False: it can't be read. */
static bool oom_kills(const struct client_end_watch *w, uint64_t *n)
{
	char text[512];
	ssize_t got = w->events_fd < 0 ? -1 : pread(w->events_fd, text, sizeof(text) - 1, 0);

	if (got <= 0)
		return false;
	text[got] = 0;
	return tri_cgroup_parse_stat(text, "oom_kill", n);
}

/* Open the events of its group, which the client has sent, or which we find. */
static int find_events(pid_t pid, int pidfd, const struct claim *claim)
{
	int fd = claim && claim->levels ? claim->level[0].fd[TRI_FD_EVENTS] : -1;
	struct tri_cgroup *cg;

	if (fd >= 0)
		return fcntl(fd, F_DUPFD_CLOEXEC, 3);
	cg = malloc(sizeof(*cg));
	if (cg && pid > 0 && tri_cgroup_find("", pid, "memory", cg) && peer_lives(pidfd))
		fd = tri_cgroup_open(cg->dir,
				     cg->version == 1 ? "memory.oom_control" : "memory.events",
				     O_RDONLY);
	free(cg);
	return fd;
}

void client_end_watch(struct client_end_watch *w, int sock, pid_t pid, const struct claim *claim)
{
	*w = (struct client_end_watch){ .pid = pid, .pidfd = peer_open(sock, pid) };
	w->events_fd = find_events(pid, w->pidfd, claim);
	if (!oom_kills(w, &w->oom_kills) && w->events_fd >= 0) {
		close(w->events_fd);
		w->events_fd = -1;
	}
}

void client_end_forget(struct client_end_watch *w)
{
	if (w->pidfd >= 0)
		close(w->pidfd);
	if (w->events_fd >= 0)
		close(w->events_fd);
	w->pidfd = w->events_fd = -1;
}

/*
 * Poll a pidfd: POLLIN when the process has ended, and POLLHUP when its parent has waited for it.
 */
static short events(int pidfd, const struct timespec *timeout)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return ppoll(&p, 1, timeout, NULL) > 0 ? p.revents : 0;
}

static const struct timespec at_once;

static void take_status(struct client_end *e, int status)
{
	if (WIFSIGNALED(status)) {
		e->how = CLIENT_END_SIGNAL;
		e->signal = WTERMSIG(status);
		e->core = WCOREDUMP(status);
	} else {
		e->how = CLIENT_END_EXIT;
		e->status = WEXITSTATUS(status);
	}
}

static bool read_process(pid_t pid, const char *name, char *text, size_t room)
{
	char process[32];

	snprintf(process, sizeof(process), "/proc/%d", pid);
	return tri_cgroup_read(process, name, text, room);
}

/*
 * Whether line @name of /proc/PID/status has only @id: real, effective, saved and file system's.
 */
static bool only_id(const char *text, const char *name, unsigned int id)
{
	unsigned int ids[4];
	const char *at = strstr(text, name);

	return at &&
	       sscanf(at + strlen(name), "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) == 4 &&
	       ids[0] == id && ids[1] == id && ids[2] == id && ids[3] == id;
}

/* Whether the kernel shows us all about process @pid.  Of others it shows a status of 0. */
static bool is_ours(pid_t pid)
{
	char text[4096];

	return read_process(pid, "status", text, sizeof(text)) &&
	       only_id(text, "\nUid:", geteuid()) && only_id(text, "\nGid:", getegid());
}

/* Read the last number of /proc/PID/stat of a process that nobody has waited for. */
static bool read_zombie(const struct client_end_watch *w, int *status)
{
	char text[1024], *at;
	bool ours;

	if (w->pid <= 0 || !read_process(w->pid, "stat", text, sizeof(text)))
		return false;
	ours = is_ours(w->pid);
	at = strrchr(text, ')');
	/* Without a zombie, or if it was waited for meanwhile, this may be another process. */
	if (!at || at[1] != ' ' || at[2] != 'Z' || events(w->pidfd, &at_once) & POLLHUP)
		return false;
	at = strrchr(at, ' ');
	*status = at ? atoi(at) : 0;
	return *status || ours;
}

static void read_how(const struct client_end_watch *w, struct client_end *e)
{
	struct exit_info info = { .mask = INFO_EXIT };
	int status;
	short ev;

	e->how = CLIENT_END_UNSEEN;
	if (w->pidfd < 0)
		return;
	ev = events(w->pidfd, &at_once);
	e->how = ev ? CLIENT_END_UNKNOWN : CLIENT_END_ALIVE;
	if (!ev)
		return;
	if (!ioctl(w->pidfd, GET_INFO, &info) && info.mask & INFO_EXIT)
		take_status(e, info.exit_code);
	else if (read_zombie(w, &status))
		take_status(e, status);
}

void client_end_read(const struct client_end_watch *w, struct client_end *e)
{
	uint64_t kills;

	/*
	 * How a process ended can be read while it is a zombie, and when it was waited for, but not
	 * in the moment between.  So what was read once is kept.
	 */
	if (e->how == CLIENT_END_EXIT || e->how == CLIENT_END_SIGNAL)
		return;
	read_how(w, e);
	/* This is read last, as the kernel counts a kill before it kills. */
	e->oom_known = oom_kills(w, &kills);
	if (e->oom_known)
		e->oom_kills = kills > w->oom_kills ? kills - w->oom_kills : 0;
}

void client_end_wait(const struct client_end_watch *w, uint64_t until_ns, struct client_end *e)
{
	*e = CLIENT_END_NOTHING;
	for (;;) {
		struct pollfd p = { .fd = w->pidfd, .events = POLLIN };
		uint64_t now = clock_ns(), left = until_ns > now ? until_ns - now : 0;
		struct timespec ts = { (time_t)(left / 1000000000), (long)(left % 1000000000) };
		/*
		 * Polled first, so that a client that is waited for after this is read once more.
		 */
		bool over = w->pidfd >= 0 && events(w->pidfd, &at_once) & POLLHUP;

		client_end_read(w, e);
		if ((e->how != CLIENT_END_ALIVE && e->how != CLIENT_END_UNKNOWN) || !left)
			return;
		/* It is dead, and more can be known only when its parent waits for it. */
		if (e->how == CLIENT_END_UNKNOWN) {
			if (over)
				return;
			p.events = 0;
		}
		if (ppoll(&p, 1, &ts, NULL) < 0 && errno != EINTR)
			return;
	}
}

const char *client_end_text(const struct client_end *e, char text[static 128])
{
	const char *name = e->signal ? sigabbrev_np(e->signal) : NULL;

	switch (e->how) {
	case CLIENT_END_ALIVE:
		return "has closed its connection";
	case CLIENT_END_EXIT:
		snprintf(text, 128, "ended with status %d", e->status);
		return text;
	case CLIENT_END_SIGNAL:
		snprintf(text, 128, "was killed by signal %d%s%s%s%s", e->signal,
			 name ? " (SIG" : "", name ? name : "", name ? ")" : "",
			 e->signal == SIGKILL && e->oom_kills ? ", by the kernel for memory" : "");
		return text;
	case CLIENT_END_UNKNOWN:
		return e->oom_kills ?
			       "has ended, as the kernel killed processes of its group for memory" :
			       "has ended, by a signal or by _exit(): this kernel does not tell";
	case CLIENT_END_UNSEEN:
		break;
	}
	return "has closed its connection; whether it has ended can't be seen from here";
}
