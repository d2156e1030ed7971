// SPDX-License-Identifier: GPL-2.0-only
/*
 * init.c - process 1 of the VM: runs test programs, says what came of them, and turns the VM off
 *
 *  1. Mount what programs expect; say how the kernel is to treat trouble.
 *  2. Load the kernel modules that /etc/modules names (disks in memory, a file system), then ours;
 *     mount a disk at /var/tmp, for those who want page cache.
 *  3. Run the programs of /etc/tests, one after the other: a line each, of
 *	SECONDS NAME [VARIABLE=VALUE]... PATH [ARGUMENT]...
 *  4. Take the module out again.
 *  5. Leave through QEMU's isa-debug-exit device, whose exit status says that we got this far.
 *     Whatever else ends the VM (a panic above all) gives another one.
 *
 * What it tells is described in init.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "init.h"

/* QEMU ends with status 2 * this + 1. */
#define EXIT_PORT 0xf4
#define EXIT_DONE 0x10

#define ARGS_MAX 64

static int out_fd = 2;

void vm_write(const char *bytes, size_t n)
{
	ssize_t done;

	for (; n; bytes += done, n -= (size_t)done) {
		done = write(out_fd, bytes, n);
		if (done < 0 && errno == EINTR)
			done = 0;
		else if (done < 0)
			break;
	}
}

void vm_say(const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	line[sizeof(line) - 2] = '\n';
	vm_write(line, strlen(line));
}

uint64_t vm_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

void vm_read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, size - 1);

	text[n > 0 ? n : 0] = 0;
	text[strcspn(text, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

static void set_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		vm_say("@note %s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void mount_all(void)
{
	static const struct {
		const char *type, *path;
		bool optional;
	} mounts[] = {
		{ "proc", "/proc", false },
		{ "sysfs", "/sys", false },
		{ "devtmpfs", "/dev", false },
		{ "devpts", "/dev/pts", false },
		{ "tmpfs", "/dev/shm", false },
		{ "tmpfs", "/tmp", false },
		{ "tmpfs", "/run", false },
		{ "cgroup2", "/sys/fs/cgroup", false },
		{ "tracefs", "/sys/kernel/tracing", false },
		{ "debugfs", "/sys/kernel/debug", true },
		{ "bpf", "/sys/fs/bpf", true },
	};
	size_t i;

	for (i = 0; i < sizeof(mounts) / sizeof(mounts[0]); i++) {
		mkdir(mounts[i].path, 0755);
		if (mount(mounts[i].type, mounts[i].path, mounts[i].type, 0, NULL) &&
		    !mounts[i].optional && errno != EBUSY)
			vm_say("@problem no %s at %s: %s\n", mounts[i].type, mounts[i].path,
			       strerror(errno));
	}
	chmod("/tmp", 01777);
	chmod("/dev/shm", 01777);
	symlink("/proc/self/fd", "/dev/fd");
}

/* The results' serial port carries bytes as they are. */
static void open_results(void)
{
	int fd = open("/dev/ttyS1", O_WRONLY | O_NOCTTY | O_CLOEXEC);
	struct termios raw;

	if (fd < 0) {
		vm_say("@problem /dev/ttyS1: %s\n", strerror(errno));
		return;
	}
	if (!tcgetattr(fd, &raw)) {
		cfmakeraw(&raw);
		cfsetspeed(&raw, B115200);
		tcsetattr(fd, TCSANOW, &raw);
	}
	out_fd = fd;
}

static void configure(void)
{
	struct ifreq lo = { .ifr_name = "lo" };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd >= 0) {
		lo.ifr_flags = IFF_UP | IFF_RUNNING;
		ioctl(fd, SIOCSIFFLAGS, &lo);
		close(fd);
	}
	sethostname("vm", 2);
	set_file("/proc/sys/kernel/panic_on_oops", "1");
	set_file("/proc/sys/vm/oom_dump_tasks", "0");
	set_file("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids");
}

/* Modules of Debian's kernel, in an order that suits what they need of each other. */
static void load_modules(void)
{
	char line[256];
	FILE *list = fopen("/etc/modules", "re");
	int fd;

	while (list && fgets(line, sizeof(line), list)) {
		line[strcspn(line, "\n")] = 0;
		fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST))
			vm_say("@note %s: %s\n", line, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (list)
		fclose(list);
}

/* Whether @argv ends with status 0. */
static bool succeeds(char *const argv[])
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		/* What it complains about goes to the console. */
		dup2(null, 1);
		execv(argv[0], argv);
		_exit(127);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* A disk is a second zram: what is written as zeros takes no memory.  The first is for swap. */
static void mount_disk(void)
{
	char number[16], path[64], device[32];
	char *const mkfs[] = { (char *)"/bin/mke2fs", (char *)"-b", (char *)"4096", (char *)"-F",
			       device, NULL };

	vm_read_file("/sys/class/zram-control/hot_add", number, sizeof(number));
	snprintf(path, sizeof(path), "/sys/block/zram%s/disksize", number);
	snprintf(device, sizeof(device), "/dev/zram%s", number);
	if (!number[0]) {
		vm_say("@note no disk: this kernel has no zram\n");
		return;
	}
	set_file(path, "402653184");
	if (!succeeds(mkfs) || mount(device, "/var/tmp", "ext2", 0, NULL))
		vm_say("@note no disk: %s can't be mounted: %s\n", device, strerror(errno));
}

/* Cut @line into words; returns how many there are, of ARGS_MAX - 1 at most. */
static size_t split(char *line, char **words)
{
	size_t n = 0;
	char *word, *rest = NULL;

	for (word = strtok_r(line, " \t\n", &rest); word && n < ARGS_MAX - 1;
	     word = strtok_r(NULL, " \t\n", &rest))
		words[n++] = word;
	words[n] = NULL;
	return n;
}

static void run_line(char *line)
{
	static char *const always[] = {
		(char *)"PATH=/bin:/sbin:/usr/bin:/usr/sbin",
		(char *)"HOME=/tmp",
		(char *)"TERM=dumb",
		(char *)"LC_ALL=C",
		(char *)"TRICOLOR_IN_VM=1",
	};
	char *words[ARGS_MAX], *env[ARGS_MAX + 8];
	struct vm_program p = { .env = env };
	size_t i, n = split(line, words), vars = 0;

	if (n < 3 || words[0][0] == '#')
		return;
	for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		env[vars++] = always[i];
	p.seconds = (unsigned int)strtoul(words[0], NULL, 10);
	p.name = words[1];
	for (i = 2; i < n && words[i][0] != '/'; i++)
		env[vars++] = words[i];
	env[vars] = NULL;
	p.argv = words + i;
	if (i == n || !p.seconds)
		vm_say("@problem /etc/tests: no program for %s\n", p.name);
	else
		vm_run(&p);
}

static void run_all(void)
{
	char line[1024];
	FILE *list = fopen("/etc/tests", "re");

	if (!list) {
		vm_say("@problem /etc/tests: %s\n", strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), list))
		run_line(line);
	fclose(list);
}

static void __attribute__((noreturn)) power_off(void)
{
	tcdrain(out_fd);
	sync();
	if (!ioperm(EXIT_PORT, 1, 1))
		outb(EXIT_DONE, EXIT_PORT);
	/* No such device: then the lack of that status is the failure. */
	for (;;)
		reboot(RB_POWER_OFF);
}

int main(void)
{
	bool module = !access("/lib/modules/tricolor.ko", F_OK);

	mount_all();
	open_results();
	configure();
	kmsg_open();

	vm_say("@begin vm/load\n");
	load_modules();
	mount_disk();
	if (module)
		arenas_load();
	kmsg_check();
	vm_say("@end vm/load status=0 ms=%llu\n", (unsigned long long)vm_now_ms());

	run_all();

	vm_say("@begin vm/unload\n");
	if (module)
		arenas_unload();
	kmsg_check_leaks();
	kmsg_check();
	vm_say("@end vm/unload status=0 ms=0\n");
	vm_say("@done\n");
	power_off();
}
