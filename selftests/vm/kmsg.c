// SPDX-License-Identifier: GPL-2.0-only
/*
 * kmsg.c - the kernel's log: what it says while a test runs decides about the test too
 *
 * A record of /dev/kmsg is "priority,number,time,flags;text".  The whole text of a complaint is in
 * the console's log; here the line that began it, and what stands close behind it, are enough.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "init.h"

/*
 * What the kernel prints when it finds itself wrong.  The calls traced for a process that ran out
 * of memory are no such thing, so that "Call Trace" is not among these.
 */
static const char *const complaints[] = {
	"cut here",
	"WARNING:",
	"BUG:",
	"BUG ",
	"Oops",
	"Kernel panic",
	"general protection fault",
	"Unable to handle",
	"unable to handle",
	"INFO: task",
	"INFO: rcu",
	"detected stalls",
	"soft lockup",
	"hard LOCKUP",
	"scheduling while atomic",
	"sleeping function called",
	"possible circular locking",
	"possible recursive locking",
	"possible irq lock inversion",
	"inconsistent lock state",
	"suspicious RCU",
	"lock held when returning",
	"bad unlock balance",
	"held lock freed",
	"Bad page",
	"Bad rss-counter",
	"bad pmd",
	"bad pte",
	"Bad swap",
	"refcount_t:",
	"list_add corruption",
	"list_del corruption",
	"corrupted",
	"Objects remaining",
	"unreferenced object",
	"suspected memory leak",
	"KASAN:",
	"KCSAN:",
	"UBSAN:",
	"nobody cared",
};

/* Lines shown after one that complains. */
#define CONTEXT_LINES 24

static int log_fd = -1;

void kmsg_open(void)
{
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (log_fd < 0 || lseek(log_fd, 0, SEEK_END) < 0)
		vm_say("@problem /dev/kmsg: %s: the kernel's log is not watched\n",
		       strerror(errno));
}

static bool is_complaint(const char *text)
{
	size_t i;

	for (i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
		if (strstr(text, complaints[i]))
			return true;
	return false;
}

void kmsg_check(void)
{
	/* A complaint may be cut in two by the time of the call. */
	static unsigned int show;
	char record[8192], *text, *end;
	ssize_t n;

	for (;;) {
		n = read(log_fd, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE) {
			vm_say("@problem the kernel's log was overrun: part of it was not read\n");
			continue;
		}
		if (n <= 0)
			break;
		record[n] = 0;
		text = strchr(record, ';');
		if (!text)
			continue;
		end = strchr(++text, '\n');
		if (end)
			*end = 0;
		if (is_complaint(text)) {
			if (!show)
				vm_say("@problem the kernel said: %s\n", text);
			show = CONTEXT_LINES;
		} else if (show) {
			show--;
			vm_say("# kernel: %s\n", text);
		}
	}
}

void kmsg_check_leaks(void)
{
	char line[512];
	int scans, fd = open("/sys/kernel/debug/kmemleak", O_RDWR | O_CLOEXEC);
	FILE *f;

	if (fd < 0)
		return;
	/* An object counts as leaked only when two scans have not found it. */
	for (scans = 0; scans < 2; scans++)
		if (write(fd, "scan", 4) != 4)
			vm_say("@problem kmemleak does not scan: %s\n", strerror(errno));
	f = fdopen(fd, "r");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		vm_say("%s%s\n", strstr(line, "unreferenced") ? "@problem kmemleak: " : "# ", line);
	}
	if (f)
		fclose(f);
	fd = open("/sys/kernel/debug/kmemleak", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "clear", 5) != 5)
			vm_say("@problem kmemleak does not forget: %s\n", strerror(errno));
		close(fd);
	}
}
