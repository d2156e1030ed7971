// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_mutate.c - threads change a graph of objects while it is collected
 *
 *	test_mutate [SEED]
 *
 * Three structures, changed by all threads at full speed while one cycle follows another:
 *
 *  forest	a tree of each thread's own, of nodes of every size, kind and shape.  A shadow in
 *		malloc() memory, with numbers and no addresses, says what must be in each slot.
 *  tokens	as many objects as slots, and one in each thread's hand; threads exchange what they
 *		hold for what is in a slot.  None may get lost: at the end each is there once.
 *  well	slots at the end of a long chain, which the collector reaches last.  When a cycle
 *		has begun a thread takes an object out, in any of the ways there are, and has it
 *		in its hand when the cycle ends: only the deletion can have told the collector.
 *  tangle	slots and objects that any thread stores anything into, racing with the others.
 *		What is found there may be anything, but must be an object.
 *
 * Each object has a number and a checksum over what it says of itself, and a pattern in the rest.
 * The program runs itself once for each way that the library can synchronize with threads, and
 * under its own checks, and looks for complaints on standard error.
 */
#include <pthread.h>
#include <sys/wait.h>

#include "lib/witness.h"

#define THREADS 4
#define RUN_NS 1400000000ull
#define RUN_MAX_NS 60000000000ull	/* … if there were too few cycles by then */
#define CYCLES_MIN 6
#define NODES_MAX 2500u			/* of a thread's forest */
#define TOKENS 64			/* in slots */
#define TANGLE 256
#define PTRS_MAX 6000u

/* ------------------------------------------------------------------------------------------ */
/* Objects                                                                                    */
/* ------------------------------------------------------------------------------------------ */

struct object {
	uint64_t id;
	uint64_t check;			/* of the fields around it */
	uint32_t bytes, nptrs;
	uint64_t level;			/* tangle: objects point to lower ones only */
	struct object *ptr[];		/* then the pattern, up to @bytes */
};

/* A typed element: what is in @number looks like anything. */
struct typed {
	struct object head;
	struct object *ptr[5];
	uint64_t number[6];
};

TRI_TYPE(typed_type, struct typed, ptr);

/* An array of pointers as a typed object; its header is as long as two of them. */
static const uint64_t pointer_map = 1;
static const struct tri_type pointer_type = { 8, &pointer_map, "pointer" };

static _Atomic uint64_t next_id = 1;
static _Atomic uint64_t failures;
static struct event stop;

static void fail(const char *what, const struct object *o, uint64_t want)
{
	if (atomic_fetch_add(&failures, 1) >= 5)
		return;
	fprintf(stderr, "FAILED: %s: object %p, id %#llx, want %#llx, %u bytes, %s\n", what,
		(const void *)o, o ? (unsigned long long)o->id : 0ull, (unsigned long long)want,
		o ? o->bytes : 0, tri_base(o) == o ? "allocated" : "not allocated");
}

static uint64_t check_of(const struct object *o)
{
	return (o->id ^ (uint64_t)o->bytes << 20 ^ o->nptrs ^ o->level << 50) *
	       0x9e3779b97f4a7c15ull;
}

/* No pointer has its high bit set. */
static uint64_t pattern(uint64_t id, uint32_t at)
{
	return (id * 0x2545f4914f6cdd1dull + at) | 1ull << 63;
}

/* Every word of a small object, and a sample of a large one. */
static uint32_t pattern_step(uint32_t bytes)
{
	return bytes <= 2048 ? 8 : bytes / 256 / 8 * 8 + 8;
}

static bool object_ok(const struct object *o)
{
	uint32_t at, begin;

	if (tri_base(o) != o || o->check != check_of(o) || o->nptrs > PTRS_MAX)
		return false;
	begin = sizeof(*o) + o->nptrs * 8;
	for (at = begin; at + 8 <= o->bytes; at += pattern_step(o->bytes))
		if (*(const uint64_t *)((const char *)o + at) != pattern(o->id, at))
			return false;
	return true;
}

/* Smaller ones are more frequent; one in 2000 is of many pages. */
static uint32_t draw_bytes(uint64_t *rng)
{
	uint64_t r = draw(rng);
	uint32_t shift = r % 2000 == 0 ? 19 : r % 20 == 0 ? 15 : (uint32_t)(5 + r / 2000 % 7);

	return (uint32_t)((draw(rng) % (1ull << shift) + (1ull << shift) / 2) & ~7ull);
}

static struct object *object_new(uint64_t *rng, uint32_t nptrs, uint64_t level)
{
	uint32_t bytes = draw_bytes(rng), least = (uint32_t)sizeof(struct object) + nptrs * 8, at;
	struct object *o;

	if (bytes < least)
		bytes = least + 8 * (uint32_t)(draw(rng) % 4);
	if (!nptrs)
		o = tri_alloc_leaf(bytes);
	else if (nptrs == 5 && draw(rng) % 2)
		o = tri_alloc_typed(&typed_type, 1), bytes = sizeof(struct typed);
	else if (nptrs > 8 && draw(rng) % 2)
		o = tri_alloc_typed(&pointer_type, bytes / 8);
	else
		o = tri_alloc(bytes);
	if (!o) {
		fprintf(stderr, "FAILED: no memory: %s\n", tri_error());
		_exit(1);
	}
	for (at = 0; at < bytes; at += pattern_step(bytes))
		if (*(uint64_t *)((char *)o + at))
			fail("not zeroed", o, at);
	o->id = atomic_fetch_add(&next_id, 1);
	o->bytes = bytes;
	o->nptrs = nptrs;
	o->level = level;
	o->check = check_of(o);
	for (at = least; at + 8 <= bytes; at += pattern_step(bytes))
		*(uint64_t *)((char *)o + at) = pattern(o->id, at);
	return o;
}

/* ------------------------------------------------------------------------------------------ */
/* Forest                                                                                     */
/* ------------------------------------------------------------------------------------------ */

/* What a node must look like.  Index 0 is the root, and as a child: nothing. */
struct shadow {
	uint64_t id;
	uint32_t parent, place;		/* whose child, and in which slot */
	uint32_t nptrs;
	uint32_t *child;		/* nptrs of them */
	uint32_t listed;		/* index in forest.live */
	uint32_t depth;
};

struct forest {
	struct object **root;		/* a global's slot */
	uint64_t rng;
	struct shadow node[NODES_MAX + 1];
	uint32_t free[NODES_MAX + 1], nfree;
	uint32_t live[NODES_MAX + 1], nlive;
	uint64_t steps, nodes_made;
};

struct thread {
	pthread_t pthread;
	struct forest forest;
	uint64_t token;			/* id of what it holds at the end */
};

/* The collector's roots: this array, the tokens' and the tangle's. */
static struct object *forest_root[THREADS];
static struct object *token_slot[TOKENS];
static struct object **tangle;

static struct thread threads[THREADS];

static uint32_t draw_nptrs(uint64_t *rng)
{
	uint64_t r = draw(rng);

	if (r % 64 == 0)
		return 100 + (uint32_t)(r / 64 % (PTRS_MAX - 100));
	return r % 3 == 0 ? 0 : (uint32_t)(r / 64 % 8);
}

/* The object of node @i, by the pointers of the graph from the root on. */
static struct object *walk(struct forest *f, uint32_t i)
{
	uint32_t path[64], n = 0;
	struct object *o = *f->root;

	for (; i; i = f->node[i].parent)
		path[n++] = i;
	while (n) {
		const struct shadow *s = &f->node[path[--n]];

		o = __atomic_load_n(&o->ptr[s->place], __ATOMIC_ACQUIRE);
		if (!o || o->id != s->id) {
			fail("walk met another object", o, s->id);
			return NULL;
		}
	}
	return o;
}

static uint32_t pick(struct forest *f)
{
	return f->live[draw(&f->rng) % f->nlive];
}

/* A node that has few below it, most of the time: the tree must not be cut down at its foot. */
static uint32_t pick_high(struct forest *f)
{
	uint32_t i = pick(f), k;

	while (draw(&f->rng) % 8) {
		for (k = 0; k < f->node[i].nptrs && !f->node[i].child[k]; k++)
			;
		if (k == f->node[i].nptrs)
			break;
		i = f->node[i].child[k];
	}
	return i;
}

/* A node with room for pointers, and one of its slots. */
static bool pick_slot(struct forest *f, uint32_t *i, uint32_t *place)
{
	int tries;

	for (tries = 0; tries < 20; tries++) {
		*i = pick(f);
		if (f->node[*i].nptrs && f->node[*i].depth < 40) {
			*place = (uint32_t)(draw(&f->rng) % f->node[*i].nptrs);
			return true;
		}
	}
	return false;
}

static void forget(struct forest *f, uint32_t i)
{
	struct shadow *s = &f->node[i];
	uint32_t k;

	for (k = 0; k < s->nptrs; k++)
		if (s->child[k])
			forget(f, s->child[k]);
	free(s->child);
	f->live[s->listed] = f->live[--f->nlive];
	f->node[f->live[s->listed]].listed = s->listed;
	f->free[f->nfree++] = i;
}

static void set_depth(struct forest *f, uint32_t i)
{
	struct shadow *s = &f->node[i];
	uint32_t k;

	s->depth = f->node[s->parent].depth + 1;
	for (k = 0; k < s->nptrs; k++)
		if (s->child[k])
			set_depth(f, s->child[k]);
}

/* The slot of the shadow is overwritten. */
static void forget_child(struct forest *f, uint32_t i, uint32_t place)
{
	uint32_t old = f->node[i].child[place];

	f->node[i].child[place] = 0;
	if (old)
		forget(f, old);
}

static void adopt(struct forest *f, uint32_t parent, uint32_t place, uint32_t i)
{
	forget_child(f, parent, place);
	f->node[parent].child[place] = i;
	f->node[i].parent = parent;
	f->node[i].place = place;
	set_depth(f, i);
}

static void shadow_init(struct forest *f, uint32_t i, const struct object *o)
{
	struct shadow *s = &f->node[i];

	s->id = o->id;
	s->nptrs = o->nptrs;
	s->child = calloc(o->nptrs + 1, sizeof(uint32_t));
	s->listed = f->nlive;
	f->live[f->nlive++] = i;
}

static void grow(struct forest *f)
{
	uint32_t at, place, i;
	struct object *o, *parent;

	if (!f->nfree || !pick_slot(f, &at, &place))
		return;
	o = object_new(&f->rng, draw_nptrs(&f->rng), 0);
	parent = walk(f, at);
	if (!parent)
		return;
	tri_store(&parent->ptr[place], o);
	forget_child(f, at, place);
	i = f->free[--f->nfree];
	shadow_init(f, i, o);
	f->node[i].parent = at;
	f->node[i].place = place;
	f->node[i].depth = f->node[at].depth + 1;
	f->node[at].child[place] = i;
	f->nodes_made++;
}

/* Is @i below @top, or @top itself? */
static bool is_below(const struct forest *f, uint32_t i, uint32_t top)
{
	for (; i && i != top; i = f->node[i].parent)
		;
	return i == top;
}

/*
 * Take a tree out of its place, hold it in a register only, and put it elsewhere: what a collector
 * that lacks half of the barrier loses.
 */
static void transplant(struct forest *f)
{
	uint32_t i = pick_high(f), to, place;
	struct object *o, *from, *parent, *waste;
	uint64_t how = draw(&f->rng);

	if (!i || !pick_slot(f, &to, &place) || is_below(f, to, i))
		return;
	from = walk(f, f->node[i].parent);
	parent = walk(f, to);
	if (!from || !parent)
		return;
	if (how & 1) {
		o = tri_exchange(&from->ptr[f->node[i].place], NULL);
	} else {
		o = from->ptr[f->node[i].place];
		if (how & 2)
			tri_store(&from->ptr[f->node[i].place], NULL);
		else
			tri_clear(&from->ptr[f->node[i].place], 1);
	}
	from = NULL;
	for (how = how >> 2 & 15; how; how--) {
		waste = object_new(&f->rng, 1, 0);
		tri_store(&waste->ptr[0], waste);
	}
	tri_store(&parent->ptr[place], o);
	f->node[f->node[i].parent].child[f->node[i].place] = 0;
	adopt(f, to, place, i);
}

static void prune(struct forest *f)
{
	uint32_t i = pick_high(f);
	struct object *parent;

	if (!i)
		return;
	parent = walk(f, f->node[i].parent);
	if (!parent)
		return;
	if (!tri_cas(&parent->ptr[f->node[i].place], parent->ptr[f->node[i].place], NULL))
		fail("a slot of this thread changed", parent, f->node[i].id);
	forget_child(f, f->node[i].parent, f->node[i].place);
}

/* Move part of an array within it, and clear what is left behind. */
static void shift(struct forest *f)
{
	uint32_t i = pick(f), n, from, to, len, k, *child;
	struct object *o;

	for (k = 0; k < 10 && f->node[i].nptrs < 4; k++)
		i = pick(f);
	n = f->node[i].nptrs;
	if (n < 4)
		return;
	o = walk(f, i);
	if (!o)
		return;
	len = 1 + (uint32_t)(draw(&f->rng) % (n / 2));
	from = (uint32_t)(draw(&f->rng) % (n - len + 1));
	to = (uint32_t)(draw(&f->rng) % (n - len + 1));
	child = f->node[i].child;
	/* What is overwritten goes, and no child may be in two places. */
	for (k = to; k < to + len; k++)
		if (k < from || k >= from + len)
			forget_child(f, i, k);
	tri_move(&o->ptr[to], &o->ptr[from], len);
	memmove(child + to, child + from, len * sizeof(*child));
	for (k = from; k < from + len; k++) {
		if (k >= to && k < to + len)
			continue;
		child[k] = 0;
	}
	if (from < to)
		tri_clear(&o->ptr[from], to - from < len ? to - from : len);
	else if (from > to)
		tri_clear(&o->ptr[from + len - (from - to < len ? from - to : len)],
			  from - to < len ? from - to : len);
	for (k = to; k < to + len; k++)
		if (child[k])
			f->node[child[k]].place = k;
}

static void validate(struct forest *f, uint32_t i, const struct object *o)
{
	const struct shadow *s = &f->node[i];
	uint32_t k;

	if (!o || o->id != s->id || !object_ok(o)) {
		fail("validation", o, s->id);
		return;
	}
	for (k = 0; k < s->nptrs; k++) {
		const struct object *child = o->ptr[k];

		if (s->child[k])
			validate(f, s->child[k], child);
		else if (child)
			fail("a slot that must be empty", o, s->id);
	}
}

static void forest_init(struct forest *f, struct object **root, uint64_t seed)
{
	uint32_t i;

	f->root = root;
	f->rng = seed;
	for (i = NODES_MAX; i; i--)
		f->free[f->nfree++] = i;
	tri_store(root, object_new(&f->rng, 300, 0));
	shadow_init(f, 0, *root);
}

static void forest_step(struct forest *f)
{
	uint64_t r = draw(&f->rng) % 100;

	if (++f->steps % 3000 == 0)
		validate(f, 0, *f->root);
	if (r < 45 || f->nlive < NODES_MAX / 2)
		grow(f);
	else if (r < 70)
		transplant(f);
	else if (r < 95)
		prune(f);
	else
		shift(f);
}

/* ------------------------------------------------------------------------------------------ */
/* Tokens and tangle                                                                          */
/* ------------------------------------------------------------------------------------------ */

/* Returns what the thread holds now. */
static struct object *token_step(uint64_t *rng, struct object *mine)
{
	struct object **slot = &token_slot[draw(rng) % TOKENS], *seen;

	if (!object_ok(mine))
		fail("a token in hand", mine, 0);
	if (draw(rng) % 2)
		return tri_exchange(slot, mine);
	seen = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	return tri_cas(slot, seen, mine) ? seen : mine;
}

static void tangle_step(uint64_t *rng)
{
	struct object **slot = &tangle[draw(rng) % TANGLE], *o, *to;
	uint64_t how = draw(rng) % 16;
	int steps;

	o = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	for (steps = 0; o && steps < 6; steps++) {
		if (!object_ok(o)) {
			fail("in the tangle", o, 0);
			return;
		}
		if (how < 6 && o->nptrs) {
			/* A racing load and store: whatever it does to the graph is all right. */
			to = __atomic_load_n(&tangle[draw(rng) % TANGLE], __ATOMIC_ACQUIRE);
			if (to && to->level < o->level)
				tri_store(&o->ptr[draw(rng) % o->nptrs], to);
			return;
		}
		o = o->nptrs ? __atomic_load_n(&o->ptr[draw(rng) % o->nptrs], __ATOMIC_ACQUIRE) :
			       NULL;
	}
	if (how == 15) {
		uint64_t a = draw(rng) % (TANGLE - 16), b = draw(rng) % (TANGLE - 16);

		tri_move(&tangle[a], &tangle[b], 1 + draw(rng) % 16);
	} else if (how == 14) {
		tri_clear(slot, 1);
	} else if (how >= 10) {
		uint64_t level = draw(rng) % 6;

		tri_store(slot, object_new(rng, level ? 2 : 0, level));
	}
}

/* ------------------------------------------------------------------------------------------ */
/* Well                                                                                       */
/* ------------------------------------------------------------------------------------------ */

#define WELL_DEPTH 20000
#define WELL_SLOTS 5

static struct object *well;
static uint64_t draughts;

static NOINLINE void well_dig(uint64_t *rng)
{
	struct object *o, *next;
	int i;

	o = tri_alloc(sizeof(*o) + WELL_SLOTS * 8);
	tri_store(&well, o);
	for (i = 0; i < WELL_SLOTS; i++)
		tri_store(&o->ptr[i], object_new(rng, 0, 0));
	for (i = 0; i < WELL_DEPTH; i++) {
		next = tri_alloc(sizeof(*next) + 8);
		tri_store(&next->ptr[0], well);
		tri_store(&well, next);
	}
}

/* @slot is the only one that has its object.  Returns the object, when the slot has it no more. */
static NOINLINE struct object *well_take(struct object **slot, unsigned int how)
{
	static struct object *const nothing;
	struct object *o = *slot;

	switch (how) {
	case 0:
		tri_store(slot, NULL);
		return o;
	case 1:
		return tri_exchange(slot, NULL);
	case 2:
		return tri_cas(slot, o, NULL) ? o : NULL;
	case 3:
		tri_clear(slot, 1);
		return o;
	default:
		tri_move(slot, &nothing, 1);
		return o;
	}
}

/* Without a call of the library, or a pointer to an object that is held. */
static NOINLINE void spin_ns(uint64_t ns)
{
	uint64_t end = now_ns() + ns;

	while (now_ns() < end)
		;
}

/* A thread of its own.  It knows by its barrier that a cycle marks, or tries at random. */
static void *draw_from_well(void *arg)
{
	uint64_t rng = *(uint64_t *)arg, began, end;
	struct object **slots, *o[5];
	unsigned int first, how, i;
	int depth;

	while (!event_is_set(&stop) && !atomic_load(&failures)) {
		o[0] = well;
		for (depth = 0; depth < WELL_DEPTH; depth++)
			o[0] = o[0]->ptr[0];
		slots = o[0]->ptr;
		/* What this thread's stack shows from here on is the slots, not what they hold. */
		memset(o, 0, sizeof(o));
		wipe_stack();
		end = now_ns() + 100000000;
		while (!*(volatile uint32_t *)&tri__tls.barrier && now_ns() < end)
			;
		first = (unsigned int)(draw(&rng) % 5);
		for (i = 0; i < 5; i++) {
			spin_ns(20000ull << draw(&rng) % 8);
			how = (first + i) % 5;
			o[how] = well_take(&slots[how], how);
		}
		began = read_stats().cycles;
		while (read_stats().cycles == began && now_ns() < end)
			spin_ns(100000);
		for (how = 0; how < 5; how++) {
			if (!object_ok(o[how]))
				fail("drawn from the well", o[how], how);
			tri_store(&slots[how], o[how]);
		}
		draughts++;
	}
	return NULL;
}

static void *run(void *arg)
{
	struct thread *t = arg;
	uint64_t rng = t->forest.rng ^ 0x5555;
	struct object *token = object_new(&rng, 0, 0);

	while (!event_is_set(&stop) && !atomic_load(&failures)) {
		forest_step(&t->forest);
		token = token_step(&rng, token);
		tangle_step(&rng);
	}
	if (!object_ok(token))
		fail("the last token", token, 0);
	t->token = token->id;
	/* It need not be kept any longer. */
	return NULL;
}

/* The program that is run in each mode: status 0 if nothing was lost. */
static int mutate(uint64_t seed)
{
	static uint64_t token_ids[TOKENS + THREADS];
	uint64_t begin = now_ns(), sum = 0, made = 0, live = 0, first, i, k;
	uint64_t well_seed = seed ^ 0x1234567;
	struct tri_stats stats;
	struct object *table;
	pthread_t drawer;

	/* The tangle's slots are in an object themselves, a large one. */
	table = tri_alloc(sizeof(*table) + 40000);
	table->bytes = sizeof(*table);
	tri_store(&tangle, (struct object **)table->ptr);
	table = NULL;
	for (i = 0; i < THREADS; i++)
		forest_init(&threads[i].forest, &forest_root[i], draw(&seed) | 1);
	first = atomic_load(&next_id);
	for (i = 0; i < TOKENS; i++)
		tri_store(&token_slot[i], object_new(&seed, 0, 0));
	well_dig(&seed);
	wipe_stack();
	pthread_create(&drawer, NULL, draw_from_well, &well_seed);
	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i].pthread, NULL, run, &threads[i]);
	/*
	 * The pacer's cycles, and others right after one another; on an emulated CPU that takes
	 * long.
	 */
	while ((now_ns() - begin < RUN_NS || read_stats().cycles < CYCLES_MIN) &&
	       now_ns() - begin < RUN_MAX_NS && !atomic_load(&failures))
		collect();
	event_set(&stop);
	pthread_join(drawer, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i].pthread, NULL);
	collect();
	for (i = 0; i < THREADS && !atomic_load(&failures); i++) {
		validate(&threads[i].forest, 0, forest_root[i]);
		sum += threads[i].forest.steps;
		made += threads[i].forest.nodes_made;
		live += threads[i].forest.nlive;
		token_ids[i] = threads[i].token;
	}
	for (i = 0; i < TOKENS && !atomic_load(&failures); i++) {
		if (!object_ok(token_slot[i]))
			fail("a token in its slot", token_slot[i], 0);
		token_ids[THREADS + i] = token_slot[i]->id;
		if (token_slot[i]->id < first)
			fail("no token in a token's slot", token_slot[i], first);
	}
	for (i = 0; i < TOKENS + THREADS && !atomic_load(&failures); i++)
		for (k = 0; k < i; k++)
			if (token_ids[i] == token_ids[k])
				fail("a token is there twice", NULL, token_ids[i]);
	stats = read_stats();
	printf("%llu cycles (%llu forced), %llu steps, %llu of %llu nodes left, "
	       "%llu MiB allocated, %llu MiB live; %llu draughts\n",
	       (unsigned long long)stats.cycles, (unsigned long long)stats.forced_cycles,
	       (unsigned long long)sum, (unsigned long long)live, (unsigned long long)made,
	       (unsigned long long)stats.allocated_bytes >> 20,
	       (unsigned long long)stats.live_bytes >> 20, (unsigned long long)draughts);
	if (stats.cycles < CYCLES_MIN)
		fprintf(stderr, "FAILED: %llu cycles, want %d\n", (unsigned long long)stats.cycles,
			CYCLES_MIN);
	if (stats.reconnects)
		fprintf(stderr, "FAILED: the collector was lost\n");
	return atomic_load(&failures) || stats.cycles < CYCLES_MIN || stats.reconnects;
}

/* ------------------------------------------------------------------------------------------ */
/* One run for each mode                                                                      */
/* ------------------------------------------------------------------------------------------ */

static bool run_mode(const char *debug, uint64_t seed)
{
	char line[512], number[32];
	bool ok = true;
	int fd[2], status;
	FILE *out;
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return false;
	pid = fork();
	if (!pid) {
		dup2(fd[1], 1);
		dup2(fd[1], 2);
		setenv("TRICOLOR_DEBUG", debug, 1);
		setenv("TRICOLOR_GC_PERCENT", "20", 1);
		snprintf(number, sizeof(number), "%llu", (unsigned long long)seed);
		execl("/proc/self/exe", "test_mutate", number, "run", (char *)NULL);
		_exit(127);
	}
	close(fd[1]);
	out = fdopen(fd[0], "r");
	while (fgets(line, sizeof(line), out)) {
		ksft_print_msg("[%s] %s", debug, line);
		if (strstr(line, "missed") || strstr(line, "FAILED") || strstr(line, "not checked"))
			ok = false;
	}
	fclose(out);
	if (waitpid(pid, &status, 0) != pid || status) {
		ksft_print_msg("[%s] wait status %#x\n", debug, status);
		ok = false;
	}
	return ok;
}

int main(int argc, char **argv)
{
	static const char *const modes[] = { "", "checkmark,clobberfree", "norseq", "nomembarrier",
					     "norseq,nomembarrier,clobberfree" };
	uint64_t seed;
	size_t i;

	if (argc > 2)
		return mutate(strtoull(argv[1], NULL, 0));
	ksft_print_header();
	ksft_set_plan(sizeof(modes) / sizeof(modes[0]));
	seed = seed_from(argc, argv);
	for (i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
		ksft_test_result(run_mode(modes[i], seed), "TRICOLOR_DEBUG=\"%s\"\n", modes[i]);
	ksft_finished();
}
