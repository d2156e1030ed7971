// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_roots.c - what keeps an object, and that nothing else does
 *
 * For each sort of root: an object is stored there, everything else forgets it, and it must be
 * there after some cycles; then the root is cleared, and the object must be gone.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>

#include "lib/witness.h"

#define ID(n) (0x0207000000000000ull + (uint64_t)(n))

static void *data_root = (void *)1;
static void *bss_root;
void *exported_root;
static __thread void *thread_root;
static __thread char other_thread_data[5000];
static __thread void *thread_root_after;

static uintptr_t hidden;

/* ------------------------------------------------------------------------------------------ */
/* Variables                                                                                  */
/* ------------------------------------------------------------------------------------------ */

static void **static_local(void)
{
	static void *root;

	return &root;
}

static NOINLINE void put(void **root, uint64_t id)
{
	struct witness *w = witness_new(id);

	hidden = hide(w);
	tri_store(root, w);
}

static bool gone(const char *what)
{
	collect_times(2);
	if (is_object(hidden))
		ksft_print_msg("%s: the object is still there\n", what);
	return !is_object(hidden);
}

static bool keeps(void **root, const char *what)
{
	put(root, ID(1));
	collect_times(3);
	if (!hidden_ok(hidden, ID(1))) {
		ksft_print_msg("%s: the object is gone\n", what);
		return false;
	}
	tri_store(root, NULL);
	return gone(what);
}

static bool test_variables(void)
{
	bool ok = keeps(&data_root, "initialized data");

	ok = keeps(&bss_root, "uninitialized data") && ok;
	ok = keeps(&exported_root, "an exported variable") && ok;
	ok = keeps(static_local(), "a static variable of a function") && ok;
	return ok;
}

static void *thread_variables(void *ok)
{
	other_thread_data[0] = 1;
	*(bool *)ok = keeps(&thread_root, "a thread-local variable of another thread") &&
		      keeps(&thread_root_after, "one more of another thread");
	return NULL;
}

static bool test_thread_variables(void)
{
	pthread_t thread;
	bool other = false;

	pthread_create(&thread, NULL, thread_variables, &other);
	pthread_join(thread, NULL);
	return keeps(&thread_root, "a thread-local variable") &&
	       keeps(&thread_root_after, "one more thread-local variable") && other;
}

/* ------------------------------------------------------------------------------------------ */
/* Added ranges, handles                                                                      */
/* ------------------------------------------------------------------------------------------ */

static bool test_added(void)
{
	size_t bytes = 3 << 20;
	char *memory = malloc(bytes);
	void **first = (void **)memory, **last = (void **)(memory + bytes - 8);
	bool ok = true;

	put(first, ID(2));
	collect_times(2);
	if (is_object(hidden)) {
		ksft_print_msg("malloc() memory was a root\n");
		ok = false;
	}
	ok = tri_root_add(memory, bytes) == 0 && ok;
	ok = keeps(first, "the start of a range") && ok;
	ok = keeps(last, "the end of a range") && ok;
	/* Twice: it takes two to undo it. */
	ok = tri_root_add(memory, bytes) == 0 && tri_root_remove(memory, bytes) == 0 && ok;
	ok = keeps(last, "a range that was added twice and removed once") && ok;
	put(first, ID(3));
	collect_times(2);
	ok = hidden_ok(hidden, ID(3)) && tri_root_remove(memory, bytes) == 0 && ok;
	ok = gone("a range that was removed") && ok;
	ok = tri_root_remove(memory, bytes) == -ENOENT &&
	     tri_root_remove(memory + 8, 8) == -ENOENT && strstr(tri_error(), "tri_root_add()") &&
	     tri_root_add(NULL, 8) == -EINVAL &&
	     tri_root_add(memory, SIZE_MAX) == -EINVAL && ok;
	free(memory);
	return ok;
}

#define HANDLES 3000

static tri_handle *handle[HANDLES];
static uintptr_t handled[HANDLES];

static NOINLINE void make_handles(void)
{
	int i;

	for (i = 0; i < HANDLES; i++) {
		struct witness *w = witness_new(ID(i));

		handled[i] = hide(w);
		handle[i] = tri_handle_new(w);
	}
}

static NOINLINE bool handles_hold(int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (!witness_ok(tri_handle_get(handle[i]), ID(i)))
			return false;
	return true;
}

/* By thirds. */
static bool test_handles(void)
{
	const int third = HANDLES / 3;
	int i, left = 0;
	bool ok;

	make_handles();
	collect_times(2);
	ok = handles_hold(HANDLES);
	for (i = third; i < 2 * third; i++) {
		tri_handle_free(handle[i]);
		tri_handle_set(handle[i + third], NULL);
	}
	collect_times(2);
	ok = ok && handles_hold(third);
	for (i = third; i < HANDLES; i++)
		left += is_object(handled[i]);
	if (left > 2)
		ksft_print_msg("%d objects are left whose handles were freed\n", left);
	for (i = 0; i < third; i++) {
		tri_handle_free(handle[i]);
		tri_handle_free(handle[i + 2 * third]);
	}
	tri_handle_free(NULL);
	return ok && left <= 2;
}

/* ------------------------------------------------------------------------------------------ */
/* Pointers into and behind objects                                                           */
/* ------------------------------------------------------------------------------------------ */

static NOINLINE void put_at(void **root, size_t bytes, size_t at)
{
	char *p = tri_alloc(bytes);

	hidden = hide(p);
	tri_store(root, p + at);
}

/* In a global and in an object, in turn. */
static bool test_interior(void)
{
	static const size_t sizes[] = { 16,   48,   100,   128,   144,    1000,
					8192, 9000, 32768, 40000, 3000000 };
	void **object = tri_alloc(64), **root;
	size_t i, at, n = 0;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		for (at = 0; at < sizes[i]; at += sizes[i] / 7 + 1 - (sizes[i] <= 16)) {
			size_t where = at + sizes[i] / 7 + 1 < sizes[i] ? at : sizes[i] - 1;

			root = n++ % 2 ? &object[3] : &bss_root;
			put_at(root, sizes[i], where);
			collect_times(1);
			if (!is_object(hidden)) {
				ksft_print_msg("a pointer to byte %zu of %zu did not keep it\n",
					       where, sizes[i]);
				return false;
			}
			tri_store(root, NULL);
		}
	}
	tri_keep_alive(object);
	return gone("interior pointers");
}

static NOINLINE void *make_end(size_t bytes)
{
	char *p = tri_alloc(bytes);

	hidden = hide(p);
	return p + bytes;
}

/* Sizes that fill their slot, so that the pointer is to another object, page or span. */
static bool test_past_end(void)
{
	static const size_t sizes[] = { 16, 64, 128, 4096, 8192, 16384, 32768, 65536, 1 << 20 };
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void *volatile end = make_end(sizes[i]);

		collect_times(2);
		if (!is_object(hidden)) {
			ksft_print_msg("on the stack, the end of %zu bytes did not keep them\n",
				       sizes[i]);
			return false;
		}
		/*
		 * In a root it is no pointer to them: it would keep the neighbour of every object.
		 */
		tri_store(&bss_root, end);
		end = NULL;
		if (!gone("one past the end, in a global"))
			return false;
		tri_store(&bss_root, NULL);
	}
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Vector registers                                                                           */
/* ------------------------------------------------------------------------------------------ */

#define LANES 64			/* of 16 registers of 4 words */

/*
 * hold_in_vectors(hidden, wide): the inverses of hidden[] are in xmm0 .. xmm15 (two each, the first
 * 32), or in ymm0 .. ymm15 (four each), and nowhere else, while the loop runs.
 */
void hold_in_sse(const uintptr_t *hidden);
void hold_in_avx(const uintptr_t *hidden);
struct event vectors_held, vectors_let_go;

#define SSE(n) "movdqu " #n "*16(%rdi), %xmm" #n "\n\t"
#define SSE_NOT(n) "pxor %xmm15, %xmm" #n "\n\t"
#define AVX(n) "vmovdqu " #n "*32(%rdi), %ymm" #n "\n\t"
#define AVX_NOT(n) "vpxor %ymm15, %ymm" #n ", %ymm" #n "\n\t"
#define TIMES15(x) x(0) x(1) x(2) x(3) x(4) x(5) x(6) x(7) x(8) x(9) x(10) x(11) x(12) x(13) x(14)
#define LOOP								\
	"movl $1, vectors_held(%rip)\n"					\
	"1:\n\tpause\n\tcmpl $0, vectors_let_go(%rip)\n\tje 1b\n\t"

__asm__(".pushsection .text\n"
	".type hold_in_sse, @function\n"
	"hold_in_sse:\n\t"
	TIMES15(SSE) "pcmpeqd %xmm15, %xmm15\n\t" TIMES15(SSE_NOT) LOOP
	TIMES15(SSE_NOT) "ret\n\t"
	".size hold_in_sse, . - hold_in_sse\n"
	".type hold_in_avx, @function\n"
	"hold_in_avx:\n\t"
	TIMES15(AVX) "vpcmpeqd %ymm15, %ymm15, %ymm15\n\t" TIMES15(AVX_NOT) LOOP
	"vzeroall\n\tret\n\t"
	".size hold_in_avx, . - hold_in_avx\n"
	".popsection\n");

static uintptr_t in_vector[LANES];
static tri_handle *until_held[LANES];

static NOINLINE void make_for_vectors(int n)
{
	int i;

	for (i = 0; i < n; i++) {
		struct witness *w = witness_new(ID(i));

		in_vector[i] = hide(w);
		until_held[i] = tri_handle_new(w);
	}
}

static void *sse_thread(void *unused)
{
	hold_in_sse(in_vector);
	return unused;
}

static void *avx_thread(void *unused)
{
	hold_in_avx(in_vector);
	return unused;
}

static bool test_vectors(void *(*fn)(void *), int n)
{
	pthread_t thread;
	int i, lost = 0;

	memset(&vectors_held, 0, sizeof(vectors_held));
	memset(&vectors_let_go, 0, sizeof(vectors_let_go));
	make_for_vectors(n);
	pthread_create(&thread, NULL, fn, NULL);
	while (!event_is_set(&vectors_held))
		sched_yield();
	for (i = 0; i < n; i++)
		tri_handle_free(until_held[i]);
	collect_times(3);
	for (i = 0; i < n; i++)
		lost += !hidden_ok(in_vector[i], ID(i));
	if (lost)
		ksft_print_msg("%d of %d words in vector registers were not seen\n", lost, n);
	event_set(&vectors_let_go);
	pthread_join(thread, NULL);
	return !lost;
}

/* ------------------------------------------------------------------------------------------ */
/* Plugins                                                                                    */
/* ------------------------------------------------------------------------------------------ */

static char plugin_path[PATH_MAX];

struct plugin {
	void *handle;
	void (*set)(void *, void *, void *);
	void (*churn)(void **, void *, int);
	void **global;
};

static struct plugin plugin_open(void)
{
	struct plugin p = { .handle = dlopen(plugin_path, RTLD_NOW) };

	if (!p.handle)
		ksft_exit_fail_msg("%s\n", dlerror());
	p.set = (__typeof__(p.set))dlsym(p.handle, "plugin_set");
	p.churn = (__typeof__(p.churn))dlsym(p.handle, "plugin_churn");
	p.global = (void **)dlsym(p.handle, "plugin_global");
	if (!p.set || !p.churn || !p.global)
		ksft_exit_fail_msg("%s\n", dlerror());
	return p;
}

static uintptr_t plugged[3];

static NOINLINE void plugin_fill(const struct plugin *p)
{
	struct witness *w[3];
	int i;

	for (i = 0; i < 3; i++) {
		w[i] = witness_new(ID(i));
		plugged[i] = hide(w[i]);
	}
	p->set(w[0], w[1], w[2]);
}

static bool test_plugin_roots(void)
{
	struct plugin p = plugin_open();
	bool ok = true;
	int i, left = 0;

	plugin_fill(&p);
	collect_times(3);
	for (i = 0; i < 3; i++)
		ok = hidden_ok(plugged[i], ID(i)) && ok;
	if (!ok)
		ksft_print_msg("a plugin's variables did not keep an object\n");
	dlclose(p.handle);
	collect_times(3);
	for (i = 0; i < 3; i++)
		left += is_object(plugged[i]);
	if (left)
		ksft_print_msg("%d objects of a plugin that was unloaded are left\n", left);
	return ok && !left;
}

/*
 * A thread that has just been in a plugin's sequence is made to change CPUs after the plugin is
 * gone: the kernel then looks at what its rseq area names.
 */
static struct {
	_Atomic int turn;		/* odd: the thread's, even: ours */
	_Atomic unsigned int moves;	/* from CPU to CPU */
	void (*churn)(void **, void *, int);
	void *slot;
	bool sleeps;
} visitor;

static void *visit(void *unused)
{
	struct timespec blink = { 0, 1000000 };
	cpu_set_t one, all;
	int cpu, i;

	(void)unused;
	sched_getaffinity(0, sizeof(all), &all);
	for (;;) {
		while (!(atomic_load(&visitor.turn) & 1)) {
			/* Preempted and moved, in the middle of nothing. */
			if (visitor.sleeps)
				nanosleep(&blink, NULL);
			for (i = 0, cpu = 0; cpu < CPU_SETSIZE && i < 2; cpu++) {
				if (!CPU_ISSET(cpu, &all))
					continue;
				CPU_ZERO(&one);
				CPU_SET(cpu, &one);
				sched_setaffinity(0, sizeof(one), &one);
				sched_yield();
				i++;
			}
			atomic_fetch_add(&visitor.moves, 1);
		}
		if (!visitor.churn)
			return NULL;
		visitor.churn(&visitor.slot, NULL, 10);
		atomic_fetch_add(&visitor.turn, 1);
	}
}

static struct event churn_stop;

static void *cycles(void *unused)
{
	while (!event_is_set(&churn_stop))
		collect();
	return unused;
}

static bool test_unload(void)
{
	pthread_t thread, collector;
	uint64_t before = read_stats().cycles;
	unsigned int moves;
	int round;

	pthread_create(&collector, NULL, cycles, NULL);
	pthread_create(&thread, NULL, visit, NULL);
	/* Until cycles have run with it, however few CPUs there are for them. */
	for (round = 0; round < 150 || read_stats().cycles <= before + 10; round++) {
		struct plugin p = plugin_open();

		visitor.churn = p.churn;
		visitor.sleeps = round % 2;
		atomic_fetch_add(&visitor.turn, 1);
		while (atomic_load(&visitor.turn) & 1)
			sched_yield();
		p.churn(&bss_root, NULL, 10);
		dlclose(p.handle);
		if (dlopen(plugin_path, RTLD_NOW | RTLD_NOLOAD))
			ksft_exit_fail_msg("the plugin was not unloaded\n");
		/*
		 * The other thread is moved about: all the way once, since what it is in may have
		 * begun before.
		 */
		moves = atomic_load(&visitor.moves);
		while (atomic_load(&visitor.moves) - moves < 2)
			sched_yield();
	}
	visitor.churn = NULL;
	atomic_fetch_add(&visitor.turn, 1);
	pthread_join(thread, NULL);
	event_set(&churn_stop);
	pthread_join(collector, NULL);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* What is dead goes                                                                          */
/* ------------------------------------------------------------------------------------------ */

#define MANY 20000

static uintptr_t *doomed;

static NOINLINE void make_doomed(void)
{
	struct witness *list = NULL;
	int i;

	/* Alive together, as a list; then dropped together. */
	for (i = 0; i < MANY; i++) {
		struct witness *w = witness_new(ID(i));

		tri_store(&w->next, list);
		list = w;
		tri_store(&bss_root, list);
		doomed[i] = hide(w);
	}
}

static bool test_dead(void)
{
	uint64_t live, after;
	int i, left = 0;

	doomed = calloc(MANY, sizeof(*doomed));
	make_doomed();
	collect_times(2);
	live = read_stats().live_bytes;
	for (i = 0; i < MANY; i++)
		if (!hidden_ok(doomed[i], ID(i)))
			return false;
	tri_store(&bss_root, NULL);
	collect_times(2);
	after = read_stats().live_bytes;
	for (i = 0; i < MANY; i++)
		left += is_object(doomed[i]);
	free(doomed);
	ksft_print_msg("%llu KiB live, then %llu KiB, %d objects left\n",
		       (unsigned long long)live >> 10, (unsigned long long)after >> 10, left);
	return live >= MANY * sizeof(struct witness) &&
	       after < live - MANY * sizeof(struct witness) * 9 / 10 && left < MANY / 100;
}

/* Cycles of objects too. */
static NOINLINE void make_ring(void)
{
	struct witness *a = witness_new(ID(1)), *b = witness_new(ID(2));

	tri_store(&a->next, b);
	tri_store(&b->next, a);
	hidden = hide(a);
	tri_store(&bss_root, a);
}

static bool test_ring(void)
{
	bool ok;

	make_ring();
	collect_times(2);
	ok = hidden_ok(hidden, ID(1));
	tri_store(&bss_root, NULL);
	return ok && gone("a ring");
}

/* ------------------------------------------------------------------------------------------ */
/* Sparse data                                                                                */
/* ------------------------------------------------------------------------------------------ */

static void *sparse[(1ul << 30) / 8];

/* A line of /proc/self/status, in KiB. */
static uint64_t status_kib(const char *format)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/self/status", "re");

	while (f && fgets(line, sizeof(line), f) && sscanf(line, format, &kib) != 1)
		;
	if (f)
		fclose(f);
	return kib;
}

/* Reading pages that were never written would cost page tables, if no memory. */
static bool test_sparse(uint64_t tables_before)
{
	uint64_t resident_before = status_kib("VmRSS: %llu"), resident, tables;
	size_t last = sizeof(sparse) / sizeof(sparse[0]) - 1;
	bool ok;

	ok = keeps(&sparse[last / 2 + 7], "the middle of a sparse array") &&
	     keeps(&sparse[last], "the end of a sparse array");
	collect_times(3);
	resident = status_kib("VmRSS: %llu");
	tables = status_kib("VmPTE: %llu");
	ksft_print_msg(
		"resident %llu KiB, then %llu KiB; page tables %llu KiB, now %llu KiB\n",
		(unsigned long long)resident_before, (unsigned long long)resident,
		(unsigned long long)tables_before, (unsigned long long)tables);
	return ok && resident < resident_before + 8192 && tables < tables_before + 1024;
}

/* Inlined sequences are entered then too, and left at once: a thread still names the last one. */
static bool unload_without_rseq(const char *self)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid) {
		setenv("TRICOLOR_DEBUG", "norseq", 1);
		execl("/proc/self/exe", self, "unload", (char *)NULL);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		ksft_print_msg("wait status %#x\n", status);
	return !status;
}

int main(int argc, char **argv)
{
	uint64_t tables = status_kib("VmPTE: %llu");
	char *slash;

	snprintf(plugin_path, sizeof(plugin_path) - 32, "%s", argv[0]);
	slash = strrchr(plugin_path, '/');
	strcpy(slash ? slash + 1 : plugin_path, slash ? "plugin_store.so" : "./plugin_store.so");
	if (argc > 1)
		return !test_unload();

	ksft_print_header();
	ksft_set_plan(14);
	ksft_test_result(test_variables(), "variables\n");
	ksft_test_result(test_thread_variables(), "thread-local variables\n");
	ksft_test_result(test_added(), "tri_root_add() and tri_root_remove()\n");
	ksft_test_result(test_handles(), "handles\n");
	ksft_test_result(test_interior(), "interior pointers\n");
	ksft_test_result(test_past_end(), "pointers one past the end\n");
	if (UNDER_TSAN) {
		ksft_test_result_skip("the thread sanitizer holds signals back\n");
		ksft_test_result_skip("the thread sanitizer holds signals back\n");
	} else {
		ksft_test_result(test_vectors(sse_thread, 30), "SSE registers\n");
		if (__builtin_cpu_supports("avx2"))
			ksft_test_result(test_vectors(avx_thread, 60), "AVX registers\n");
		else
			ksft_test_result_skip("no AVX2\n");
	}
	ksft_test_result(test_plugin_roots(), "a plugin's variables\n");
	ksft_test_result(test_unload(), "plugins come and go while cycles run\n");
	ksft_test_result(unload_without_rseq(argv[0]),
			 "plugins come and go without restartable sequences\n");
	ksft_test_result(test_dead(), "what is dead goes\n");
	ksft_test_result(test_ring(), "a ring\n");
	ksft_test_result(test_sparse(tables), "a sparse array of 1 GiB\n");
	ksft_finished();
}
