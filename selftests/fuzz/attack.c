// SPDX-License-Identifier: GPL-2.0-only
/*
 * attack.c - hostile clients of a collector
 *
 *	attack SOCKET DAEMON_PID SECONDS SEED
 *
 * Each attacker is a forked process that makes an arena by hand, attaches it, and answers
 * handshakes while threads scribble over everything: random words, and garbage with a structure
 * that passes the first checks (span classes of every kind, spans that end beyond the heap, lists
 * that go round, pointers everywhere).  Others attach with a file that is none: unsealed, too
 * short, with a header that lies; send messages that are no protocol, or truncated, or the wrong
 * answer; close at any moment; or never answer.
 *
 * All the while a well-behaved client (selftests/fuzz/witness.c) uses the same collector; run.sh
 * looks after it.  Here the collector is watched: it must live, and its own memory must stay small.
 */
#define TRI_NO_THREAD_REDIRECTS		/* nothing of the library is linked */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include "core/heap/buffer.h"
#include "core/proto/client.h"
#include "core/proto/control.h"
#include "core/heap/sizeclass.h"
#include "core/heap/span.h"
#include "core/heap/special.h"
#include "lib/process.h"

#define HEAP_PAGES (TRI_CHUNK_PAGES * 4)
#define ATTACKERS 3
#define LIFE_NS 400000000ull
/* What hostile clients may cost: their queues are bounded by their heaps. */
#define ANON_MAX_KB (256l << 10)

static const char *socket_path;
static struct tri_view view;
static uint64_t seed;

static int connect_daemon(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	if (strlen(socket_path) < sizeof(addr.sun_path))
		strcpy(addr.sun_path, socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		_exit(2);
	return fd;
}

/* Send @bytes of @msg, with @fd if it is one. */
static bool send_with(int sock, const struct tri_msg *msg, size_t bytes, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { (void *)msg, bytes };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *c;

		m.msg_control = control;
		m.msg_controllen = sizeof(control);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) == (ssize_t)bytes;
}

/* An arena as the library makes it. */
static int make_arena(int seals)
{
	struct tri_layout layout;
	struct tri_ctl *ctl;
	void *base;
	int fd = memfd_create("tricolor", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || tri_layout_init(&layout, HEAP_PAGES) ||
	    ftruncate(fd, (off_t)layout.file_bytes) || (seals && fcntl(fd, F_ADD_SEALS, seals)))
		_exit(2);
	base = mmap(NULL, layout.file_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		    0);
	if (base == MAP_FAILED)
		_exit(2);
	ctl = base;
	tri_view_init(&view, base, &layout, 0x7f0000000000ull);
	/* With holes in it an arena is given up at once, and the rest of the attack is lost. */
	memset(view.slots, 0, layout.buffers + 64 * sizeof(struct tri_buffer) - layout.slots);
	memset(view.heap, 0, (size_t)HEAP_PAGES << TRI_PAGE_SHIFT);
	ctl->magic = TRI_MAGIC;
	ctl->layout_version = TRI_LAYOUT_VERSION;
	ctl->ctl_bytes = sizeof(*ctl);
	ctl->heap_pages = HEAP_PAGES;
	ctl->file_bytes = layout.file_bytes;
	ctl->heap_va = view.heap_va;
	ctl->pid = (uint32_t)getpid();
	tri_write(&ctl->gc_percent, 100);
	tri_write(&ctl->memory_limit_bytes, INT64_MAX);
	tri_write(&ctl->debug, (uint32_t)draw_below(&seed, 4));
	tri_write(&ctl->top_pages, HEAP_PAGES);
	atomic_fetch_or(&view.used[0], 1);
	return fd;
}

/* ------------------------------------------------------------------------------------------ */
/* Scribbling                                                                                 */
/* ------------------------------------------------------------------------------------------ */

/* A word that means something somewhere. */
static uint64_t word(uint64_t *r)
{
	uint64_t page = draw_below(r, HEAP_PAGES);

	switch (draw_below(r, 10)) {
	case 0: return 0;
	case 1: return ~0ull;
	case 2: return draw(r);
	case 3: return page;
	case 4: return view.heap_va + draw_below(r, (uint64_t)HEAP_PAGES << TRI_PAGE_SHIFT);
	case 5: return TRI_ENTRY_GREY | page << TRI_PAGE_SHIFT;
	case 6: return HEAP_PAGES - draw_below(r, 3);
	case 7: return draw(r) >> draw_below(r, 64);
	case 8: return TRI_STATE(draw(r), draw_below(r, 7), draw_below(r, 600), draw_below(r, 5));
	default: return 1ull << draw_below(r, 64);
	}
}

static void random_words(uint64_t *r)
{
	const struct tri_layout *l = &view.layout;
	const uint64_t parts[] = { 0,		l->slots,    l->page_map, l->span_of,
				   l->spans,	l->used,     l->backed,	  l->chunks,
				   l->marks[0], l->marks[1], l->scanned,  l->ptrmap,
				   l->queued,	l->grey,     l->buffers,  l->cards,
				   l->specials_of, l->specials, l->heap,  l->file_bytes };
	unsigned int n = sizeof(parts) / sizeof(parts[0]) - 1, i = (unsigned int)draw_below(r, n),
		     k;
	uint64_t bytes = parts[i + 1] - parts[i];
	char *base = (char *)view.ctl;

	/* Not all over the heap and the buffers: that would only be memory. */
	if (bytes > 1 << 20)
		bytes = 1 << 20;
	for (k = 0; k < 200; k++)
		*(volatile uint64_t *)(base + parts[i] + draw_below(r, bytes / 8) * 8) = word(r);
}

/* A span of any kind, whole and consistent but for where it lies and how long it claims to be. */
static void plausible_span(uint64_t *r, uint32_t page)
{
	uint32_t span_class = 1 + (uint32_t)draw_below(r, TRI_SPAN_CLASS_MAX), i, first = page;
	const struct tri_class *c = &tri_classes[span_class];
	uint32_t pages = c->large ? 1 + (uint32_t)draw_below(r, HEAP_PAGES) : c->pages;

	if (!draw_below(r, 4))
		pages = HEAP_PAGES - page + (uint32_t)draw_below(r, 2);
	tri_write(&view.spans[page].pages, pages);
	tri_write(&view.spans[page].state,
		  TRI_STATE(span_class, c->large ? TRI_SPAN_LARGE : TRI_SPAN_IDLE, 0,
			    draw_below(r, 4)));
	for (i = 0; i < pages && i < 64 && page + i < HEAP_PAGES; i++) {
		tri_write(&view.span_of[page + i], draw_below(r, 50) ? first : page + i);
		tri_write(&view.page_map[page + i], (uint8_t)span_class);
		atomic_fetch_or(&view.used[(page + i) / 64], 1ull << ((page + i) & 63));
	}
	for (i = 0; i < TRI_MARK_WORDS; i++) {
		tri_write(&view.marks[0][page][i], draw_below(r, 2) ? ~0ull : draw(r));
		tri_write(&view.marks[1][page][i], draw_below(r, 2) ? 0 : draw(r));
		tri_write(&view.scanned[page][i], 0);
	}
	for (i = 0; i < TRI_PAGE_BYTES / 8; i += 1 + (uint32_t)draw_below(r, 30))
		((volatile uint64_t *)(view.heap + ((uint64_t)page << TRI_PAGE_SHIFT)))[i] =
			word(r);
}

/* Every page is a large object that reaches to the end, and all of them point at each other. */
static void nested_giants(uint64_t *r)
{
	uint32_t page;

	for (page = 1; page < HEAP_PAGES; page++) {
		tri_write(&view.span_of[page], page);
		tri_write(&view.spans[page].pages, HEAP_PAGES - page);
		tri_write(&view.spans[page].state,
			  TRI_STATE(TRI_SPAN_CLASS_LARGE + 1, TRI_SPAN_LARGE, 0, 0));
		tri_write(&view.page_map[page], TRI_SPAN_CLASS_LARGE + 1);
		tri_write(&view.marks[draw(r) & 1][page][0], draw(r) & 1);
		*(volatile uint64_t *)(view.heap + ((uint64_t)page << TRI_PAGE_SHIFT)) =
			view.heap_va + (draw_below(r, HEAP_PAGES) << TRI_PAGE_SHIFT);
	}
}

/* Buffers full of entries, on queues that go round. */
static void plausible_buffers(uint64_t *r)
{
	uint32_t i, k;

	for (i = 0; i < 20; i++) {
		struct tri_buffer *b = &view.buffers[i];

		for (k = 0; k < TRI_BUFFER_ENTRIES; k += 3)
			tri_write(&b->entry[k], word(r));
		tri_write(&b->count, (uint32_t)(draw_below(r, 3) ? TRI_BUFFER_ENTRIES : draw(r)));
		tri_write(&b->next, (uint32_t)draw_below(r, 21));
		tri_write(&b->state, (uint32_t)draw_below(r, 5));
		tri_write(&view.slots[i].buffer, (uint32_t)(draw_below(r, 9) ? i + 1 : draw(r)));
	}
	tri_write(&view.ctl->slots_top, (uint32_t)(draw_below(r, 3) ? 20 : draw(r)));
	tri_write(&view.ctl->full_buffers, draw(r) << 32 | draw_below(r, 21));
	tri_write(&view.ctl->free_buffers, draw(r) << 32 | draw_below(r, 21));
}

/* Records of every state and kind, most of them of objects that may exist. */
static void plausible_records(uint64_t *r)
{
	uint32_t room = (uint32_t)tri_specials_room(&view), i, k;

	for (k = 0; k < 100; k++) {
		struct tri_special *s;

		i = (uint32_t)draw_below(r, draw_below(r, 2) ? 256 : room);
		s = &view.specials[i];
		tri_write(&s->target, draw_below(r, 4) ?
			  draw_below(r, (uint64_t)HEAP_PAGES << TRI_PAGE_SHIFT) : word(r));
		tri_write(&s->argument, word(r));
		tri_write(&s->next, (uint32_t)draw_below(r, room));
		tri_write(&s->word, TRI_SPECIAL_WORD(draw_below(r, 4), draw_below(r, 4), draw(r)));
	}
	tri_write(&view.ctl->specials_top,
		  draw_below(r, 3) ? (uint32_t)draw_below(r, room + 1) : (uint32_t)word(r));
}

static void *scribble(void *arg)
{
	uint64_t r = seed ^ ((uintptr_t)arg + 1) * 0x9e3779b97f4a7c15ull;
	bool giants = !draw_below(&r, 3), holes = !draw_below(&r, 6);

	for (;;) {
		/* The end of the heap is where a span is most easily too long. */
		uint32_t page = draw_below(&r, 3) ? 1 + (uint32_t)draw_below(&r, HEAP_PAGES - 1) :
				HEAP_PAGES - 1 - (uint32_t)draw_below(&r, 3);

		if (draw_below(&r, 2))
			plausible_span(&r, page);
		else
			random_words(&r);
		if (!draw_below(&r, 20))
			plausible_buffers(&r);
		if (!draw_below(&r, 20))
			plausible_records(&r);
		if (giants && !draw_below(&r, 200))
			nested_giants(&r);
		if (!draw_below(&r, 50)) {
			tri_write(&view.ctl->allocated_bytes, draw(&r) >> draw_below(&r, 64));
			tri_write(&view.ctl->freed_bytes, draw(&r) >> draw_below(&r, 64));
		}
		if (holes && !draw_below(&r, 100))
			madvise(view.heap + (draw_below(&r, HEAP_PAGES) << TRI_PAGE_SHIFT), 1 << 16,
				MADV_REMOVE);
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------ */
/* Kinds of attackers                                                                         */
/* ------------------------------------------------------------------------------------------ */

static struct tri_msg hello(void)
{
	struct tri_msg m = { .type = TRI_MSG_HELLO, .version = TRI_PROTO_ID, .text = "0.1.0" };

	m.cycle = (uint32_t)draw_below(&seed, 4);
	m.hello.flags = draw_below(&seed, 8) ? 0 : TRI_HELLO_TRACE_GC;
	m.client.fds[0] = TRI_FD_ARENA;
	return m;
}

/* Attach a valid arena, scribble, ask for cycles, answer rightly. */
static void play_along(void)
{
	int fd = make_arena(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL), sock = connect_daemon();
	struct tri_msg m = hello(), answer;
	uint64_t end = now_ns() + LIFE_NS / 4 + draw_below(&seed, LIFE_NS);
	bool lazy = !draw_below(&seed, 6);
	uint32_t wanted = 0;
	pthread_t t;

	plausible_buffers(&seed);
	if (!draw_below(&seed, 3))
		nested_giants(&seed);
	if (!send_with(sock, &m, sizeof(m), fd) || recv(sock, &m, sizeof(m), 0) != sizeof(m) ||
	    m.type != TRI_MSG_WELCOME)
		_exit(3);
	pthread_create(&t, NULL, scribble, NULL);
	pthread_create(&t, NULL, scribble, (void *)1);
	while (now_ns() < end) {
		struct pollfd p = { .fd = sock, .events = POLLIN };
		struct tri_msg ask = { .type = TRI_MSG_REQUEST };

		ask.request.wants = draw_below(&seed, 16);
		wanted++;
		ask.request.gc_number = ask.request.free_number = wanted;
		if (!send_with(sock, &ask, sizeof(ask), -1))
			_exit(0);
		while (poll(&p, 1, 1) > 0) {
			if (recv(sock, &m, sizeof(m), 0) != sizeof(m))
				_exit(0);
			if (m.type != TRI_MSG_HANDSHAKE || (lazy && !draw_below(&seed, 30)))
				continue;
			memset(&answer, 0, sizeof(answer));
			answer.type = TRI_MSG_ANSWER;
			answer.kind = m.kind;
			answer.cycle = m.cycle;
			answer.answer.allocated_bytes = word(&seed);
			answer.answer.threads = (uint32_t)word(&seed);
			answer.answer.root_bytes = word(&seed);
			answer.answer.kept_bytes = word(&seed);
			answer.answer.interrupted_max_ns = word(&seed);
			if (!send_with(sock, &answer, sizeof(answer), -1))
				_exit(0);
		}
	}
	_exit(0);
}

/* Files that must be refused. */
static void false_file(void)
{
	struct tri_msg m = hello();
	int fd, sock = connect_daemon(), seals = F_SEAL_SHRINK | F_SEAL_GROW;
	int kind = (int)draw_below(&seed, 9);

	fd = make_arena(kind == 0 ? 0 :
			kind == 1 ? F_SEAL_GROW :
			kind == 2 ? F_SEAL_SHRINK :
				    seals);
	/* A word that happens to be right is no false arena. */
	while (kind == 3 && view.ctl->heap_pages == HEAP_PAGES)
		view.ctl->heap_pages = word(&seed);
	if (kind == 4)
		view.ctl->heap_va = word(&seed) | 1;
	if (kind == 5)
		view.ctl->magic = word(&seed);
	if (kind == 6) {
		fd = memfd_create("short", MFD_ALLOW_SEALING);
		if (ftruncate(fd, (off_t)draw_below(&seed, 5000)) || fcntl(fd, F_ADD_SEALS, seals))
			_exit(2);
	}
	if (kind == 7)
		fd = open("/dev/zero", O_RDWR);
	if (kind == 8)
		m.version = (uint32_t)draw(&seed);
	if (!send_with(sock, &m, sizeof(m), fd))
		_exit(0);
	if (recv(sock, &m, sizeof(m), 0) != sizeof(m))
		_exit(0);
	_exit(m.type == TRI_MSG_WELCOME ? 4 : 0);
}

/* Messages that are none, before or after a HELLO. */
static void false_messages(void)
{
	int sock = connect_daemon(), fd, i;
	struct tri_msg m = hello();

	if (draw_below(&seed, 2)) {
		fd = make_arena(F_SEAL_SHRINK | F_SEAL_GROW);
		if (!send_with(sock, &m, sizeof(m), fd))
			_exit(0);
	}
	for (i = (int)draw_below(&seed, 6); i; i--) {
		uint64_t *w = (uint64_t *)&m;
		size_t k;

		for (k = 0; k < sizeof(m) / 8; k++)
			w[k] = word(&seed);
		if (draw_below(&seed, 2))
			m.type = (uint32_t)draw_below(&seed, 9);
		fd = draw_below(&seed, 2) ? make_arena(0) : -1;
		if (!send_with(sock, &m,
			       draw_below(&seed, 2) ? sizeof(m) : 1 + draw_below(&seed, 511), fd))
			_exit(0);
	}
	/* Some stay a while, and say nothing more. */
	if (draw_below(&seed, 2))
		pause_ns(draw_below(&seed, LIFE_NS));
	_exit(0);
}

/* An attached client that never answers, or gives the wrong answer. */
static void false_answers(void)
{
	int fd = make_arena(F_SEAL_SHRINK | F_SEAL_GROW), sock = connect_daemon();
	struct tri_msg m = hello(), ask = { .type = TRI_MSG_REQUEST,
					    .request = { TRI_REQUEST_GC, .gc_number = 1 } };

	send_with(sock, &m, sizeof(m), fd);
	send_with(sock, &ask, sizeof(ask), -1);
	while (draw_below(&seed, 8) && recv(sock, &m, sizeof(m), 0) == sizeof(m)) {
		if (m.type != TRI_MSG_HANDSHAKE)
			continue;
		m.type = TRI_MSG_ANSWER;
		m.hello.flags = 0;
		if (!draw_below(&seed, 3))
			m.cycle += (uint32_t)draw(&seed);
		if (!draw_below(&seed, 3))
			m.kind = (uint32_t)draw_below(&seed, 9);
		send_with(sock, &m, sizeof(m), -1);
	}
	if (draw_below(&seed, 2))
		pause_ns(draw_below(&seed, LIFE_NS));
	_exit(0);
}

static void attack(uint64_t s)
{
	seed = s;
	/* What is looked for is hostility in the arena, not a lack of CPUs. */
	if (nice(10) == -1 && errno)
		errno = 0;
	switch (draw_below(&seed, 8)) {
	case 0: false_file(); break;
	case 1: false_messages(); break;
	case 2: false_answers(); break;
	default: play_along();
	}
}

/*
 * Main thread, helper, and the witness's, and two of each of those that left last.
 */
#define DESCRIPTORS_MAX (16 + 2 * CONTROL_ENDED_MAX)

static void print_descriptors(pid_t pid)
{
	char folder[64], path[400], to[256];
	struct dirent *e;
	ssize_t n;
	DIR *d;

	snprintf(folder, sizeof(folder), "/proc/%d/fd", pid);
	d = opendir(folder);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		n = readlink(path, to, sizeof(to) - 1);
		if (n < 0)
			continue;
		to[n] = 0;
		ksft_print_msg("%s: %s\n", e->d_name, to);
	}
	if (d)
		closedir(d);
}

/*
 * It waits for what attackers left undone, and has many of them to end: as long as it goes on it
 * may take its time.
 */
static bool has_let_go(pid_t daemon)
{
	int n = proc_entries(daemon, "fd");

	while (n > DESCRIPTORS_MAX) {
		if (!WAIT_FOR(proc_entries(daemon, "fd") < n, 10000000, PATIENCE_NS)) {
			print_descriptors(daemon);
			return false;
		}
		n = proc_entries(daemon, "fd");
	}
	return n >= 0;
}

int main(int argc, char **argv)
{
	uint64_t state, end, n = 0, accepted = 0, crashed = 0;
	struct { pid_t pid; uint64_t seed; } running[ATTACKERS] = { { 0, 0 } };
	long peak_kb = 0, last_kb;
	bool alive = true, rested;
	pid_t daemon;
	int i;

	if (argc != 5)
		return 2;
	socket_path = argv[1];
	daemon = atoi(argv[2]);
	end = now_ns() + strtoull(argv[3], NULL, 10) * 1000000000;
	state = strtoull(argv[4], NULL, 0) | 1;
	ksft_print_header();
	ksft_set_plan(4);
	ksft_print_msg("seed %#llx\n", (unsigned long long)state);
	tri_classes_init();
	while (now_ns() < end && alive) {
		for (i = 0; i < ATTACKERS; i++) {
			int status;

			if (running[i].pid && waitpid(running[i].pid, &status, WNOHANG) == 0)
				continue;
			if (running[i].pid && !(WIFEXITED(status) && WEXITSTATUS(status) <= 3)) {
				bool welcome = WIFEXITED(status) && WEXITSTATUS(status) == 4;

				accepted += welcome;
				/* Its own scribbling can't hurt it: it walks nothing. */
				crashed += !welcome;
				ksft_print_msg("attacker %#llx: status %#x\n",
					       (unsigned long long)running[i].seed, status);
			}
			running[i].seed = draw(&state);
			fflush(stdout);
			running[i].pid = fork();
			if (!running[i].pid) {
				attack(running[i].seed);
				_exit(0);
			}
			n++;
		}
		pause_ns(2000000);
		last_kb = proc_status(daemon, "RssAnon");
		alive = last_kb >= 0;
		peak_kb = last_kb > peak_kb ? last_kb : peak_kb;
		/* One that is being eaten alive is not to take the machine with it. */
		if (peak_kb > 4 * ANON_MAX_KB)
			break;
	}
	for (i = 0; i < ATTACKERS; i++) {
		kill(running[i].pid, SIGKILL);
		wait_status(running[i].pid);
	}
	ksft_print_msg("%llu attackers; the collector's own memory was %ld MiB at most\n",
		       (unsigned long long)n, peak_kb >> 10);
	ksft_test_result(alive && !kill(daemon, 0), "the collector lives\n");
	ksft_test_result(!accepted && !crashed, "no false arena was accepted\n");
	ksft_test_result(peak_kb <= ANON_MAX_KB * (getenv("FUZZ_SANITIZED") ? 4 : 1),
			 "its memory is bounded\n");
	rested = has_let_go(daemon);
	ksft_test_result(rested, "it has let go of the dead (%d descriptors)\n",
			 proc_entries(daemon, "fd"));
	ksft_finished();
}
