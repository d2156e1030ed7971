// SPDX-License-Identifier: GPL-2.0-only
/* main.c - tricolord's start: options, kind of collector, and threads */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/process/config.h"
#include "core/heap/sizeclass.h"
#include "daemon/process/cpus.h"
#include "daemon/process/fault.h"
#include "dry_run.h"
#include "elect.h"
#include "marker_program.h"
#include "listen.h"
#include "daemon/process/log.h"
#include "daemon/heap/workers.h"
#include "options.h"
#include "session.h"
#include "server.h"
#include "daemon/limits/watch.h"

/*
 * A client survives its collector, and not the other way round.  So the kernel is to kill this
 * process first when it is out of memory.  Our client has seen to that before it started us
 * (spawn.c), unless it is not dumpable, as the files of such a process in /proc are root's.
 * Without /proc nothing is changed.
 */
static void go_first(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, "1000", 4) < 0)
		log_debug("/proc/self/oom_score_adj: %s", strerror(errno));
	close(fd);
}

static int run_private(const struct options *o)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	fcntl(o->private_fd, F_SETFD, FD_CLOEXEC);
	/*
	 * We share the session of our client, and so maybe a terminal, which stops a process in the
	 * background that writes to it.
	 */
	signal(SIGTTOU, SIG_IGN);
	if (!o->no_control && !getsockopt(o->private_fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		listen_private(cred.pid);
	if (config_elects())
		elect_start();
	session_serve(o->private_fd);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o;
	struct config c;
	struct rlimit files;

	options_parse(&o, argc, argv);
	if (o.private_fd >= 0)
		go_first();
	if (!options_config(&o, &c))
		return 1;
	if (o.dry_run)
		return dry_run(&c);
	config_enforce(&c);
	signal(SIGPIPE, SIG_IGN);
	fault_init();
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	tri_classes_init();
	if (o.private_fd >= 0)
		config_set_private(!o.no_control);
	else
		server_block_signals();
	if (o.private_fd < 0)
		marker_program_find();
	workers_start((c.workers ? (unsigned int)c.workers : cpus_allowed()) - 1);
	watch_start((uint64_t)c.total_limit_bytes);
	return o.private_fd >= 0 ? run_private(&o) : server_run(&o, &c);
}
