// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - what it costs to know which pages were written (core/heap/written.c)
 *
 * Of a memfd, or with "device" of an arena of /dev/tricolor: 64, 256 and 1024 MiB that have memory,
 * of which a thread writes 1, 10 or 100 % of the pages, spread evenly, before each question.
 * Medians of nine rounds, CPU time of the one thread:
 *
 *	write	ns for a page, the first time after a question
 *	plain	the same where nobody asks
 *	ask	µs for a MiB of the arena
 *	tables	KiB of page tables that it took beyond those of the writer
 *
 * usage: written [device]
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tricolor.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "core/heap/written.h"

#define PAGE ((size_t)4096)
#define MIB ((size_t)1 << 20)
#define ROUNDS 9

struct figures {
	double write_ns[ROUNDS], plain_ns[ROUNDS], ask_us[ROUNDS];
	long tables_kib;
	size_t wrong;
};

static double cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v)
{
	qsort(v, ROUNDS, sizeof(*v), compare);
	return v[ROUNDS / 2];
}

static long tables_kib(void)
{
	FILE *file = fopen("/proc/self/status", "r");
	long kib = -1;
	char line[128];

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "VmPTE: %ld", &kib) == 1)
			break;
	if (file)
		fclose(file);
	return kib;
}

static int new_file(bool is_device, size_t bytes)
{
	struct tricolor_create create = { .size = sizeof(create), .bytes = bytes };
	int fd = is_device ? open("/dev/tricolor", O_RDWR | O_CLOEXEC) :
			     memfd_create("written", MFD_CLOEXEC);

	if (fd >= 0 &&
	    (is_device ? ioctl(fd, TRICOLOR_IOC_CREATE, &create) : ftruncate(fd, (off_t)bytes))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Every @step-th page; ns for each. */
static double write_pages(volatile char *p, size_t pages, size_t step)
{
	double before = cpu_ns();
	size_t i;

	for (i = 0; i < pages; i += step)
		p[i * PAGE]++;
	return (cpu_ns() - before) / (double)((pages + step - 1) / step);
}

static size_t count(const uint64_t *bits, size_t pages)
{
	size_t i, n = 0;

	for (i = 0; i < pages / 64; i++)
		n += (size_t)__builtin_popcountll(bits[i]);
	return n;
}

/* Of every @step-th page of @bytes. */
static int measure(bool is_device, size_t bytes, size_t step, struct figures *f)
{
	uint64_t *bits = calloc(bytes / PAGE / 64, sizeof(*bits));
	size_t pages = bytes / PAGE, written = (pages + step - 1) / step;
	struct tri_written w;
	char text[512];
	double before;
	int fd, i;
	char *p;

	fd = new_file(is_device, bytes);
	p = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (!bits || p == MAP_FAILED) {
		fprintf(stderr, "no arena of %zu MiB: %s\n", bytes / MIB, strerror(errno));
		return 1;
	}
	write_pages(p, pages, 1);
	f->tables_kib = tables_kib();
	for (i = 0; i < ROUNDS; i++)
		f->plain_ns[i] = write_pages(p, pages, step);
	if (tri_written_open(&w, fd, p, bytes)) {
		fprintf(stderr, "nobody can tell: %s\n",
			tri_written_explain(&w, text, sizeof(text)));
		return 1;
	}
	if (tri_written_start(&w)) {
		fprintf(stderr, "%s: can't start: %s\n", tri_written_name(w.by), strerror(errno));
		return 1;
	}
	f->wrong = 0;
	for (i = 0; i < ROUNDS; i++) {
		f->write_ns[i] = write_pages(p, pages, step);
		before = cpu_ns();
		if (tri_written_collect(&w, 0, pages, bits)) {
			fprintf(stderr, "%s: can't ask: %s\n", tri_written_name(w.by),
				strerror(errno));
			return 1;
		}
		f->ask_us[i] = (cpu_ns() - before) / 1e3 / (double)(bytes / MIB);
		f->wrong += count(bits, pages) != written;
	}
	f->tables_kib = tables_kib() - f->tables_kib;
	if (step == 1 && bytes == 64 * MIB)
		printf("%s\n%8s %9s %9s %9s %9s %9s\n", tri_written_name(w.by), "MiB", "written",
		       "write ns", "plain ns", "ask us", "tables");
	tri_written_close(&w);
	munmap(p, bytes);
	close(fd);
	free(bits);
	return 0;
}

int main(int argc, char **argv)
{
	static const size_t sizes[] = { 64 * MIB, 256 * MIB, 1024 * MIB }, steps[] = { 1, 10, 100 };
	bool is_device = argc > 1 && !strcmp(argv[1], "device");
	struct figures f;
	size_t i, j;

	if (argc > 2 || (argc == 2 && !is_device)) {
		fprintf(stderr, "usage: written [device]\n");
		return 2;
	}
	for (i = 0; i < 3; i++)
		for (j = 0; j < 3; j++) {
			if (measure(is_device, sizes[i], steps[j], &f))
				return 1;
			printf("%8zu %8.1f%% %9.0f %9.1f %9.2f %9ld\n", sizes[i] / MIB,
			       100.0 / (double)steps[j], median(f.write_ns), median(f.plain_ns),
			       median(f.ask_us), f.tables_kib);
			if (f.wrong) {
				fprintf(stderr,
					"%zu of %d answers were not what had been written\n",
					f.wrong, ROUNDS);
				return 1;
			}
		}
	return 0;
}
