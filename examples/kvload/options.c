// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * options.c - the command line
 */
#include <argp.h>
#include <arpa/inet.h>
#include <stdio.h>

#include "common/arguments.h"
#include "kvload.h"

enum { OPT_VALUE_SIZE = 256, OPT_SET, OPT_EXPIRE, OPT_SEED, OPT_FILL };

static const struct argp_option options[] = {
	{ "address", 'a', "ADDRESS", 0, "The server's address, of this machine (default 127.0.0.1)",
	  0 },
	{ "port", 'p', "N", 0, "and port (default 11211)", 0 },
	{ "unix", 'u', "PATH", 0, "The server's socket in the file system instead", 0 },
	{ "connections", 'c', "N", 0, "Connections (default 16)", 0 },
	{ "threads", 't', "N", 0, "Threads that drive them (default 2)", 0 },
	{ "seconds", 's', "N", 0, "End after N seconds (default 5)", 0 },
	{ "operations", 'n', "N", 0, "or after N requests, if that is sooner", 0 },
	{ "keys", 'k', "N", 0, "Keys (default 60000)", 0 },
	{ "value-size", OPT_VALUE_SIZE, "LEAST-MOST", 0, "Bytes of a value (default 100-1600)", 0 },
	{ "set", OPT_SET, "PERCENT", 0, "Requests that are a set; the rest is a get (default 30)",
	  0 },
	{ "expire", OPT_EXPIRE, "SECONDS", 0, "What is set expires then (default 0, never)", 0 },
	{ "fill", OPT_FILL, NULL, 0, "Set each key once before the load begins", 0 },
	{ "seed", OPT_SEED, "N", 0, "Seed of everything random (default 1)", 0 },
	{ 0 },
};

static void value_size(struct argp_state *state, struct config *config, const char *arg)
{
	unsigned int least, most;
	char rest;

	if (sscanf(arg, "%u-%u%c", &least, &most, &rest) != 2 || least > most ||
	    most > VALUE_BYTES_TOP)
		argp_error(state,
			   "the size of a value must be such as 100-1600, at most %u, not '%s'",
			   VALUE_BYTES_TOP, arg);
	config->value_least = least;
	config->value_most = most;
}

/* The load may be run on one's own machine only. */
static const char *loopback(struct argp_state *state, const char *arg)
{
	struct in6_addr v6;
	struct in_addr v4;

	if (inet_pton(AF_INET, arg, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127)
		return arg;
	if (inet_pton(AF_INET6, arg, &v6) != 1 || !IN6_IS_ADDR_LOOPBACK(&v6))
		argp_error(state, "the address must be of this machine, 127.0.0.1 or ::1, not '%s'",
			   arg);
	return arg;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct config *config = state->input;

	switch (key) {
	case 'a':
		config->address = loopback(state, arg);
		break;
	case 'p':
		config->port = (uint16_t)argument_number(state, "the port", arg, 1, UINT16_MAX);
		break;
	case 'u':
		config->path = arg;
		break;
	case 'c':
		config->connections =
			(uint32_t)argument_number(state, "the connections", arg, 1, 10000);
		break;
	case 't':
		config->threads = (uint32_t)argument_number(state, "the threads", arg, 1, 256);
		break;
	case 's':
		config->seconds = (uint32_t)argument_number(state, "the seconds", arg, 1, 3600);
		break;
	case 'n':
		config->operations = argument_number(state, "the operations", arg, 1, UINT32_MAX);
		break;
	case 'k':
		config->keys = (uint32_t)argument_number(state, "the keys", arg, 1, 100000000);
		break;
	case OPT_VALUE_SIZE:
		value_size(state, config, arg);
		break;
	case OPT_SET:
		config->set_percent = (uint32_t)argument_number(state, "the sets", arg, 0, 100);
		break;
	case OPT_EXPIRE:
		config->expire_seconds =
			(uint32_t)argument_number(state, "the expiry", arg, 0, 2592000);
		break;
	case OPT_SEED:
		config->seed = argument_number(state, "the seed", arg, 0, UINT32_MAX);
		break;
	case OPT_FILL:
		config->fill = true;
		break;
	case ARGP_KEY_ARG:
		argp_error(state, "takes no argument '%s'", arg);
		break;
	case ARGP_KEY_END:
		if (config->threads > config->connections)
			config->threads = config->connections;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	.options = options,
	.parser = parse_option,
	.doc = "kvload -- a load for kvcache, whose answers it checks"
	       "\vThe exit status is 0 if all went well, 1 after a wrong answer, 2 if the server could not "
	       "be reached or was lost.",
};

void options_parse(int argc, char **argv, struct config *config)
{
	*config = (struct config){
		.address = "127.0.0.1",
		.port = 11211,
		.connections = 16,
		.threads = 2,
		.seconds = 5,
		.keys = 60000,
		.value_least = 100,
		.value_most = 1600,
		.set_percent = 30,
		.seed = 1,
	};
	argp_parse(&argp, argc, argv, 0, NULL, config);
}
