// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_plain_stores.c - stores without a barrier, in all shapes, are found with their lines, and
 * nothing else is
 *
 * Lines that end with a comment of the one word that MARK is store a pointer plainly; this test
 * reads them from the source, runs itself with `tricolor check-barriers`, and compares both ways.
 *
 * Objects are kept by a ring that is stored to as it should be, for some hundred rounds, so that
 * nothing that is still loaded is lost, whatever the collector misses.  A shape stores another
 * value in each round, and a round has a cycle to itself, in which no barrier touches the words in
 * question: what a barrier and a plain store have changed between two looks is the barrier's.
 *
 * One line is marked otherwise: a word that is stored to once, and in another cycle than the one in
 * which its object was made, is watched neither before nor after.  That it was stored to is found,
 * by which line only by chance.
 */
#include <dlfcn.h>
#include <emmintrin.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "lib/process.h"
#include "lib/witness.h"

#define MARK "/* plain */"
#define BY_CHANCE "/* plain, once */"
#define ROUNDS 4000
#define LIST 50			/* rounds that a list grows for: the ring is longer than what
				 * they make */
#define RING 8192
#define ITEMS 16

struct node {
	struct node *next, *left, *right;
	uint64_t number;
};

TRI_TYPE(node_type, struct node, next, left, right);

/*
 * Types of their own, so that what stores to a new object is met when the next one of its size is
 * watched: of a hundred nodes that are made in a round one or two are stored to before they are
 * anywhere.
 */
struct link {
	struct link *next;
	uint64_t number[5];
};

struct branch {
	struct node *left, *right;
	uint64_t number[6];
};

TRI_TYPE(link_type, struct link, next);
TRI_TYPE(branch_type, struct branch, left, right);

struct pair {
	struct node *one, *two;
};

union either {
	struct node *node;
	uint64_t number;
};

static void *ring[RING];
static unsigned int round_now;

/* An object that stays for a while, and is another one each time. */
static NOINLINE void *other_of(const struct tri_type *type)
{
	static unsigned int at;
	void *object = tri_alloc_typed(type, 1);

	if (!object)
		ksft_exit_fail_msg("no memory: %s\n", tri_error());
	tri_store(&ring[at++ % RING], object);
	return object;
}

static NOINLINE struct node *other(void)
{
	return other_of(&node_type);
}

/* Objects in which shapes store, and what they read; set once, by barriers. */
static struct node *heap[16], *first;
static struct link *inserted, *appended;
static struct node **array, **grown, **outside;
static size_t ngrown;
static struct node *items[2][ITEMS];

/* ------------------------------------------------------------------------------------------ */
/* Variables                                                                                  */
/* ------------------------------------------------------------------------------------------ */

struct node *g_plain, *g_chain_one, *g_chain_two, *g_condition, *g_loop, *g_left, *g_right,
	*g_comma, *g_macro;
struct node *g_out, *g_inner, *g_array[8], *g_swap[3], *g_return, *g_cast;
struct node **g_up, **g_down, **g_add;
struct node *volatile g_volatile;
_Atomic(struct node *) g_atomic, g_exchanged, g_compared;
struct pair g_member, g_assigned, g_source;
union either g_union;
static struct node *s_static;
struct node *g_copied[ITEMS], *g_moved[ITEMS], *g_sorted[ITEMS], *g_wiped[ITEMS];
struct node *g_thread, *g_list, *g_asm, *g_signal;
struct node *g_vector[2] __attribute__((aligned(16)));
uintptr_t g_number;

static NOINLINE void variable(void)
{
	g_plain = other(); /* plain */
}

static NOINLINE void static_variable(void)
{
	*(struct node *volatile *)&s_static = other(); /* plain */
}

static NOINLINE void local_static(void)
{
	static struct node *volatile inner UNUSED;

	inner = other(); /* plain */
}

static NOINLINE void up(void)
{
	g_up++; /* plain */
}

static NOINLINE void down(void)
{
	--g_down; /* plain */
}

static NOINLINE void add(void)
{
	g_add += 2; /* plain */
}

static NOINLINE void chained(void)
{
	g_chain_one = g_chain_two = other(); /* plain */
}

static NOINLINE int condition(void)
{
	if ((g_condition = other()) != NULL) /* plain */
		return 1;
	return 0;
}

static NOINLINE int loop_condition(void)
{
	int n = 0;

	while (n < 2 && (g_loop = other())) /* plain */
		n++;
	return n;
}

static NOINLINE void choice(void)
{
	*(round_now % 2 ? &g_left : &g_right) = other(); /* plain */
}

static NOINLINE void comma(void)
{
	struct node *n;

	n = other(), g_comma = n; /* plain */
}

#define SET(slot, value) do { (slot) = (value); } while (0)

static NOINLINE void macro(void)
{
	SET(g_macro, other()); /* plain */
}

#define PUSH(list, n) ((n)->next = (list), (list) = (n))

static NOINLINE void macro_list(void)
{
	struct node *n = other();

	PUSH(g_list, n); /* plain */
}

static NOINLINE void give(struct node **out)
{
	*out = other(); /* plain */
}

static NOINLINE void out_parameter(void)
{
	give(&g_out);
}

static NOINLINE void give_inner(struct node ***out)
{
	**out = other(); /* plain */
}

static NOINLINE void out_twice(void)
{
	struct node **inner = &g_inner;

	give_inner(&inner);
}

static NOINLINE struct node **where(void)
{
	return &g_return;
}

static NOINLINE void by_result(void)
{
	*where() = other(); /* plain */
}

static NOINLINE void element(void)
{
	g_array[round_now % 8] = other(); /* plain */
}

static NOINLINE void member(void)
{
	g_member.two = other(); /* plain */
}

static NOINLINE void union_member(void)
{
	g_union.node = other(); /* plain */
}

static NOINLINE void by_number(void)
{
	g_number = (uintptr_t)other(); /* plain */
}

static NOINLINE void cast(void)
{
	*(void **)&g_cast = other(); /* plain */
}

static NOINLINE void volatile_variable(void)
{
	g_volatile = other(); /* plain */
}

static NOINLINE void swap(void)
{
	struct node *n = g_swap[0];

	g_swap[0] = g_swap[2]; /* plain */
	g_swap[2] = n; /* plain */
}

static NOINLINE void assign(void)
{
	struct node *one = other(), *two = other();

	g_assigned = (struct pair){ one, two }; /* plain */
}

static NOINLINE void atomics(void)
{
	struct node *was = atomic_load(&g_compared);

	atomic_store(&g_atomic, other()); /* plain */
	atomic_exchange(&g_exchanged, other()); /* plain */
	atomic_compare_exchange_strong(&g_compared, &was, other()); /* plain */
}

/* What the compiler's headers have inlined is blamed on who uses it. */
static NOINLINE void vector(void)
{
	__m128i pair = _mm_set_epi64x((long)other(), (long)other());

	_mm_store_si128((__m128i *)g_vector, pair); /* plain */
}

static NOINLINE void in_handler(int sig)
{
	(void)sig;
	g_signal = other(); /* plain */
}

static NOINLINE void signal_handler(void)
{
	signal(SIGUSR1, in_handler);
	raise(SIGUSR1);
}

static NOINLINE void assembler(void)
{
	__asm__ volatile("movq %1, %0" : "=m"(g_asm) : "r"(other())); /* plain */
}

/* ------------------------------------------------------------------------------------------ */
/* The C library                                                                              */
/* ------------------------------------------------------------------------------------------ */

/*
 * A call that is the last thing that a function does may be a jump, and who jumped is not to be
 * seen.
 */
static inline void no_jump(void)
{
	__asm__ volatile("" : : : "memory");
}

static NOINLINE void copy(void)
{
	memcpy(g_copied, items[round_now % 2], sizeof(g_copied)); /* plain */
	no_jump();
}

static NOINLINE void move(void)
{
	memmove(g_moved, items[round_now % 2], sizeof(g_moved)); /* plain */
	no_jump();
}

static int compare(const void *a, const void *b)
{
	uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;

	return (x > y) - (x < y);
}

/* Every other round there is something to sort, or to wipe, that barriers have put there. */
static NOINLINE void sort(void)
{
	if (round_now % 2 == 0)
		tri_move(g_sorted, items[0], ITEMS);
	else
		qsort(g_sorted, ITEMS, sizeof(g_sorted[0]), compare); /* plain */
	no_jump();
}

static NOINLINE void wipe(void)
{
	if (round_now % 2 == 0)
		tri_move(g_wiped, items[0], ITEMS);
	else
		memset(g_wiped, 0, sizeof(g_wiped)); /* plain */
	no_jump();
}

/* ------------------------------------------------------------------------------------------ */
/* Objects                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static NOINLINE void field(void)
{
	heap[0]->next = other(); /* plain */
}

static NOINLINE void far_field(void)
{
	heap[1]->next->left = other(); /* plain */
}

static struct branch *branch;

static NOINLINE void initialiser(void)
{
	struct branch *b = tri_alloc_typed(&branch_type, 1);

	b->left = first; /* plain */
	tri_store(&branch, b);
}

static NOINLINE void literal(void)
{
	*heap[3] = (struct node){ .next = other() }; /* plain */
}

static NOINLINE void copy_struct(void)
{
	*heap[4] = *heap[round_now % 2]; /* plain */
	heap[4]->right = other(); /* plain */
}

static NOINLINE void insert(void)
{
	struct link *n = other_of(&link_type);

	n->next = inserted->next; /* plain */
	inserted->next = n; /* plain */
}

static NOINLINE void append(void)
{
	struct link **end = &appended->next;

	while (*end)
		end = &(*end)->next;
	*end = other_of(&link_type); /* plain, once */
}

static NOINLINE void drop(void)
{
	heap[7]->left = round_now % 2 ? NULL : first; /* plain */
}

static NOINLINE void conservative(void)
{
	array[round_now % ITEMS] = other(); /* plain */
}

static NOINLINE void reallocated(void)
{
	if (ngrown % ITEMS == 0)
		tri_store(&grown, tri_alloc(4 * sizeof(*grown)));
	else if (ngrown % 4 == 0)
		tri_store(&grown, tri_realloc(grown, (ngrown % ITEMS + 4) * sizeof(*grown)));
	grown[ngrown++ % ITEMS] = other(); /* plain */
}

static NOINLINE void registered(void)
{
	outside[round_now % ITEMS] = other(); /* plain */
}

/* ------------------------------------------------------------------------------------------ */
/* Threads and plugins                                                                        */
/* ------------------------------------------------------------------------------------------ */

static void *store_in_thread(void *unused)
{
	g_thread = other(); /* plain */
	heap[8]->right = other(); /* plain */
	return unused;
}

/* Its own stores are its own. */
static void in_thread(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, store_in_thread, NULL))
		ksft_exit_fail_msg("no thread\n");
	pthread_join(thread, NULL);
}

static void (*plain_set)(void *global, void *local, void *kept);

static void in_plugin(void)
{
	plain_set(other(), other(), other());
}

/* ------------------------------------------------------------------------------------------ */
/* What is right                                                                              */
/* ------------------------------------------------------------------------------------------ */

static __thread struct node *volatile own;
static struct node *right, *right_words[4];

static NOINLINE void all_right(void)
{
	struct node *volatile on_stack = other();
	struct node *n = tri_alloc_typed(&node_type, 1);

	own = on_stack;
	n->number = (uintptr_t)&n;
	tri_store(&n->left, own);
	tri_store(&right, n);
	tri_cas(&right_words[0], right_words[0], other());
	tri_exchange(&right_words[1], other());
	tri_move(&right_words[2], &right_words[0], 2);
	if (round_now % 5 == 0)
		tri_clear(right_words, 4);
}

static void (*const shapes[])(void) = {
	variable,
	static_variable,
	local_static,
	up,
	down,
	add,
	chained,
	(void (*)(void))condition,
	(void (*)(void))loop_condition,
	choice,
	comma,
	macro,
	macro_list,
	out_parameter,
	out_twice,
	by_result,
	element,
	member,
	union_member,
	by_number,
	cast,
	volatile_variable,
	swap,
	assign,
	atomics,
	vector,
	signal_handler,
	assembler,
	copy,
	move,
	sort,
	wipe,
	field,
	far_field,
	initialiser,
	literal,
	copy_struct,
	insert,
	append,
	drop,
	conservative,
	reallocated,
	registered,
	in_thread,
	in_plugin,
	all_right,
};

static void prepare(const char *plugin)
{
	void *handle = dlopen(plugin, RTLD_NOW);
	unsigned int i;

	if (!handle)
		ksft_exit_fail_msg("%s\n", dlerror());
	plain_set = (void (*)(void *, void *, void *))dlsym(handle, "plain_set");
	for (i = 0; i < 16; i++)
		tri_store(&heap[i], other());
	tri_store(&first, other());
	tri_store(&inserted, other_of(&link_type));
	tri_store(&appended, other_of(&link_type));
	tri_store(&heap[1]->next, other());
	tri_store(&array, tri_alloc(ITEMS * sizeof(*array)));
	tri_store(&g_up, tri_alloc(4096 * sizeof(*g_up)));
	tri_store(&g_add, g_up);
	tri_store(&g_down, g_up + 4095);
	for (i = 0; i < 2 * ITEMS; i++)
		tri_store(&items[i / ITEMS][ITEMS - 1 - i % ITEMS], other());
	/* These stay, as do those in the array. */
	for (i = 0; i < 3; i++)
		tri_store(&g_swap[i], heap[12 + i]);
	outside = calloc(ITEMS, sizeof(*outside));
	if (!outside || tri_root_add(outside, ITEMS * sizeof(*outside)))
		ksft_exit_fail_msg("no registered range: %s\n", tri_error());
}

/* What plain stores alone have kept is let go of while it is there. */
static NOINLINE void begin_lists(void)
{
	tri_store(&g_list, NULL);
	tri_store(&inserted->next, NULL);
	tri_store(&appended->next, NULL);
}

static int plant(const char *plugin)
{
	size_t i;

	prepare(plugin);
	for (round_now = 0; round_now < ROUNDS; round_now++) {
		collect();
		if (round_now % LIST == 0)
			begin_lists();
		for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
			shapes[i]();
	}
	collect();
	return 0;
}

/* ------------------------------------------------------------------------------------------ */
/* What is found                                                                              */
/* ------------------------------------------------------------------------------------------ */

#define LINES 1000

struct source {
	const char *name;		/* of its file */
	char path[2048];		/* that a report has named */
	bool marked[LINES], found[LINES], by_chance[LINES];
};

static struct source sources[] = { { .name = "/test_plain_stores.c" },
				   { .name = "/plugin_plain.c" } };

#define SOURCES (sizeof(sources) / sizeof(sources[0]))

/* "PATH:LINE: …".  False: it is no such line, or of no file of ours. */
static bool take_report(char *text)
{
	char *colon = strchr(text, ':');
	int line = colon ? atoi(colon + 1) : 0;
	size_t i;

	if (line <= 0 || line >= LINES)
		return false;
	*colon = 0;
	for (i = 0; i < SOURCES; i++) {
		size_t n = strlen(sources[i].name), whole = strlen(text);

		if (whole >= n && !strcmp(text + whole - n, sources[i].name)) {
			snprintf(sources[i].path, sizeof(sources[i].path), "%s", text);
			sources[i].found[line] = true;
			return true;
		}
	}
	*colon = ':';
	return false;
}

/* Returns the number of lines that are none of ours. */
static int read_reports(const char *path, int *unknown)
{
	FILE *f = fopen(path, "r");
	char text[2048];
	int others = 0;

	if (!f)
		ksft_exit_fail_msg("%s: %s\n", path, strerror(errno));
	while (fgets(text, sizeof(text), f)) {
		/* The line that it may have is that of the allocation. */
		if (strstr(text, "the instruction is not known")) {
			++*unknown;
			continue;
		}
		if (strstr(text, "without a barrier\n") || take_report(text))
			continue;
		ksft_print_msg("not in a file of this test: %s", text);
		others++;
	}
	fclose(f);
	return others;
}

static bool read_marks(struct source *s)
{
	FILE *f = *s->path ? fopen(s->path, "r") : NULL;
	char text[512];
	int line;

	if (!f)
		return false;
	for (line = 1; line < LINES && fgets(text, sizeof(text), f); line++) {
		const char *mark = strstr(text, MARK);

		s->marked[line] = mark && mark[strlen(MARK)] == '\n';
		mark = strstr(text, BY_CHANCE);
		s->by_chance[line] = mark && mark[strlen(BY_CHANCE)] == '\n';
	}
	fclose(f);
	return true;
}

static void compare_lines(const struct source *s, int *missed, int *wrong, int *planted)
{
	int line;

	for (line = 1; line < LINES; line++) {
		*planted += s->marked[line];
		if (s->marked[line] == s->found[line] || s->by_chance[line])
			continue;
		ksft_print_msg("%s:%d %s\n", s->name + 1, line,
			       s->marked[line] ? "is not found" : "is found, and is right");
		if (s->marked[line])
			++*missed;
		else
			++*wrong;
	}
}

static int check(const char *self, const char *plugin, const char *report)
{
	char command[512];
	pid_t pid;
	int status;

	built_path("/bin/tricolor", command, sizeof(command));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		execl(command, "tricolor", "check-barriers", "--output", report, self, "plant",
		      plugin, (char *)NULL);
		_exit(126);
	}
	return pid < 0 || waitpid(pid, &status, 0) != pid ? -1 : status;
}

int main(int argc, char **argv)
{
	int missed = 0, wrong, planted = 0, unknown = 0, status;
	char self[512], plugin[600], report[] = "/tmp/plain-stores-XXXXXX";
	size_t i, read = 0;
	int fd;

	if (argc > 2)
		return plant(argv[2]);
	ksft_print_header();
	ksft_set_plan(3);
	built_path("/tests/integration/test_plain_stores", self, sizeof(self));
	built_path("/tests/integration/plugin_plain.so", plugin, sizeof(plugin));
	fd = mkstemp(report);
	if (fd < 0)
		ksft_exit_fail_msg("%s: %s\n", report, strerror(errno));
	close(fd);
	status = check(self, plugin, report);
	wrong = read_reports(report, &unknown);
	unlink(report);
	for (i = 0; i < SOURCES; i++)
		read += read_marks(&sources[i]);
	for (i = 0; i < SOURCES; i++)
		compare_lines(&sources[i], &missed, &wrong, &planted);
	ksft_print_msg("%d of %d found, %d others, %d words without an instruction\n",
		       planted - missed, planted, wrong, unknown);
	ksft_test_result(WIFEXITED(status) && WEXITSTATUS(status) == 1,
			 "the command ends with 1\n");
	ksft_test_result(read == SOURCES && planted >= 40 && !missed,
			 "each plain store is found with its line\n");
	ksft_test_result(!wrong, "nothing else is\n");
	ksft_finished();
}
