/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * wordindex - a full-text index whose every data structure lives on the collected heap
 *
 * The index is a sequence of immutable views.  A view is a document table and a list of segments;
 * a segment is a hash table of terms, each with a list of the documents that contain it and the
 * positions where.  Whoever changes the index builds a new view beside the old one, sharing what
 * did not change, and publishes it with one pointer store:
 *
 *	current -> view -> pages[] -> page of 128 slots -> document -> text
 *	            |
 *	            +--> segments[] -> segment -> buckets[] -> term -> blocks of postings
 *	                                                                  |         |
 *	                                                              document   positions
 *
 * A query loads the pointer to the current view and needs nothing else: no lock, no reference
 * count, no grace period.  Its view stays whole for as long as it looks at it, and becomes garbage
 * when nobody does.  That is the freedom that a collected heap gives to a C program, and what this
 * program exercises: most objects are shared by many views, and nothing here is ever freed.
 *
 * Contract with the collector: every pointer that is stored into an object or a global goes through
 * tri_store() or tri_move(); pointers in locals need no care.
 *
 * Every segment is written by one thread, until index_commit() publishes it; after that nothing in
 * it changes but @merging.
 */
#ifndef WORDINDEX_H
#define WORDINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <tricolor.h>

#define WORD_MAX	64		/* bytes of a word that count */
#define FILE_MAX	(1u << 20)	/* bytes of a file that are read */
#define PAGE_SLOTS	128u		/* documents in one page of the table */
#define BLOCK_POSTINGS	7u		/* makes a posting_block 128 bytes */
#define BATCH_CHANGES	64u		/* documents that one commit adds or drops, at most */
#define BATCH_BYTES	(1u << 20)	/* text after which an indexer commits */
#define MERGE_WIDTH	4u		/* segments of one size that become one of the next */
#define QUERY_TERMS	4u

/* ---- documents ------------------------------------------------------------------------------ */

/* One version of one file's words.  Immutable.  A file that is indexed again gets a new one. */
struct document {
	char *path;
	char *text;		/* leaf; folded words, each between single blanks: " a b c " */
	uint64_t checksum;	/* of text: tells damage from a wrong answer */
	uint32_t text_bytes;	/* without the terminator */
	uint32_t slot;		/* in the document table; the same for all versions of a file */
	uint32_t serial;	/* unique; posting lists are sorted by it */
	uint32_t words;
};

/* The files that may be indexed.  A document's slot is its file's place in here. */
struct catalogue {
	char **path;
	uint32_t count;
	uint32_t capacity;
};

/* ---- segments ------------------------------------------------------------------------------- */

/* That a term occurs in a document, and where. */
struct posting {
	struct document *doc;
	uint8_t *positions;	/* leaf: number of positions, the first one, differences; varints */
};

/* Postings in a list.  @last lets a search step over the block without looking at a document. */
struct posting_block {
	struct posting_block *next;
	uint32_t last;		/* serial of the last posting's document */
	uint32_t used;
	struct posting slot[BLOCK_POSTINGS];
};

/* Half of all terms occur in one document only: the first posting needs no block. */
struct term {
	struct term *next;	/* in the bucket */
	char *text;
	struct posting_block *head;
	struct posting_block *tail;
	struct posting first;
	uint32_t hash;
	uint32_t postings;
	uint32_t newest;	/* builder: last occurrence in the open document, 0: none so far */
	uint32_t length;
};

struct segment {
	struct term **buckets;
	struct document **docs;
	uint64_t postings;
	uint64_t text_bytes;
	uint32_t bucket_count;	/* a power of two */
	uint32_t terms;
	uint32_t doc_count;
	uint32_t doc_capacity;
	uint32_t merging;	/* an indexer is merging it; under the index lock */
};

/* A place in a posting list.  @posting is NULL past its end. */
struct cursor {
	const struct term *term;
	const struct posting_block *block;	/* NULL at the term's first posting */
	const struct posting *posting;
	uint32_t at;
};

/* A place in a list of positions. */
struct positions {
	const uint8_t *byte;
	uint32_t left;
	uint32_t value;
};

/* What an indexer thread needs to turn documents into a segment.  Private to its thread. */
struct builder {
	struct segment *segment;
	struct term **touched;			/* terms of the open document */
	uint32_t *occurrence;			/* leaf: position, previous one's index */
	char *raw;				/* leaf: a file as it was read */
	struct document *doc[BATCH_CHANGES];	/* changes in order; NULL drops the slot */
	uint32_t slot[BATCH_CHANGES];
	uint32_t changes;
	uint32_t occurrence_capacity;
};

/* ---- views ---------------------------------------------------------------------------------- */

struct view {
	struct document ***pages;	/* NULL: a page without documents */
	struct segment **segments;
	uint64_t version;		/* counts commits */
	uint64_t text_bytes;
	uint32_t slots;			/* in the table */
	uint32_t segment_count;
	uint32_t documents;
};

static inline struct document *view_document(const struct view *view, uint32_t slot)
{
	struct document **page = view->pages[slot / PAGE_SLOTS];

	return page ? page[slot % PAGE_SLOTS] : NULL;
}

/* Segments keep replaced and dropped documents until they are merged: this tells them apart. */
static inline bool view_holds(const struct view *view, const struct document *doc)
{
	return view_document(view, doc->slot) == doc;
}

/* ---- queries -------------------------------------------------------------------------------- */

enum query_kind { QUERY_AND, QUERY_OR, QUERY_PHRASE };

struct query {
	char *term[QUERY_TERMS];
	uint32_t hash;
	uint32_t terms;
	uint32_t kind;
};

/* Immutable once query_run() has returned it. */
struct result {
	struct document **docs;
	uint32_t count;
	uint32_t capacity;
};

/* ---- the run -------------------------------------------------------------------------------- */

struct config {
	const char *name;
	const char *json;		/* file to write the figures to, or NULL */
	const char **dirs;		/* NULL-terminated */
	uint64_t max_bytes;		/* text to load */
	uint64_t seed;
	unsigned int threads;		/* that query */
	unsigned int indexers;
	unsigned int seconds;		/* that queries and updates run for */
	unsigned int checks;		/* answers to check */
	unsigned int updates;		/* documents a second to index again or to drop */
	bool plain;			/* no rewriting of lines on a terminal */
};

/* Atomic, relaxed: they are only read to be shown. */
struct counters {
	uint64_t loaded_bytes;
	uint64_t indexed;
	uint64_t reindexed;
	uint64_t dropped;
	uint64_t skipped;		/* files that are empty, binary, or can't be read */
	uint64_t merges;
	uint64_t queries;
	uint64_t cache_hits;
	uint64_t matches;		/* documents in answers */
	uint64_t checked;
	uint64_t wrong;
};

extern const struct config *config;
extern struct counters counters;

#define count(field, n) __atomic_fetch_add(&counters.field, (uint64_t)(n), __ATOMIC_RELAXED)
#define counted(field) __atomic_load_n(&counters.field, __ATOMIC_RELAXED)

/* xorshift64*; state must not be 0. */
static inline uint64_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * 0x2545f4914f6cdd1dull;
}

/* 0 … below - 1 */
static inline uint32_t random_below(uint64_t *state, uint32_t below)
{
	return (uint32_t)(((random_next(state) >> 32) * below) >> 32);
}

/* A state for thread @stream that shares no visible pattern with the others'. */
static inline uint64_t random_seed(uint64_t seed, uint64_t stream)
{
	uint64_t z = seed + (stream + 1) * 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	return (z ^ (z >> 27)) | 1;
}

/* main.c: failures that end the program, with exit status 2 */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *fmt, ...);
/* The object, or the end of the program: a demonstration has nothing to do without memory. */
static inline void *need(void *object)
{
	if (__builtin_expect(!object, 0))
		die("%s", tri_error());
	return object;
}
pthread_t thread_start(void *(*run)(void *), void *argument);
/* pthread_cond_wait() and pthread_join() that let the collector answer for this thread. */
void wait_on(pthread_cond_t *cond, pthread_mutex_t *lock);
void wait_for(pthread_t thread);
void sleep_ns(uint64_t ns);
bool stopping(void);		/* the run is over, or was interrupted */
bool interrupted(void);		/* by SIGINT or SIGTERM */
uint64_t now_ns(void);

/* options.c */
void options_parse(int argc, char **argv, struct config *into);

/* files.c */
struct catalogue *catalogue_scan(const char **dirs, uint64_t seed);
struct document *document_read(char *path, uint32_t slot, char *raw);
uint64_t text_checksum(const char *text, size_t bytes);

/* segment.c */
struct segment *segment_new(uint32_t buckets);
struct term *segment_find(const struct segment *segment, const char *text, uint32_t length,
			  uint32_t hash);
struct term *segment_add_term(struct segment *segment, char *text, uint32_t length, uint32_t hash);
void segment_add_document(struct segment *segment, struct document *doc);
void segment_add_posting(struct segment *segment, struct term *term, struct document *doc,
			 uint8_t *positions);
uint32_t text_hash(const char *text, uint32_t length);
void cursor_start(struct cursor *cursor, const struct term *term);
void cursor_next(struct cursor *cursor);
void cursor_seek(struct cursor *cursor, uint32_t serial);

/* builder.c */
struct builder *builder_new(void);
void builder_index(struct builder *builder, struct document *doc);
void builder_drop(struct builder *builder, uint32_t slot);
bool builder_full(const struct builder *builder);
void builder_commit(struct builder *builder);
void positions_start(struct positions *positions, const uint8_t *encoded);
bool positions_next(struct positions *positions);

/* merge.c */
uint32_t merge_pick(const struct view *view, struct segment *in[MERGE_WIDTH]);
struct segment *merge_segments(const struct view *view, struct segment **in, uint32_t n);

/* index.c */
void index_init(uint32_t slots);
struct view *index_view(void);
uint32_t index_next_serial(void);
void index_commit(struct segment *segment, struct document *const *docs, const uint32_t *slots,
		  uint32_t changes);
bool index_merge_some(void);
void index_keep_every(uint32_t nth);
uint64_t view_terms(const struct view *view);
uint64_t view_postings(const struct view *view);

/* indexer.c */
void indexer_start(struct catalogue *catalogue);
uint32_t indexer_load(struct catalogue *catalogue);
void indexer_request(uint32_t slot, bool drop);
void indexer_stop(void);

/* query.c */
struct query *query_new(enum query_kind kind, char *const *terms, uint32_t n);
bool query_equal(const struct query *a, const struct query *b);
const char *query_text(const struct query *query, char *buffer, size_t bytes);
struct result *query_run(const struct view *view, const struct query *query);

/* cache.c */
void cache_init(void);
struct result *cache_get(const struct query *query, uint64_t version);
void cache_put(struct query *query, struct result *result, uint64_t version);
void cache_clear(void);

/* workload.c */
void workload_start(uint32_t slots);
void workload_stop(void);
struct query *workload_query(const struct view *view, uint64_t *random);
struct result *workload_answer(const struct view *view, struct query *query);

/* audit.c */
void audit_start(void);
void audit_stop(void);
bool audit_join(uint64_t *random);
void audit_now(unsigned int answers);

/* report.c */
void report_start(void);
void report_progress(const char *phase);
void report_queries(uint64_t ns);
void report_drop(void);
void report_final(void);
void report_end(void);

#endif /* WORDINDEX_H */
