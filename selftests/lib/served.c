// SPDX-License-Identifier: GPL-2.0-only
/* served.c - see served.h */
#include "served.h"

static void *served_kept;		/* a root */

static int served_do(char command)
{
	int i;

	switch (command) {
	case 'g':
		return tri_gc();
	case 'a':
		for (i = 0; i < 10000; i++)
			if (!tri_alloc(100))
				return -ENOMEM;
		return 0;
	case '5':
		tri_set_gc_percent(50);
		return 0;
	}
	return 0;
}

static __attribute__((noreturn)) void served_main(int in, int out)
{
	char command;
	int i;

	for (i = 0; i < 10000; i++) {
		void **cell = tri_alloc(64);

		if (!cell)
			_exit(2);
		tri_store(cell, served_kept);
		tri_store(&served_kept, cell);
	}
	while (read(in, &command, 1) == 1 && command != 'q') {
		struct served_answer a = { .error = served_do(command) };
		struct tri_stats s = { .size = sizeof(s) };

		tri_read_stats(&s);
		a.collector_pid = s.collector_pid;
		a.cycles = s.cycles;
		a.live_bytes = s.live_bytes;
		a.goal_bytes = s.goal_bytes;
		if (write(out, &a, sizeof(a)) != sizeof(a))
			break;
	}
	_exit(0);
}

struct served_answer served_tell(struct served *c, char command)
{
	struct served_answer a = { .error = -EPIPE };

	if (write(c->in, &command, 1) != 1 || read(c->out, &a, sizeof(a)) != sizeof(a))
		ksft_print_msg("client %d is gone\n", c->pid);
	return a;
}

struct served served_start(const char *socket, uid_t uid, const char *variable)
{
	int in[2], out[2];
	struct served c;

	if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC))
		ksft_exit_fail_msg("pipe: %s\n", strerror(errno));
	c.pid = fork();
	if (c.pid == 0) {
		close(in[1]);
		close(out[0]);
		setenv("TRICOLOR_SOCKET", socket, 1);
		if (variable)
			putenv((char *)variable);
		if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
			_exit(3);
		served_main(in[0], out[1]);
	}
	close(in[0]);
	close(out[1]);
	c.in = in[1];
	c.out = out[0];
	if (served_tell(&c, 'g').error)
		ksft_exit_fail_msg("client %d: no collection\n", c.pid);
	return c;
}

int served_end(struct served *c)
{
	/*
	 * Later clients have inherited the pipe, so an end of file would come only when they end.
	 */
	if (write(c->in, "q", 1) != 1)
		ksft_print_msg("client %d is gone\n", c->pid);
	close(c->in);
	close(c->out);
	return wait_status(c->pid);
}

void read_all(int fd, char *text, size_t room)
{
	size_t n = 0;
	ssize_t got;

	while (n < room - 1 && (got = read(fd, text + n, room - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = 0;
}

struct output *run_as(uid_t uid, char *const argv[])
{
	static struct output o;
	FILE *out = tmpfile(), *err = tmpfile();
	pid_t pid;

	if (!out || !err)
		ksft_exit_fail_msg("no temporary file: %s\n", strerror(errno));
	pid = fork();
	if (pid == 0) {
		dup2(fileno(out), 1);
		dup2(fileno(err), 2);
		if (uid && (setresgid(uid, uid, uid) || setresuid(uid, uid, uid)))
			_exit(126);
		execv(argv[0], argv);
		_exit(127);
	}
	o.status = wait_status(pid);
	rewind(out);
	rewind(err);
	read_all(fileno(out), o.out, sizeof(o.out));
	read_all(fileno(err), o.err, sizeof(o.err));
	fclose(out);
	fclose(err);
	return &o;
}

struct output *run(const char *program, ...)
{
	char *argv[32] = { (char *)program };
	va_list args;
	int n = 1;

	va_start(args, program);
	while (n < 31 && (argv[n] = va_arg(args, char *)))
		n++;
	va_end(args);
	argv[n] = NULL;
	return run_as(0, argv);
}

void show_output(const struct output *o)
{
	char copy[sizeof(o->out)], *line, *state;

	ksft_print_msg("status %d\n", o->status);
	strcpy(copy, o->out);
	for (line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		ksft_print_msg("out: %s\n", line);
	strcpy(copy, o->err);
	for (line = strtok_r(copy, "\n", &state); line; line = strtok_r(NULL, "\n", &state))
		ksft_print_msg("err: %s\n", line);
}

long long json_number(const char *text, const char *name)
{
	char key[64];
	const char *p;
	char *end;
	long long n;

	snprintf(key, sizeof(key), "\"%s\": ", name);
	p = strstr(text, key);
	if (!p)
		return LLONG_MIN;
	n = strtoll(p + strlen(key), &end, 10);
	return end == p + strlen(key) ? LLONG_MIN : n;
}

void write_text(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	if (!f || fputs(text, f) < 0 || fclose(f))
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
}

const char *read_text(const char *path)
{
	static char text[65536];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	text[0] = 0;
	if (fd >= 0) {
		read_all(fd, text, sizeof(text));
		close(fd);
	}
	return text;
}
