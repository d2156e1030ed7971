// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * client.c - one connection: make a request, take the answer in, check it
 *
 * All values are cut from one text, whose period is longer than any of them.  The place where a
 * value starts depends on its key.  So a value of another key, or a part that was overwritten, is
 * noticed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "kvload.h"

#define LINE_BYTES_MAX	128u
#define STARTS		65521u	/* places where values start */

static char values[STARTS + VALUE_BYTES_TOP];

uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return (*state ^ *state >> 33) * 0x9e3779b97f4a7c15ull >> 32;
}

void values_init(void)
{
	uint64_t state = 1;

	for (size_t i = 0; i < sizeof(values); i++)
		values[i] = (char)('!' + next_random(&state) % 94);
}

static uint32_t value_length(uint32_t key)
{
	return config->value_least +
	       (key * 2654435761u >> 8) % (config->value_most - config->value_least + 1);
}

static const char *value_of(uint32_t key)
{
	return values + key * 40503u % STARTS;
}

/*
 * ---- open, close ------------------------------------------------------------------------------
 */

static int connect_path(int fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (strlen(config->path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, config->path);
	return connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -errno : 0;
}

static int connect_port(int fd, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET, .sin_port = htons(config->port) };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6, .sin6_port = htons(config->port) };
	int err, one = 1;

	inet_pton(AF_INET, config->address, &v4.sin_addr);
	inet_pton(AF_INET6, config->address, &v6.sin6_addr);
	if (family == AF_INET)
		err = connect(fd, (struct sockaddr *)&v4, sizeof(v4));
	else
		err = connect(fd, (struct sockaddr *)&v6, sizeof(v6));
	if (err)
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return 0;
}

int client_open(struct client *client, uint64_t seed)
{
	int family = config->path		  ? AF_UNIX :
		     strchr(config->address, ':') ? AF_INET6 :
						    AF_INET,
	    err;

	memset(client, 0, sizeof(*client));
	client->random = seed * 0x9e3779b97f4a7c15ull + 1;
	client->out = malloc(LINE_BYTES_MAX + config->value_most + 2);
	client->in = malloc(LINE_BYTES_MAX + config->value_most + 2);
	client->fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0)
		err = -errno;
	else if (!client->out || !client->in)
		err = -ENOMEM;
	else
		err = config->path ? connect_path(client->fd) : connect_port(client->fd, family);
	if (err)
		client_close(client);
	return err;
}

void client_close(struct client *client)
{
	if (client->fd >= 0)
		close(client->fd);
	client->fd = -1;
	free(client->out);
	free(client->in);
	client->out = client->in = NULL;
}

/*
 * ---- ask --------------------------------------------------------------------------------------
 */

static int push(struct client *client)
{
	while (client->out_sent < client->out_length) {
		ssize_t sent =
			send(client->fd, client->out + client->out_sent,
			     client->out_length - client->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EAGAIN ? 0 : -errno;
		client->out_sent += (uint32_t)sent;
	}
	return 0;
}

bool client_is_sending(const struct client *client)
{
	return client->out_sent < client->out_length;
}

int client_ask(struct client *client, uint32_t key, bool sets)
{
	uint32_t length = value_length(key);

	client->key = key;
	client->sets = sets;
	client->out_sent = 0;
	client->in_length = 0;
	if (client->sets) {
		client->out_length =
			(uint32_t)snprintf(client->out, LINE_BYTES_MAX, "set key:%u 0 %u %u\r\n",
					   key, config->expire_seconds, length);
		memcpy(client->out + client->out_length, value_of(key), length);
		memcpy(client->out + client->out_length + length, "\r\n", 2);
		client->out_length += length + 2;
	} else {
		client->out_length =
			(uint32_t)snprintf(client->out, LINE_BYTES_MAX, "get key:%u\r\n", key);
	}
	client->asked_ns = now_ns();
	return push(client);
}

/*
 * ---- the answer -------------------------------------------------------------------------------
 */

static bool starts(const struct client *client, const char *with)
{
	return client->in_length >= strlen(with) && !memcmp(client->in, with, strlen(with));
}

static bool is(const struct client *client, const char *answer)
{
	return client->in_length == strlen(answer) && starts(client, answer);
}

/* A line by which the server refuses a request. */
static bool is_refusal(const struct client *client)
{
	return starts(client, "SERVER_ERROR ") && client->in[client->in_length - 1] == '\n';
}

static uint32_t expected_length(const struct client *client, char *line)
{
	uint32_t length = value_length(client->key);

	return (uint32_t)snprintf(line, LINE_BYTES_MAX, "VALUE key:%u 0 %u\r\n", client->key,
				  length) +
	       length + (uint32_t)strlen("\r\nEND\r\n");
}

static bool is_right_value(const struct client *client, const char *line)
{
	uint32_t length = value_length(client->key), at = (uint32_t)strlen(line);

	return starts(client, line) && !memcmp(client->in + at, value_of(client->key), length) &&
	       !memcmp(client->in + at + length, "\r\nEND\r\n", 7);
}

/* Returns 1 if the answer is complete, 0 if not, or -EPROTO. */
static int judge_get(struct client *client, struct results *results)
{
	char line[LINE_BYTES_MAX];
	uint32_t length = expected_length(client, line);
	uint32_t known =
		client->in_length < strlen(line) ? client->in_length : (uint32_t)strlen(line);

	if (is(client, "END\r\n")) {
		results->misses++;
		return 1;
	}
	if (client->in_length < length)
		return !memcmp(client->in, line, known) || !memcmp(client->in, "END\r\n", known) ?
			       0 :
			       -EPROTO;
	if (client->in_length > length || !is_right_value(client, line))
		return -EPROTO;
	results->hits++;
	return 1;
}

static int judge_set(const struct client *client)
{
	static const char stored[] = "STORED\r\n";

	if (is(client, stored))
		return 1;
	return client->in_length < strlen(stored) &&
			       !memcmp(client->in, stored, client->in_length) ?
		       0 :
		       -EPROTO;
}

static int judge(struct client *client, struct results *results)
{
	static const char error[] = "SERVER_ERROR ";
	size_t known = client->in_length < strlen(error) ? client->in_length : strlen(error);

	if (is_refusal(client)) {
		results->refused++;
		return 1;
	}
	/*
	 * All words that may come have different first letters, except that STORED and this one
	 * begin with the same letter.
	 */
	if (!memcmp(client->in, error, known))
		return 0;
	return client->sets ? judge_set(client) : judge_get(client, results);
}

static int receive(struct client *client)
{
	uint32_t room = LINE_BYTES_MAX + config->value_most + 2 - client->in_length;
	ssize_t got;

	if (!room)
		return -EPROTO;
	got = recv(client->fd, client->in + client->in_length, room, MSG_DONTWAIT);
	if (got < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!got)
		return -ECONNRESET;
	client->in_length += (uint32_t)got;
	return 1;
}

int client_go_on(struct client *client, struct results *results)
{
	int err = push(client), outcome;

	if (err)
		return err;
	outcome = receive(client);
	if (outcome <= 0)
		return outcome;
	outcome = judge(client, results);
	if (outcome < 0)
		results->wrong++;
	if (outcome == 1) {
		latency_add(&results->latency, now_ns() - client->asked_ns);
		results->operations++;
	}
	return outcome;
}
