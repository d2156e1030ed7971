// SPDX-License-Identifier: GPL-2.0-only
/*
 * bad.c - a test program that does what test programs must not do, as its argument says
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		perror(path);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setvbuf(stdout, NULL, _IOLBF, 0);
	puts("TAP version 13");
	if (!strcmp(what, "silent"))
		return 0;
	puts(strcmp(what, "plan") ? "1..1" : "1..2");
	if (!strcmp(what, "hang")) {
		for (;;)
			pause();
	} else if (!strcmp(what, "crash")) {
		raise(SIGSEGV);
	} else if (!strcmp(what, "leave")) {
		if (!fork()) {
			setsid();
			for (;;)
				pause();
		}
	} else if (!strcmp(what, "complain")) {
		write_to("/dev/kmsg", "<4>BUG: what a kernel says of itself\n");
	} else if (!strcmp(what, "imitate")) {
		/* Only process 1 says what begins like this. */
		puts("@done");
	} else if (!strcmp(what, "panic")) {
		write_to("/proc/sysrq-trigger", "c");
	} else if (!strcmp(what, "fail")) {
		puts("not ok 1 a point");
		return 1;
	} else if (!strcmp(what, "status")) {
		puts("ok 1 a point");
		return 3;
	}
	puts("ok 1 a point");
	return 0;
}
