// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Finding files, and making documents of those that are text.
 *
 * A document's text is its words, folded to lower case, between single blanks, with one blank in
 * front and one behind.  A word is a run of ASCII letters, digits and underscores and of bytes
 * above 127 (letters of UTF-8, as a rule); what exceeds WORD_MAX bytes of it is left out.  In such
 * a text a phrase is a substring, which is what makes the check of answers so simple.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wordindex.h"

#define FILES_MAX 400000u	/* a bound on what a careless --dir makes us remember */
#define SNIFF_BYTES 8192u	/* of a file's start that must look like text */

TRI_TYPE(catalogue_type, struct catalogue, path);
TRI_TYPE(document_type, struct document, path, text);

/* ---- the catalogue -------------------------------------------------------------------------- */

static void catalogue_add(struct catalogue *catalogue, const char *path)
{
	if (catalogue->count == catalogue->capacity) {
		uint32_t capacity = catalogue->capacity ? 2 * catalogue->capacity : 1024;
		char **paths = need(tri_alloc(capacity * sizeof(paths[0])));

		if (catalogue->count)
			tri_move(paths, catalogue->path, catalogue->count);
		tri_store(&catalogue->path, paths);
		catalogue->capacity = capacity;
	}
	tri_store(&catalogue->path[catalogue->count], need(tri_strdup(path)));
	catalogue->count++;
}

/* The order of entries in a directory differs between systems; the order of names does not. */
static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

/* Hidden folders (version control) and built files are skipped. */
static bool unwanted(const FTSENT *entry)
{
	return entry->fts_level > 0 &&
	       (entry->fts_name[0] == '.' || !strcmp(entry->fts_name, "build"));
}

/* All regular files below @dirs that can be seen, in an order that @seed decides. */
struct catalogue *catalogue_scan(const char **dirs, uint64_t seed)
{
	struct catalogue *catalogue = need(tri_alloc_typed(&catalogue_type, 1));
	uint64_t random = random_seed(seed, 0);
	FTSENT *entry;
	FTS *fts;

	/* fts changes neither the array nor the strings. */
	fts = fts_open((char *const *)dirs, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR | FTS_XDEV,
		       by_name);
	if (!fts)
		die("can't read %s: %s", dirs[0], strerror(errno));
	while (catalogue->count < FILES_MAX && !stopping() && (entry = fts_read(fts))) {
		if (entry->fts_info == FTS_D && unwanted(entry))
			fts_set(fts, entry, FTS_SKIP);
		else if (entry->fts_info == FTS_F && entry->fts_statp->st_size)
			catalogue_add(catalogue, entry->fts_path);
		else if (entry->fts_level == 0 && entry->fts_errno)
			fprintf(stderr, "%s: left out %s: %s\n", config->name, entry->fts_path,
				strerror(entry->fts_errno));
	}
	fts_close(fts);

	/* Shuffled, a small budget still sees a bit of everything. */
	for (uint32_t i = catalogue->count; i > 1; i--) {
		uint32_t j = random_below(&random, i);
		char *path = catalogue->path[i - 1];

		tri_store(&catalogue->path[i - 1], catalogue->path[j]);
		tri_store(&catalogue->path[j], path);
	}
	return catalogue;
}

/* ---- documents ------------------------------------------------------------------------------ */

/* Up to FILE_MAX bytes of the file; 0 if it is not there, not regular, or can't be read. */
static size_t read_file(const char *path, char *to)
{
	size_t bytes = 0;
	struct stat st;
	ssize_t got;
	int fd;

	/*
	 * Another kind of file may have taken the name since the scan, so this must not wait to
	 * open it.
	 */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return 0;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode)) {
		while (bytes < FILE_MAX) {
			got = read(fd, to + bytes, FILE_MAX - bytes);
			if (got < 0 && errno == EINTR)
				continue;
			if (got <= 0)
				break;
			bytes += (size_t)got;
		}
	}
	close(fd);
	return bytes;
}

/* A null byte, or more than one control character in 32. */
static bool binary(const char *bytes, size_t n)
{
	size_t control = 0;

	if (n > SNIFF_BYTES)
		n = SNIFF_BYTES;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (!c)
			return true;
		control += c < ' ' && !strchr("\t\n\v\f\r\b\033", c);
	}
	return control > n / 32;
}

/* The character as it counts in a word, or 0 if it separates words. */
static char fold(char c)
{
	unsigned char u = (unsigned char)c;

	if (u >= 'A' && u <= 'Z')
		return (char)(u + 'a' - 'A');
	return (u >= 'a' && u <= 'z') || (u >= '0' && u <= '9') || u == '_' || u >= 128 ? c : 0;
}

/*
 * Fold the @n bytes from @raw + 1 on into words from @raw on.  In place: with the byte in front the
 * output never overtakes the input; it ends one byte behind it at most.  Returns the output's
 * length; 1 if there are no words.
 */
static size_t fold_words(char *raw, size_t n, uint32_t *words)
{
	size_t out = 0, length = 0;

	raw[out++] = ' ';
	*words = 0;
	for (size_t in = 1; in <= n; in++) {
		char c = fold(raw[in]);

		if (c) {
			if (length++ < WORD_MAX)
				raw[out++] = c;
		} else if (length) {
			raw[out++] = ' ';
			length = 0;
			++*words;
		}
	}
	if (length) {
		raw[out++] = ' ';
		++*words;
	}
	return out;
}

uint64_t text_checksum(const char *text, size_t bytes)
{
	uint64_t sum = 14695981039346656037ull;

	for (size_t i = 0; i < bytes; i++)
		sum = (sum ^ (unsigned char)text[i]) * 1099511628211ull;
	return sum;
}

/*
 * A document of the file's present contents, or NULL if they are not text.
 * @raw: FILE_MAX + 2 bytes to work in.
 */
struct document *document_read(char *path, uint32_t slot, char *raw)
{
	size_t bytes = read_file(path, raw + 1);
	struct document *doc;
	uint32_t words;

	if (!bytes || binary(raw + 1, bytes))
		return NULL;
	bytes = fold_words(raw, bytes, &words);
	if (!words)
		return NULL;
	doc = need(tri_alloc_typed(&document_type, 1));
	tri_store(&doc->path, path);
	tri_store(&doc->text, need(tri_strndup(raw, bytes)));
	doc->checksum = text_checksum(raw, bytes);
	doc->text_bytes = (uint32_t)bytes;
	doc->slot = slot;
	doc->words = words;
	return doc;
}
