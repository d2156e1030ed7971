// SPDX-License-Identifier: GPL-2.0-only
/*
 * config_file.c - reading tricolord.conf and its drop-ins
 *
 * A line is empty, or is a comment that begins with # or ;, or is "key = value".  Blanks around key
 * and value do not count.  Drop-ins are the files *.conf of the folder FILE.d, in byte order of
 * their names.
 */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define LINE_BYTES 1024

/* Remove blanks at both ends, in place. */
static char *trim(char *text)
{
	static const char blanks[] = " \t\r\n";
	size_t n;

	text += strspn(text, blanks);
	for (n = strlen(text); n && strchr(blanks, text[n - 1]); n--)
		;
	text[n] = 0;
	return text;
}

static bool read_line(struct config *c, char *line, const char *origin)
{
	char *key = trim(line), *equals = strchr(key, '=');

	if (!*key || *key == '#' || *key == ';')
		return true;
	if (!equals) {
		log_error("%s: '%.40s': a line is a comment that begins with #, or key = value",
			  origin, key);
		return false;
	}
	*equals = 0;
	return config_set(c, trim(key), trim(equals + 1), origin);
}

/*
 * Read the next line.  False: it is too long, or has a zero byte; then @line is its beginning.
 * @end: there was none.
 */
static bool get_line(FILE *f, char *line, size_t room, bool *end)
{
	size_t n = 0;
	bool ok = true;
	int ch;

	while ((ch = getc(f)) != EOF && ch != '\n') {
		if (!ch || n == room - 1)
			ok = false;
		else
			line[n++] = (char)ch;
	}
	line[n] = 0;
	*end = ch == EOF && !n && ok;
	return ok;
}

static bool read_file(struct config *c, const char *file, bool optional)
{
	char line[LINE_BYTES], origin[sizeof(c->origin[0])];
	bool ok = true, end = false;
	unsigned int number = 0;
	FILE *f = fopen(file, "re");

	if (!f) {
		if (optional && errno == ENOENT)
			return true;
		log_error("%s: %s", file, strerror(errno));
		return false;
	}
	for (;;) {
		bool whole = get_line(f, line, sizeof(line), &end);

		if (end)
			break;
		snprintf(origin, sizeof(origin), "%s:%u", file, ++number);
		if (!whole)
			log_error("%s: a line has at most %d bytes, and no zero byte", origin,
				  LINE_BYTES - 1);
		if (!whole || !read_line(c, line, origin))
			ok = false;
		if (feof(f))
			break;
	}
	if (ferror(f)) {
		log_error("%s: %s", file, strerror(errno));
		ok = false;
	}
	fclose(f);
	return ok;
}

static int is_conf(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 5 && d->d_name[0] != '.' && !strcmp(d->d_name + n - 5, ".conf");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

bool config_read(struct config *c, const char *file, bool optional)
{
	char folder[512], path[1024];
	struct dirent **names = NULL;
	bool ok = read_file(c, file, optional);
	int n, i;

	if (snprintf(folder, sizeof(folder), "%s.d", file) >= (int)sizeof(folder)) {
		log_error("%s: a path of at most %zu characters", file, sizeof(folder) - 3);
		return false;
	}
	n = scandir(folder, &names, is_conf, by_name);
	if (n < 0 && errno != ENOENT) {
		log_error("%s: %s", folder, strerror(errno));
		ok = false;
	}
	for (i = 0; i < n; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, names[i]->d_name);
		if (!read_file(c, path, false))
			ok = false;
		free(names[i]);
	}
	free(names);
	return ok;
}
