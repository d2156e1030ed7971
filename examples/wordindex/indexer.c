// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The indexer threads: they take requests from a queue, read files, build segments, and merge.
 *
 * A thread commits when its batch is large enough or a tenth of a second old, whichever is first.
 */
#include <time.h>

#include "wordindex.h"

#define QUEUE_MAX 32u			/* requests that wait */
#define BATCH_AGE_NS 100000000ull
#define INDEXERS_MAX 64

struct request {
	struct request *next;
	uint32_t slot;
	bool drop;
};

TRI_TYPE(request_type, struct request, next);

static struct catalogue *files;

/* Under lock. */
static struct request *head, *tail;
static uint32_t queued;
static bool closed;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
static pthread_cond_t not_empty;	/* on the monotonic clock */

static pthread_t thread[INDEXERS_MAX];

/* ---- the queue ------------------------------------------------------------------------------ */

/* Wait until there is something, or @deadline_ns, or for ever if it is 0.  False: timed out. */
static bool wait_not_empty(uint64_t deadline_ns)
{
	struct timespec at = { .tv_sec = (time_t)(deadline_ns / 1000000000u),
			       .tv_nsec = (long)(deadline_ns % 1000000000u) };
	int err;

	if (!deadline_ns) {
		wait_on(&not_empty, &lock);
		return true;
	}
	tri_blocking_enter();
	err = pthread_cond_timedwait(&not_empty, &lock, &at);
	tri_blocking_exit();
	return !err;
}

/* The oldest request; NULL at the deadline, or when the queue is closed and empty. */
static struct request *pop(uint64_t deadline_ns)
{
	struct request *request;

	pthread_mutex_lock(&lock);
	while (!head && !closed && wait_not_empty(deadline_ns))
		;
	request = head;
	if (request) {
		tri_store(&head, request->next);
		/* A stale pointer to this request must not keep all later requests. */
		tri_store(&request->next, NULL);
		if (!head)
			tri_store(&tail, NULL);
		queued--;
		pthread_cond_signal(&not_full);
	}
	pthread_mutex_unlock(&lock);
	return request;
}

/* Ask for a file to be indexed, or its document to be dropped.  Waits while the queue is full. */
void indexer_request(uint32_t slot, bool drop)
{
	struct request *request = need(tri_alloc_typed(&request_type, 1));

	request->slot = slot;
	request->drop = drop;
	pthread_mutex_lock(&lock);
	while (queued == QUEUE_MAX)
		wait_on(&not_full, &lock);
	if (tail)
		tri_store(&tail->next, request);
	else
		tri_store(&head, request);
	tri_store(&tail, request);
	queued++;
	pthread_cond_signal(&not_empty);
	pthread_mutex_unlock(&lock);
}

/* ---- the threads ---------------------------------------------------------------------------- */

static void serve(struct builder *builder, const struct request *request)
{
	struct document *doc;

	if (request->drop) {
		builder_drop(builder, request->slot);
		return;
	}
	doc = document_read(files->path[request->slot], request->slot, builder->raw);
	if (!doc) {
		/*
		 * The file is not text, or is not text any more, and its old document is out of
		 * date.
		 */
		count(skipped, 1);
		builder_drop(builder, request->slot);
		return;
	}
	count(loaded_bytes, doc->text_bytes);
	builder_index(builder, doc);
}

static bool is_closed(void)
{
	bool is;

	pthread_mutex_lock(&lock);
	is = closed && !head;
	pthread_mutex_unlock(&lock);
	return is;
}

static void *indexer(void *unused)
{
	struct builder *builder = builder_new();
	uint64_t deadline_ns = 0;

	(void)unused;
	while (!is_closed() || builder->changes) {
		struct request *request = pop(deadline_ns);

		if (request) {
			if (!builder->changes)
				deadline_ns = now_ns() + BATCH_AGE_NS;
			serve(builder, request);
			if (!builder_full(builder) && now_ns() < deadline_ns)
				continue;
		}
		if (builder->changes)
			builder_commit(builder);
		deadline_ns = 0;
		while (index_merge_some())
			;
	}
	return NULL;
}

/* Start the threads. */
void indexer_start(struct catalogue *catalogue)
{
	pthread_condattr_t attr;

	tri_store(&files, catalogue);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&not_empty, &attr);
	pthread_condattr_destroy(&attr);
	for (unsigned int i = 0; i < config->indexers; i++)
		thread[i] = thread_start(indexer, NULL);
}

/* Request files until there is as much text as wanted.  Returns the number of slots in use. */
uint32_t indexer_load(struct catalogue *catalogue)
{
	uint32_t slot = 0;

	while (slot < catalogue->count && counted(loaded_bytes) < config->max_bytes &&
	       !stopping())
		indexer_request(slot++, false);
	/* The names of the other files are not needed any more. */
	tri_clear(&catalogue->path[slot], catalogue->count - slot);
	return slot;
}

/* Let the threads finish what was requested, and end. */
void indexer_stop(void)
{
	pthread_mutex_lock(&lock);
	closed = true;
	pthread_cond_broadcast(&not_empty);
	pthread_mutex_unlock(&lock);
	for (unsigned int i = 0; i < config->indexers; i++)
		wait_for(thread[i]);
}
