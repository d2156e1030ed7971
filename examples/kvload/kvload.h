/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvload - a load for kvcache, or another server of memcached's text protocol
 *
 * Each thread has some of the connections, each of which has one request under way.  The value of a
 * key is known: its length and its bytes are made from the key's number.  So each answer is checked
 * in full.
 *
 *	client.c	one connection: make a request, take the answer in, check it
 *	drive.c		the threads
 *	options.c, main.c
 *
 * It is bounded in time and in requests, and connects to the same machine only.
 */
#ifndef KVLOAD_H
#define KVLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/latency.h"

#define VALUE_BYTES_TOP	(1u << 20)
#define ANSWER_SECONDS	30	/* a server that sends nothing for this time has failed */
#define FILL_SECONDS	600	/* to set each key once; the load begins then in any case */

struct config {
	const char *address;
	uint16_t port;
	const char *path;	/* of a socket in the file system, in place of both; NULL: none */
	uint32_t connections;
	uint32_t threads;
	uint32_t seconds;
	uint64_t operations;	/* of all connections; 0: until the time is over */
	uint32_t keys;
	uint32_t value_least;
	uint32_t value_most;
	uint32_t set_percent;
	uint32_t expire_seconds;	/* of what is set; 0: never */
	uint64_t seed;
	bool fill;		/* set each key once before the load begins */
};

extern const struct config *config;

uint64_t now_ns(void);
/* 32 random bits. */
uint64_t next_random(uint64_t *state);

/*
 * ---- connections ------------------------------------------------------------------------------
 */

struct results {
	uint64_t operations;
	uint64_t hits;
	uint64_t misses;
	uint64_t refused;	/* requests that the server refused in words */
	uint64_t wrong;		/* answers that are not what was stored, or that make no sense */
	struct latency latency;
};

/* A thread owns it. */
struct client {
	int fd;
	uint64_t random;
	uint32_t key;		/* of the request that is under way */
	bool sets;
	uint64_t asked_ns;
	char *out;		/* the request: its line, the value */
	uint32_t out_length;
	uint32_t out_sent;
	char *in;		/* the answer */
	uint32_t in_length;
};

/* Make the text that values are cut from. */
void values_init(void);

/* Returns 0 or -errno. */
int client_open(struct client *client, uint64_t seed);
void client_close(struct client *client);
/* Make the next request, and send what goes out at once.  Returns 0 or -errno. */
int client_ask(struct client *client, uint32_t key, bool sets);
/*
 * The socket is ready: go on.  Returns 1 when the answer is complete and counted, 0 if more is
 * needed, or -errno; -EPROTO after an answer that was wrong.
 */
int client_go_on(struct client *client, struct results *results);
/* Whether it waits until the socket takes more. */
bool client_is_sending(const struct client *client);

/*
 * ---- threads ----------------------------------------------------------------------------------
 */

/*
 * Run the load, and set @took_ns to the time that it took.  Returns 0, or -errno after a message.
 */
int drive(struct results *sum, uint64_t *took_ns);

/* Fill in @config from the command line.  An invalid command line ends the program. */
void options_parse(int argc, char **argv, struct config *config);

#endif
