// SPDX-License-Identifier: GPL-2.0-only
/*
 * postmortem_file.c - the folder of post-mortems, and the files there
 *
 * A file is created under another name, which nobody can have prepared (O_EXCL), and then renamed
 * without replacing anything.
 */
#include "postmortem_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/process/config.h"
#include "daemon/process/log.h"

#define PREFIX "tricolor-"

/* Open the folder, if it is safe to write there.  Negative: -errno, and @why. */
static int open_folder(const char *dir, char why[static 160])
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), err = errno;
	struct stat st;

	if (fd < 0) {
		snprintf(why, 160, "%s%s", strerror(err),
			 err == ENOENT ? "; make it" :
			 err == ELOOP || err == ENOTDIR ?
					 "; it must be a folder and no link to one" :
					 "");
		return -err;
	}
	if (fstat(fd, &st) || (st.st_uid != geteuid() && st.st_uid)) {
		snprintf(why, 160, "it belongs to user %u; it must be root's or user %u's",
			 st.st_uid, geteuid());
		close(fd);
		return -EPERM;
	}
	return fd;
}

int postmortem_check(const char *dir, char why[static 160])
{
	int fd = open_folder(dir, why), err = 0;

	if (fd < 0)
		return -fd;
	if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS)) {
		err = errno;
		snprintf(why, 160, "user %u can't make files there: %s", geteuid(), strerror(err));
	}
	close(fd);
	return err;
}

/* Count the post-mortems in the folder. */
static unsigned int count_files(int folder)
{
	int fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	unsigned int n = 0;
	struct dirent *e;

	while (d && (e = readdir(d)))
		n += !strncmp(e->d_name, PREFIX, strlen(PREFIX));
	if (d)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	return n;
}

static bool write_all(int fd, const struct postmortem_text *t)
{
	size_t done = 0;
	ssize_t n;

	while (done < t->used) {
		n = write(fd, t->at + done, t->used - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		done += (size_t)n;
	}
	return true;
}

/* Returns 0, or an errno. */
static int write_file(int folder, const char *name, const struct postmortem_text *t)
{
	char temporary[160];
	int fd, err = 0;

	snprintf(temporary, sizeof(temporary), ".%s.new", name);
	fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno;
	if (fchmod(fd, 0600) || !write_all(fd, t))
		err = errno;
	/* Some file systems say only at close() that they are full. */
	if (close(fd) && !err)
		err = errno;
	if (!err && renameat2(folder, temporary, folder, name, RENAME_NOREPLACE))
		err = errno;
	if (err)
		unlinkat(folder, temporary, 0);
	return err;
}

/* The host's name for a file's name, with letters, digits, - and . only. */
static void host_part(const struct postmortem_client *identity, char host[static 64])
{
	size_t i;

	memcpy(host, identity->host, 64);
	for (i = 0; host[i]; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.",
			    host[i]))
			host[i] = '_';
}

void postmortem_put(const struct postmortem_facts *f, const struct client_end *e)
{
	struct postmortem_text t = { .at = malloc(POSTMORTEM_BYTES), .room = POSTMORTEM_BYTES };
	char why[160], host[64], name[144], stamp[32], end[128];
	const char *dir = config_on_kill();
	struct timespec now;
	struct tm tm;
	int folder, err;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%S", &tm);
	host_part(&f->identity, host);
	snprintf(name, sizeof(name), PREFIX "%s-%d-%s.%03ldZ.json", host, f->identity.pid, stamp,
		 now.tv_nsec / 1000000);
	folder = open_folder(dir, why);
	if (t.at)
		postmortem_compose(&t, f, e, now.tv_sec);
	if (folder < 0)
		err = -folder;
	else if (!t.at || t.full)
		err = ENOMEM;
	else if (count_files(folder) >= POSTMORTEM_FILES)
		err = EMFILE;
	else
		err = write_file(folder, name, &t);
	if (!err)
		log_line("process %d (%.16s) %s; what its heap held is in %s/%s", f->identity.pid,
			 f->figures.comm, client_end_text(e, end), dir, name);
	else
		log_error("process %d (%.16s) %s, and no post-mortem could be written: %s: %s",
			  f->identity.pid, f->figures.comm, client_end_text(e, end), dir,
			  folder < 0	? why :
			  err == EMFILE ? "it has 256 of them; remove some" :
					  strerror(err));
	if (folder >= 0)
		close(folder);
	free(t.at);
}
