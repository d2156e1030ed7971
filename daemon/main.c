// SPDX-License-Identifier: GPL-2.0-only
/* main.c - tricolord: options, the listening socket, a thread for each client */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <poll.h>
#include <unistd.h>

#include "arena.h"
#include "core/sizeclass.h"
#include "cpus.h"
#include "log.h"
#include "mark.h"
#include "tricolor.h"
#include "watch.h"

#define STRING_(x) #x
#define STRING(x) STRING_(x)

#define DEFAULT_SOCKET "/run/tricolor/tricolord.sock"
#define STACK_BYTES (256u << 10)

const char *argp_program_version = "tricolord " STRING(TRI_VERSION_MAJOR) "."
				   STRING(TRI_VERSION_MINOR) "." STRING(TRI_VERSION_PATCH);

struct options {
	const char *socket;
	int private_fd;
	int workers;
};

static const struct argp_option argp_options[] = {
	{ "socket", 's', "PATH", 0, "Listen at PATH (default " DEFAULT_SOCKET ")", 0 },
	{ "private", 'p', "FD", 0, "Serve the one client at descriptor FD, and end with it", 0 },
	{ "workers", 'w', "N", 0, "Mark with at most N threads (default: the CPUs allowed)", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;
	long n;

	switch (key) {
	case 's':
		o->socket = arg;
		return 0;
	case 'p':
	case 'w':
		n = strtol(arg, &end, 10);
		if (*end || end == arg || n < (key == 'w') || n > 65536)
			argp_error(state, "%s is no %s", arg, key == 'w' ? "number of threads" :
				   "descriptor");
		*(key == 'w' ? &o->workers : &o->private_fd) = (int)n;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there are no arguments beside the options: %s", arg);
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	argp_options, parse_option, NULL,
	"Collect the heaps of programs that use libtricolor: see tricolord(8).", NULL, NULL, NULL,
};

static void *client_thread(void *arg)
{
	arena_serve((int)(intptr_t)arg);
	return NULL;
}

static void start_client(int sock)
{
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, client_thread, (void *)(intptr_t)sock);
	pthread_attr_destroy(&attr);
	if (err) {
		log_line("a client was turned away: no thread for it: %s", strerror(err));
		close(sock);
	}
}

/* A socket file that nobody listens at is a dead daemon's. */
static bool stale(const struct sockaddr_un *addr)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool dead = fd >= 0 && connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) &&
		    errno == ECONNREFUSED;

	if (fd >= 0)
		close(fd);
	return dead;
}

static int listen_at(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path)) {
		log_line("%s: the path of a socket has at most %zu characters", path,
			 sizeof(addr.sun_path) - 1);
		return -1;
	}
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && stale(&addr))
		unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 128)) {
		log_line("can't listen at %s: %s%s", path, strerror(errno),
			 errno == ENOENT ? "; make the folder, or give another --socket" :
			 errno == EADDRINUSE ? "; is another tricolord running?" : "");
		if (fd >= 0)
			close(fd);
		return -1;
	}
	/* Who may reach the folder may have a heap collected. */
	chmod(path, 0666);
	return fd;
}

static void stop_signals(sigset_t *set)
{
	sigemptyset(set);
	sigaddset(set, SIGTERM);
	sigaddset(set, SIGINT);
}

static int run_shared(const char *path)
{
	struct signalfd_siginfo info;
	struct pollfd p[2];
	sigset_t stop;
	int listener;

	stop_signals(&stop);
	listener = listen_at(path);
	if (listener < 0)
		return 1;
	p[0] = (struct pollfd){ .fd = listener, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = signalfd(-1, &stop, SFD_CLOEXEC), .events = POLLIN };
	log_line("listening on %s", path);
	for (;;) {
		if (poll(p, 2, -1) < 0)
			continue;
		if (p[1].revents && read(p[1].fd, &info, sizeof(info)) > 0)
			break;
		if (p[0].revents) {
			int sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

			if (sock >= 0)
				start_client(sock);
			else if (errno == EMFILE || errno == ENFILE)
				log_line("a client waits: %s; raise the limit of open files",
					 strerror(errno));
		}
	}
	unlink(path);
	log_line("stopped by signal %u", info.ssi_signo);
	return 0;
}

int main(int argc, char **argv)
{
	struct options o = { DEFAULT_SOCKET, -1, 0 };
	struct rlimit files;
	sigset_t stop;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	signal(SIGPIPE, SIG_IGN);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	tri_classes_init();
	/* Before there are threads: the first one without the mask would die of them. */
	if (o.private_fd < 0) {
		stop_signals(&stop);
		pthread_sigmask(SIG_BLOCK, &stop, NULL);
	}
	workers_start((o.workers ? (unsigned int)o.workers : cpus_allowed()) - 1);
	watch_start(0);
	if (o.private_fd >= 0) {
		fcntl(o.private_fd, F_SETFD, FD_CLOEXEC);
		arena_serve(o.private_fd);
		return 0;
	}
	return run_shared(o.socket);
}
