// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * options.c - the command line
 */
#include <argp.h>
#include <arpa/inet.h>

#include "common/arguments.h"
#include "options.h"

#define VALUES_LEAST 4u

enum { OPT_VALUE_SIZE = 256, OPT_SHED, OPT_TIMING };

static const struct argp_option options[] = {
	{ "address", 'a', "ADDRESS", 0, "Listen on ADDRESS, IPv4 or IPv6 (default 127.0.0.1)", 0 },
	{ "port", 'p', "N", 0, "and port N; 0: one that is free (default 11211)", 0 },
	{ "unix", 'u', "PATH", 0, "Listen on a socket at PATH instead", 0 },
	{ "memory", 'm', "SIZE", 0, "Bytes of entries, with a suffix KiB, MiB or GiB or without "
	  "(default 64MiB)", 0 },
	{ "value-size", OPT_VALUE_SIZE, "SIZE", 0, "Largest value (default 1MiB)", 0 },
	{ "threads", 't', "N", 0, "Threads that serve (default 4)", 0 },
	{ "connections", 'c', "N", 0, "Connections at a time (default 1024)", 0 },
	{ "shed", OPT_SHED, NULL, 0, "Drop a tenth of the entries whenever the heap comes near its "
	  "memory limit", 0 },
	{ "timing", OPT_TIMING, NULL, 0, "Tell at the end how long allocations took", 0 },
	{ 0 },
};

static const char *address(struct argp_state *state, const char *arg)
{
	unsigned char binary[sizeof(struct in6_addr)];

	if (inet_pton(AF_INET, arg, binary) != 1 && inet_pton(AF_INET6, arg, binary) != 1)
		argp_error(state, "the address must be a number such as 127.0.0.1 or ::1, not '%s'",
			   arg);
	return arg;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct config *config = state->input;

	switch (key) {
	case 'a':
		config->address = address(state, arg);
		break;
	case 'p':
		config->port = (uint16_t)argument_number(state, "the port", arg, 0, UINT16_MAX);
		break;
	case 'u':
		config->path = arg;
		break;
	case 'm':
		config->memory_bytes = argument_size(state, "the memory", arg, 1ull << 40);
		break;
	case OPT_VALUE_SIZE:
		config->value_bytes_max =
			(uint32_t)argument_size(state, "a value", arg, VALUE_BYTES_TOP);
		break;
	case 't':
		config->threads = (uint32_t)argument_number(state, "the threads", arg, 1, 256);
		break;
	case 'c':
		config->connections =
			(uint32_t)argument_number(state, "the connections", arg, 1, 1000000);
		break;
	case OPT_SHED:
		config->shed = true;
		break;
	case OPT_TIMING:
		config->timing = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "takes no argument '%s'", arg);
		break;
	case ARGP_KEY_END:
		if (config->memory_bytes / VALUES_LEAST < config->value_bytes_max)
			argp_error(state,
				   "the memory must have room for %u of the largest values: set a "
				   "smaller --value-size",
				   VALUES_LEAST);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "kvcache -- a cache server, by memcached's text protocol, on a collected heap"
	       "\vSIGTERM and SIGINT end it.  tricolor(7) names the variables that set up the heap.",
};

void options_parse(int argc, char **argv, struct config *config)
{
	*config = (struct config){
		.address = "127.0.0.1",
		.port = 11211,
		.memory_bytes = 64u << 20,
		.value_bytes_max = 1u << 20,
		.threads = 4,
		.connections = 1024,
	};
	argp_parse(&argp, argc, argv, 0, NULL, config);
}
