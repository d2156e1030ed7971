/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kvcache - a cache server whose entries live on the collected heap
 *
 * It speaks the part of memcached's text protocol that a cache needs: get, set, delete, stats,
 * version and quit.  Entries expire at the time that a client gives them, and the least recently
 * used ones make room when the cache is full.
 *
 *	store.c		entries: a hash table and a list by last use in each of its shards, under a
 *			lock
 *	entry.c		one entry, and its text as a reply sends it
 *	conn.c		one connection: bytes in, replies out
 *	protocol.c	what a line asks for
 *	worker.c	threads, each with an epoll set of its own
 *	listen.c	the socket that clients connect to
 *	timing.c	how long entries took to be allocated
 *	options.c, main.c
 *
 * The collected heap helps as follows.  A reply is the entry's own text, not a copy.  The lock of
 * the shard is held for the look-up only.  An entry that is replaced, evicted or expires while a
 * slow client still receives it needs no reference count: it is freed when the last pointer to it
 * has gone.
 *
 * Everything is bounded: the bytes of entries, the connections, and what one connection may have
 * waiting to be sent.
 *
 * Contract with the collector: each pointer that is stored into an object or a global goes through
 * tri_store().  epoll's data is no root, so a table holds the connections.
 */
#ifndef KVCACHE_H
#define KVCACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <tricolor.h>

#define KEY_BYTES_MAX	250u		/* as memcached's */
#define LINE_BYTES_MAX	2048u		/* of a request's first line */
#define GET_KEYS_MAX	32u		/* in one get */
#define REAP_ROUND	32u		/* calls of store_reap() that see the whole store */
#define PARTS_MAX	64u		/* pieces of replies that wait to be sent, in each
					 * connection */
#define VALUE_BYTES_TOP	(64u << 20)	/* what --value-size may be at most */

struct config {
	const char *address;	/* numeric, IPv4 or IPv6 */
	uint16_t port;		/* 0: any that is free */
	const char *path;	/* of a socket in the file system, in place of both; NULL: none */
	uint64_t memory_bytes;	/* of entries, see entry_new() */
	uint32_t value_bytes_max;
	uint32_t threads;
	uint32_t connections;
	bool shed;		/* drop entries when the heap is near its memory limit */
	bool timing;		/* of allocations */
};

extern const struct config *config;

/*
 * ---- time: whole seconds, of a clock that nobody sets -----------------------------------------
 */

/* Never 0. */
uint32_t now_seconds(void);

/*
 * ---- entries ------------------------------------------------------------------------------------
 */

/* Bytes to send.  @bytes may point into an object of the heap, or at a constant. */
struct text {
	const char *bytes;
	uint32_t length;
};

/*
 * A key and its value.  The text is immutable once the entry is in the store.  The links belong to
 * the store, under the lock of the shard.
 */
struct entry {
	struct entry *chain;	/* next in the bucket */
	struct entry *newer;	/* by last use */
	struct entry *older;
	char *text;		/* leaf: "VALUE KEY FLAGS LENGTH\r\n", the value, "\r\n" */
	uint64_t hash;
	uint32_t text_length;
	uint32_t value_at;	/* offset in @text */
	uint32_t bytes;		/* that the entry takes on the heap */
	uint32_t expires;	/* as now_seconds(); 0: never */
	uint16_t key_length;
	uint16_t unused[3];
};

/*
 * An entry with room for a value of @value_length bytes, which the caller reads into it from offset
 * @value_at on, with the two bytes after it.  NULL: no memory.
 */
struct entry *entry_new(const char *key, size_t key_length, uint32_t flags, uint32_t value_length,
			uint32_t expires);
const char *entry_key(const struct entry *entry);

/*
 * ---- times of allocations: nothing but with --timing
 * ---------------------------------------------
 */

/* Call this before entry_new(), and give its result to timing_end() after entry_new(). */
uint64_t timing_begin(void);
void timing_end(uint64_t began_ns);
/* Print them.  The workers have ended. */
void timing_report(void);

/*
 * ---- the store --------------------------------------------------------------------------------
 */

struct store_figures {
	uint64_t items;
	uint64_t bytes;
	uint64_t hits;
	uint64_t misses;
	uint64_t sets;
	uint64_t deletes;
	uint64_t evicted;
	uint64_t expired;
};

/* Make an empty store for @bytes of entries.  Returns 0 or -errno. */
int store_init(uint64_t bytes);
/* Put @entry in, in place of one that has the same key. */
void store_put(struct entry *entry);
/* Returns false if there is none. */
bool store_get(const char *key, size_t key_length, struct text *text);
bool store_delete(const char *key, size_t key_length);
/* Drop expired entries in the next part of the store; see REAP_ROUND. */
void store_reap(void);
/* Drop a tenth of the entries, those that were not used for longest. */
void store_shed(void);
void store_read(struct store_figures *figures);

/*
 * ---- connections ------------------------------------------------------------------------------
 */

/*
 * One client.  A worker owns it, and no other thread looks at it.
 *
 * Replies are a ring of parts.  A line is looked at only when the ring has room for the longest
 * reply to it, so a client that does not read its replies is not read from.
 */
struct conn {
	struct entry *filling;		/* a set whose value is being received, or NULL */
	const char *part[PARTS_MAX];	/* ring of replies; entries' texts, or constants */
	uint32_t part_length[PARTS_MAX];
	uint32_t first;			/* the part that is being sent */
	uint32_t parts;			/* how many parts wait to be sent */
	uint32_t sent;			/* bytes of the first one that are sent */
	uint32_t filled;		/* bytes of @filling's text that are there */
	uint64_t skip;			/* bytes that are still to come of a value that is not
					 * wanted */
	int fd;
	uint32_t events;		/* that epoll is asked for */
	uint32_t in_length;
	bool quiet;			/* noreply: of the set that is being received */
	bool closing;			/* no more requests: close when all is sent */
	bool ended;			/* the client sends nothing more */
	char in[LINE_BYTES_MAX];	/* received and not yet looked at */
};

/* Returns NULL if there is no memory. */
struct conn *conn_new(int fd);
/* Go on with a connection that is ready.  Returns false if it is over. */
bool conn_serve(struct conn *conn);
/* Append to the replies.  The caller knows that the ring has room. */
void conn_reply(struct conn *conn, struct text text);
static inline bool conn_has_room(const struct conn *conn)
{
	return conn->parts + GET_KEYS_MAX + 1 <= PARTS_MAX;
}

#define CONSTANT(string) ((struct text){ (string), sizeof(string) - 1 })

/*
 * Execute the request in the line @line, which is terminated and has no line end.  It may begin a
 * set: then @filling or @skip says how many bytes follow.
 */
void protocol_line(struct conn *conn, char *line);
/* The value of @filling is complete. */
void protocol_filled(struct conn *conn);

/*
 * ---- threads ----------------------------------------------------------------------------------
 */

struct server_figures {
	uint32_t connected;
	uint64_t accepted;
	uint64_t turned_away;
};

/*
 * Open the socket to accept from, and print its address.  Returns -1 after a message if that fails.
 */
int listen_open(void);
/* Remove what listen_open() left in the file system. */
void listen_remove(void);

/* Start the workers.  Returns 0 or -errno. */
int workers_start(int listener);
/* End them, and close all connections. */
void workers_stop(void);
void workers_read(struct server_figures *figures);

#endif
