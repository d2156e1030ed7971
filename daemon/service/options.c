// SPDX-License-Identifier: GPL-2.0-only
/* options.c - tricolord's command line */
#include "options.h"

#include <argp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/proto/version.h"

const char *argp_program_version = "tricolord " TRI_VERSION;

enum { KEY_DRY_RUN = 256, KEY_UNTIL, KEY_NO_CONTROL, KEY_SETTING };

/* An option has the name of the key in the file; the first two have a letter as well. */
static const char *const names[CONFIG_KEYS] = {
	[CONFIG_SOCKET] = "socket",
	[CONFIG_WORKERS] = "workers",
	[CONFIG_DEFAULT_GC_PERCENT] = "gc-percent",
	[CONFIG_DEFAULT_MEMORY_LIMIT] = "memory-limit",
	[CONFIG_TOTAL_LIMIT] = "total-memory-limit",
	[CONFIG_LIMIT_POLICY] = "limit-policy",
	[CONFIG_LOG_LEVEL] = "log-level",
	[CONFIG_MARKER] = "marker",
	[CONFIG_ON_KILL] = "on-kill",
};

static const struct argp_option argp_options[] = {
	{ "config", 'c', "FILE", 0, "Read FILE and FILE.d/*.conf (default " CONFIG_FILE ")", 1 },
	{ "dry-run", KEY_DRY_RUN, NULL, 0, "Print the settings and check what they need, and exit",
	  1 },
	{ "socket", 's', "PATH", 0, "Listen at PATH", 2 },
	{ "workers", 'w', "N", 0, "Mark with at most N threads", 2 },
	{ "gc-percent", KEY_SETTING + CONFIG_DEFAULT_GC_PERCENT, "N", 0,
	  "Of clients that have not chosen one", 2 },
	{ "memory-limit", KEY_SETTING + CONFIG_DEFAULT_MEMORY_LIMIT, "SIZE", 0,
	  "Of clients that have not chosen one", 2 },
	{ "total-memory-limit", KEY_SETTING + CONFIG_TOTAL_LIMIT, "SIZE", 0,
	  "Of all clients of a cgroup together", 2 },
	{ "limit-policy", KEY_SETTING + CONFIG_LIMIT_POLICY, "POLICY", 0, "continue or fail-fast",
	  2 },
	{ "log-level", KEY_SETTING + CONFIG_LOG_LEVEL, "LEVEL", 0, "error, warning, info or debug",
	  2 },
	{ "marker", KEY_SETTING + CONFIG_MARKER, "WHOSE", 0,
	  "own: a process that the client starts marks its heap; shared: this one", 2 },
	{ "on-kill", KEY_SETTING + CONFIG_ON_KILL, "DIR", 0,
	  "Write a file to DIR that says what the heap of a killed program held, or off", 2 },
	{ "private", 'p', "FD", 0, "Serve the one client at descriptor FD, and end with it", 3 },
	{ "no-control", KEY_NO_CONTROL, NULL, 0, "With --private: tricolor(1) can't ask", 3 },
	{ "until", KEY_UNTIL, "FD", 0, "End when FD is at its end and no client is left", 3 },
	{ 0 },
};

static int descriptor(struct argp_state *state, const char *text)
{
	char *end;
	long n = strtol(text, &end, 10);

	if (*end || end == text || n < 0 || n > 65536)
		argp_error(state, "%s is no descriptor", text);
	return (int)n;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case 'c':
		o->config = arg;
		return 0;
	case KEY_DRY_RUN:
		o->dry_run = true;
		return 0;
	case KEY_NO_CONTROL:
		o->no_control = true;
		return 0;
	case 'p':
		o->private_fd = descriptor(state, arg);
		return 0;
	case KEY_UNTIL:
		o->until_fd = descriptor(state, arg);
		return 0;
	case 's':
		o->settings[CONFIG_SOCKET] = arg;
		return 0;
	case 'w':
		o->settings[CONFIG_WORKERS] = arg;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "there are no arguments beside the options: %s", arg);
		return 0;
	}
	if (key >= KEY_SETTING && key < KEY_SETTING + CONFIG_KEYS) {
		o->settings[key - KEY_SETTING] = arg;
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	argp_options, parse_option, NULL,
	"Collect the heaps of programs that use libtricolor: see tricolord(8).", NULL, NULL, NULL,
};

/*
 * Make the path of an option absolute, since the working directory may be another one when the path
 * is used.
 */
static void absolute(struct options *o, enum config_key key, char *path, size_t room)
{
	const char *given = o->settings[key];
	size_t n;

	if (!given || *given == '/' || !getcwd(path, room))
		return;
	n = strlen(path);
	snprintf(path + n, room - n, "/%s", given);
	o->settings[key] = path;
}

void options_parse(struct options *o, int argc, char **argv)
{
	static char socket[4096], on_kill[4096];

	*o = (struct options){ .private_fd = -1, .until_fd = -1 };
	argp_parse(&argp, argc, argv, 0, NULL, o);
	absolute(o, CONFIG_SOCKET, socket, sizeof(socket));
	if (o->settings[CONFIG_ON_KILL] && strcmp(o->settings[CONFIG_ON_KILL], "off"))
		absolute(o, CONFIG_ON_KILL, on_kill, sizeof(on_kill));
}

/*
 * Take the settings that a program leaves in the environment of its own collector.  A mistake is
 * logged, and the heap is collected nevertheless.
 */
static void take_environment(struct config *c)
{
	const char *dir = getenv("TRICOLOR_ON_KILL");

	if (dir && *dir)
		config_set(c, names[CONFIG_ON_KILL], dir, "TRICOLOR_ON_KILL");
}

bool options_config(const struct options *o, struct config *c)
{
	bool ok = true;
	int i;

	config_defaults(c);
	/* A private collector takes the settings of its client, and no files. */
	if (o->private_fd < 0)
		ok = config_read(c, o->config ? o->config : CONFIG_FILE, !o->config);
	else
		take_environment(c);
	for (i = 0; i < CONFIG_KEYS; i++)
		if (o->settings[i] && !config_set(c, names[i], o->settings[i], "command line"))
			ok = false;
	return ok;
}
