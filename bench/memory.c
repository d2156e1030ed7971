// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory of a tree of processes: the distinct pages that it holds, page tables included.
 *
 *   private pages	RssAnon of each process
 *   files		RssFile of each: what two processes share, libraries mostly, counts twice
 *   shared memory	the blocks of each memfd once, mapped or not; or what the process with most
 *			of it has mapped, if that is more (a backing that is no memfd)
 *   page tables	VmPTE of each
 *
 * All of these are counters.  The proportional set size in smaps_rollup says the same of what is
 * mapped (not of memfd pages that nobody has mapped at the moment), but the kernel walks the page
 * tables for it: tens of milliseconds a sample at 1 GiB, under a lock that the program's own
 * mmap() and munmap() need.
 */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory.h"

#define MEMORY_MAX_FILES 64
#define MEMORY_FIND_EVERY 8	/* samples */

struct memory_files {
	struct stat files[MEMORY_MAX_FILES];
	unsigned int count;
};

static size_t read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = 0;

	if (fd >= 0) {
		n = read(fd, text, size - 1);
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512], *end;
	int parent = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	read_file(path, text, sizeof(text));
	end = strrchr(text, ')');	/* the name before it may have any characters */
	if (end && sscanf(end, ") %*c %d", &parent) != 1)
		parent = 0;
	return parent;
}

static int known(const struct memory_tree *tree, pid_t pid)
{
	for (unsigned int i = 0; i < tree->count; i++) {
		if (tree->pids[i] == pid)
			return 1;
	}
	return 0;
}

void memory_find(struct memory_tree *tree)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	unsigned int before;
	pid_t self = getpid();

	tree->count = 0;
	if (!proc)
		return;
	/*
	 * A child may be listed before its parent, so this is repeated until nothing new is found.
	 */
	do {
		before = tree->count;
		rewinddir(proc);
		while ((entry = readdir(proc)) && tree->count < MEMORY_MAX_PROCESSES) {
			pid_t pid, parent;

			if (!isdigit((unsigned char)entry->d_name[0]))
				continue;
			pid = atoi(entry->d_name);
			if (known(tree, pid))
				continue;
			parent = parent_of(pid);
			if (parent == self || known(tree, parent))
				tree->pids[tree->count++] = pid;
		}
	} while (tree->count != before);
	closedir(proc);
}

static uint64_t status_kib(const char *status, const char *field)
{
	const char *at = strstr(status, field);

	return at ? strtoull(at + strlen(field), NULL, 10) : 0;
}

static void files_add(struct memory_files *files, const struct stat *file)
{
	for (unsigned int i = 0; i < files->count; i++) {
		if (files->files[i].st_dev == file->st_dev &&
		    files->files[i].st_ino == file->st_ino)
			return;
	}
	if (files->count < MEMORY_MAX_FILES)
		files->files[files->count++] = *file;
}

static void files_of(struct memory_files *files, pid_t pid)
{
	char path[64], target[64];
	struct dirent *entry;
	struct stat file;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	dir = opendir(path);
	if (!dir)
		return;
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n < 7 || strncmp(target, "/memfd:", 7))
			continue;
		if (!fstatat(dirfd(dir), entry->d_name, &file, 0))
			files_add(files, &file);
	}
	closedir(dir);
}

void memory_sample(struct memory_tree *tree)
{
	struct memory_files files = { .count = 0 };
	uint64_t kib = 0, shared_kib = 0, files_kib = 0;
	char path[64], status[4096];

	if (tree->samples++ % MEMORY_FIND_EVERY == 0)
		memory_find(tree);
	for (unsigned int i = 0; i < tree->count; i++) {
		uint64_t shmem;

		snprintf(path, sizeof(path), "/proc/%d/status", (int)tree->pids[i]);
		read_file(path, status, sizeof(status));
		kib += status_kib(status, "RssAnon:") + status_kib(status, "RssFile:") +
		       status_kib(status, "VmPTE:");
		shmem = status_kib(status, "RssShmem:");
		shared_kib = shmem > shared_kib ? shmem : shared_kib;
		files_of(&files, tree->pids[i]);
	}
	for (unsigned int i = 0; i < files.count; i++)
		files_kib += (uint64_t)files.files[i].st_blocks / 2;
	kib += files_kib > shared_kib ? files_kib : shared_kib;
	if (kib * 1024 > tree->peak_bytes)
		tree->peak_bytes = kib * 1024;
}
