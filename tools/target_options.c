// SPDX-License-Identifier: GPL-2.0-only
/* target_options.c - see target_options.h */
#include "target_options.h"

#include "command.h"

#define SOCKET_AND_JSON							\
	{ "socket", 's', "PATH", 0, "Ask only the collector that listens at PATH", 0 }, \
	{ "json", 'j', NULL, 0, "Print JSON", 0 }

static const struct argp_option argp_options[] = {
	SOCKET_AND_JSON,
	{ 0 },
};

static const struct argp_option waiting_options[] = {
	SOCKET_AND_JSON,
	{ "wait", 'w', NULL, 0,
	  "With memory-limit: make room first, and answer when the heap fits, or can't", 0 },
	{ 0 },
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct target_options *o = state->input;

	switch (key) {
	case 's':
		o->socket = arg;
		return 0;
	case 'j':
		o->json = true;
		return 0;
	case 'w':
		o->wait = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->given == o->wanted)
			argp_error(state, "too many arguments: %s", arg);
		o->arguments[o->given++] = arg;
		return 0;
	case ARGP_KEY_END:
		if (o->given < o->wanted)
			argp_error(state, "too few arguments");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

void target_options_parse(struct target_options *o, unsigned int wanted, const char *usage,
			  const char *doc, int argc, char **argv)
{
	struct argp argp = { o->may_wait ? waiting_options : argp_options, parse_option, usage, doc,
			     NULL, NULL, NULL };

	*o = (struct target_options){ .wanted = wanted };
	argp_parse(&argp, argc, argv, 0, NULL, o);
}
