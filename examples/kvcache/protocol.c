// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * protocol.c - what a line of a client asks for
 *
 *	get KEY...				VALUE KEY FLAGS LENGTH, the value, for each; END
 *	set KEY FLAGS SECONDS LENGTH [noreply]	and the value in the next line: STORED
 *	delete KEY [noreply]			DELETED, NOT_FOUND
 *	stats					STAT NAME VALUE ...; END
 *	version, quit
 *
 * SECONDS is 0 for never, up to 30 days from now, or a time of day since 1970 beyond that; a
 * negative one has passed already.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "kvcache.h"

#define RELATIVE_SECONDS_MAX (30 * 24 * 3600l)
#define STATS_BYTES_MAX	2048u

static const struct text end = CONSTANT("END\r\n");
static const struct text no_memory = CONSTANT("SERVER_ERROR out of memory\r\n");

static bool is_key(const char *key)
{
	size_t length = strlen(key);

	if (!length || length > KEY_BYTES_MAX)
		return false;
	for (; *key; key++)
		if (iscntrl((unsigned char)*key))
			return false;
	return true;
}

/* Whether @word is a whole number from @least to @most. */
static bool is_number(const char *word, long long least, long long most, long long *number)
{
	char *rest;

	if (!word || isspace((unsigned char)*word))
		return false;
	errno = 0;
	*number = strtoll(word, &rest, 10);
	return !errno && rest != word && !*rest && *number >= least && *number <= most;
}

static void bad_request(struct conn *conn)
{
	conn_reply(conn, CONSTANT("CLIENT_ERROR bad command line format\r\n"));
}

static void reply_unless(struct conn *conn, bool quiet, struct text text)
{
	if (!quiet)
		conn_reply(conn, text);
}

/*
 * ---- get --------------------------------------------------------------------------------------
 */

static void do_get(struct conn *conn, char **rest)
{
	unsigned int keys = 0;
	struct text text;
	char *key;

	while ((key = strtok_r(NULL, " ", rest))) {
		if (!is_key(key) || ++keys > GET_KEYS_MAX)
			break;
		if (store_get(key, strlen(key), &text))
			conn_reply(conn, text);
	}
	if (key || !keys) {
		/*
		 * Some values may have been sent already, so the only clear answer is to end the
		 * connection.
		 */
		bad_request(conn);
		conn->closing = true;
		return;
	}
	conn_reply(conn, end);
}

/*
 * ---- set, delete ------------------------------------------------------------------------------
 */

static uint32_t expiry(long long seconds)
{
	long long now = now_seconds();

	if (!seconds)
		return 0;
	if (seconds > RELATIVE_SECONDS_MAX)
		seconds -= time(NULL);
	if (seconds <= 0)
		return 1;
	return now + seconds < UINT32_MAX ? (uint32_t)(now + seconds) : 0;
}

static void do_set(struct conn *conn, char **rest)
{
	const char *key = strtok_r(NULL, " ", rest), *word[3], *noreply;
	long long flags, seconds, length;
	struct entry *entry;
	uint64_t began_ns;

	for (int i = 0; i < 3; i++)
		word[i] = strtok_r(NULL, " ", rest);
	noreply = strtok_r(NULL, " ", rest);
	conn->quiet = noreply && !strcmp(noreply, "noreply");
	if (!key || !is_number(word[0], 0, UINT32_MAX, &flags) ||
	    !is_number(word[1], INT32_MIN, UINT32_MAX, &seconds) ||
	    !is_number(word[2], 0, VALUE_BYTES_TOP, &length)) {
		/* The length of the value that follows is not known. */
		bad_request(conn);
		conn->closing = true;
		return;
	}
	if (!is_key(key) || length > config->value_bytes_max) {
		conn->skip = (uint64_t)length + 2;
		conn_reply(conn, is_key(key) ?
					 CONSTANT("SERVER_ERROR object too large for cache\r\n") :
					 CONSTANT("CLIENT_ERROR bad key\r\n"));
		return;
	}
	began_ns = timing_begin();
	entry = entry_new(key, strlen(key), (uint32_t)flags, (uint32_t)length, expiry(seconds));
	timing_end(began_ns);
	if (!entry) {
		conn->skip = (uint64_t)length + 2;
		conn_reply(conn, no_memory);
		return;
	}
	conn->filled = entry->value_at;
	tri_store(&conn->filling, entry);
}

void protocol_filled(struct conn *conn)
{
	struct entry *entry = conn->filling;

	tri_store(&conn->filling, NULL);
	if (memcmp(entry->text + entry->text_length - 2, "\r\n", 2)) {
		/* The length was wrong, so where the next request starts is not known. */
		conn_reply(conn, CONSTANT("CLIENT_ERROR bad data chunk\r\n"));
		conn->closing = true;
		return;
	}
	store_put(entry);
	reply_unless(conn, conn->quiet, CONSTANT("STORED\r\n"));
}

static void do_delete(struct conn *conn, char **rest)
{
	const char *key = strtok_r(NULL, " ", rest), *noreply = strtok_r(NULL, " ", rest);
	bool found;

	if (!key || !is_key(key)) {
		bad_request(conn);
		return;
	}
	found = store_delete(key, strlen(key));
	reply_unless(conn, noreply && !strcmp(noreply, "noreply"),
		     found ? CONSTANT("DELETED\r\n") : CONSTANT("NOT_FOUND\r\n"));
}

/*
 * ---- stats ------------------------------------------------------------------------------------
 */

struct stats {
	char *bytes;
	uint32_t length;
};

static void stat(struct stats *stats, const char *name, uint64_t value)
{
	stats->length += (uint32_t)snprintf(stats->bytes + stats->length,
					    STATS_BYTES_MAX - stats->length, "STAT %s %llu\r\n",
					    name, (unsigned long long)value);
}

static void stat_server(struct stats *stats)
{
	struct server_figures server;
	struct store_figures store;

	workers_read(&server);
	store_read(&store);
	stat(stats, "pid", (uint64_t)getpid());
	stat(stats, "threads", config->threads);
	stat(stats, "curr_connections", server.connected);
	stat(stats, "total_connections", server.accepted);
	stat(stats, "rejected_connections", server.turned_away);
	stat(stats, "get_hits", store.hits);
	stat(stats, "get_misses", store.misses);
	stat(stats, "cmd_set", store.sets);
	stat(stats, "delete_hits", store.deletes);
	stat(stats, "evictions", store.evicted);
	stat(stats, "expired", store.expired);
	stat(stats, "curr_items", store.items);
	stat(stats, "bytes", store.bytes);
	stat(stats, "limit_maxbytes", config->memory_bytes);
}

static void stat_heap(struct stats *stats)
{
	struct tri_stats heap = { .size = sizeof(heap) };

	if (tri_read_stats(&heap))
		return;
	stat(stats, "heap_bytes", heap.heap_bytes);
	stat(stats, "heap_peak_bytes", heap.peak_heap_bytes);
	stat(stats, "heap_live_bytes", heap.live_bytes);
	stat(stats, "heap_goal_bytes", heap.goal_bytes);
	stat(stats, "heap_limit_bytes", heap.limit_bytes);
	stat(stats, "heap_pressure", heap.pressure);
	stat(stats, "gc_cycles", heap.cycles);
	stat(stats, "gc_interruption_max_us", heap.interruption_max_ns / 1000);
	stat(stats, "gc_collector_pid", heap.collector_pid);
	stat(stats, "gc_reconnects", heap.reconnects);
}

static void do_stats(struct conn *conn, char **rest)
{
	struct stats stats = { .bytes = tri_alloc_leaf(STATS_BYTES_MAX) };

	if (strtok_r(NULL, " ", rest)) {
		bad_request(conn);
		return;
	}
	if (!stats.bytes) {
		conn_reply(conn, no_memory);
		return;
	}
	stat_server(&stats);
	stat_heap(&stats);
	conn_reply(conn, (struct text){ stats.bytes, stats.length });
	conn_reply(conn, end);
}

/*
 * ---- the rest ---------------------------------------------------------------------------------
 */

static void do_version(struct conn *conn, char **rest)
{
	(void)rest;
	conn_reply(conn, CONSTANT("VERSION kvcache\r\n"));
}

static void do_quit(struct conn *conn, char **rest)
{
	(void)rest;
	conn->closing = true;
}

void protocol_line(struct conn *conn, char *line)
{
	static const struct {
		const char *name;
		void (*run)(struct conn *conn, char **rest);
	} command[] = {
		{ "get", do_get },     { "set", do_set },	  { "delete", do_delete },
		{ "stats", do_stats }, { "version", do_version }, { "quit", do_quit },
	};
	char *rest, *name = strtok_r(line, " ", &rest);

	for (size_t i = 0; name && i < sizeof(command) / sizeof(command[0]); i++)
		if (!strcmp(name, command[i].name)) {
			command[i].run(conn, &rest);
			return;
		}
	conn_reply(conn, CONSTANT("ERROR\r\n"));
}
