// SPDX-License-Identifier: GPL-2.0-only
/* process.c - see process.h */
#include "process.h"

bool emulated(void)
{
	return getenv("TRICOLOR_IN_VM");
}

void come_first(void)
{
	static const char path[] = "/proc/self/autogroup";
	int fd;

	if (getsid(0) != getpid() && setsid() < 0)
		return;
	if (setpriority(PRIO_PROCESS, 0, -15))
		return;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "-15", 3) < 0)
			ksft_print_msg("%s: %s\n", path, strerror(errno));
		close(fd);
	}
}

bool kernel_tells_ends(void)
{
	struct utsname u;
	int major = 0, minor = 0;

	return !uname(&u) && sscanf(u.release, "%d.%d", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 15));
}

void pause_ns(uint64_t ns)
{
	struct timespec ts = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };

	nanosleep(&ts, NULL);
}

uint64_t test_seed(void)
{
	uint64_t seed = seed_from_environment();

	ksft_print_msg("SEED=%#llx\n", (unsigned long long)seed);
	return seed;
}

void *shared_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		ksft_exit_fail_msg("no shared memory: %s\n", strerror(errno));
	return p;
}

long proc_status(pid_t pid, const char *name)
{
	char path[64], line[256];
	size_t len = strlen(name);
	long value = -1;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, len) && line[len] == ':')
			value = strtol(line + len + 1, NULL, 10);
	fclose(f);
	return value;
}

int proc_entries(pid_t pid, const char *folder)
{
	char path[64];
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, folder);
	d = opendir(path);
	if (!d)
		return -1;
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

uint64_t proc_switches(pid_t pid)
{
	char path[300], line[256];
	uint64_t sum = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	d = opendir(path);
	while (d && (e = readdir(d))) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/status", pid, e->d_name);
		f = e->d_name[0] == '.' ? NULL : fopen(path, "re");
		while (f && fgets(line, sizeof(line), f))
			if (!strncmp(line, "voluntary_ctxt_switches:", 24))
				sum += strtoull(line + 24, NULL, 10);
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	return sum;
}

char *built_path(const char *name, char *path, size_t room)
{
	ssize_t n = readlink("/proc/self/exe", path, room - 64);
	char *slash;
	int up;

	if (n <= 0)
		ksft_exit_fail_msg("/proc/self/exe: %s\n", strerror(errno));
	path[n] = 0;
	for (up = 0; up < 3; up++) {
		slash = strrchr(path, '/');
		if (!slash)
			ksft_exit_fail_msg("%s is not in a build tree\n", path);
		*slash = 0;
	}
	strcat(path, name);
	if (access(path, X_OK))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	return path;
}

const char *daemon_path(void)
{
	static char path[512];
	const char *given = getenv("TRICOLOR_DAEMON");

	return given && *given ? given : built_path("/sbin/tricolord", path, sizeof(path));
}

bool can_connect(const char *socket_path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	char byte[1];
	ssize_t n;
	bool ok;

	if (strlen(socket_path) < sizeof(addr.sun_path))
		strcpy(addr.sun_path, socket_path);
	ok = fd >= 0 && !connect(fd, (struct sockaddr *)&addr, sizeof(addr));
	/*
	 * Wait until the collector has closed its end as well, so that a test which counts its
	 * descriptors later does not count this connection.
	 */
	if (ok) {
		shutdown(fd, SHUT_WR);
		do
			n = recv(fd, byte, sizeof(byte), 0);
		while (n > 0 || (n < 0 && errno == EINTR));
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

int connect_to(const char *socket_path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct timeval patience = { PATIENCE_NS / 1000000000, 0 };

	if (strlen(socket_path) >= sizeof(addr.sun_path))
		ksft_exit_fail_msg("%s: too long for a socket\n", socket_path);
	strcpy(addr.sun_path, socket_path);
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		ksft_exit_fail_msg("%s: %s\n", socket_path, strerror(errno));
	return fd;
}

const char *test_marker(void)
{
	const char *marker = getenv("TRICOLOR_TEST_MARKER");

	return marker && *marker ? marker : "own";
}

pid_t start_daemon(const char *socket_path, const char *log)
{
	/* The configuration of this machine must have no influence on a test. */
	char *argv[] = { (char *)daemon_path(), (char *)"--config", (char *)"/dev/null",
			 (char *)"--socket", (char *)socket_path, (char *)"--marker",
			 (char *)test_marker(), NULL };
	posix_spawn_file_actions_t files;
	extern char **environ;
	pid_t pid;
	int err;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	err = posix_spawn(&pid, argv[0], &files, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	if (err)
		ksft_exit_fail_msg("%s: %s\n", argv[0], strerror(err));
	if (!WAIT_FOR(can_connect(socket_path), 1000000, PATIENCE_NS))
		ksft_exit_fail_msg("%s does not listen at %s\n", argv[0], socket_path);
	return pid;
}

pid_t start_marking_daemon(const char *socket_path, const char *log)
{
	setenv("TRICOLOR_TEST_MARKER", "shared", 1);
	return start_daemon(socket_path, log);
}

char *temporary_folder(void)
{
	static char folder[] = "/tmp/tricolor-test.XXXXXX";

	if (!mkdtemp(folder))
		ksft_exit_fail_msg("%s: %s\n", folder, strerror(errno));
	return folder;
}

int wait_status(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
