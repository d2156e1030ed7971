// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fuzz.c - calls, mappings, netlink messages and settings at random, while memory is short
 *
 * Some processes share arenas and do with them what comes by chance, most of it nearly right:
 * numbers are mostly within bounds, and sometimes at their edges or anything.  They are in a
 * control group that has less memory than they touch, whose memory is reclaimed all the time, and
 * now and then one is killed.  What is expected is that the kernel does not complain, that nobody
 * hangs, and that nothing is left: the last two here, the first in the VM, best with a debug
 * kernel.
 *
 * FUZZ_SECONDS says for how long.
 */
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>

#include <linux/tricolor_netlink.h>

#include "cgroup.h"

#define WORKERS 4
#define SLOTS 8
#define BYTES (8 * MiB)			/* of an arena, at most */
#define MEMORY_MAX (24 * MiB)

#define REMAP_DONTUNMAP 4		/* of linux/mman.h */

struct mapping {
	char *p;
	uint64_t bytes;
};

struct worker {
	uint64_t seed;
	int fds[SLOTS];			/* owner's and collectors' alike; -1: none */
	struct mapping maps[SLOTS];
	int netlink, family;
	uint64_t done, ok;
};

static sigjmp_buf missed;
static volatile sig_atomic_t may_miss;

/* What is touched may be a hole, or not be there any more. */
static void on_fault(int number)
{
	if (may_miss)
		siglongjmp(missed, number);
	signal(number, SIG_DFL);
}

static uint64_t below(struct worker *w, uint64_t n)
{
	return draw_below(&w->seed, n);
}

static bool one_in(struct worker *w, uint64_t n)
{
	return !below(w, n);
}

/* An offset or a length, for the most part of whole pages of an arena. */
static uint64_t number(struct worker *w)
{
	static const uint64_t edges[] = {
		0, 1, PAGE - 1, PAGE, BYTES, BYTES + PAGE, HUGE, 1ull << 46, 1ull << 63, ~0ull,
		~0ull - PAGE + 1, 0x7fffffffffffffff, 0xffffffff,
	};

	if (one_in(w, 8))
		return edges[below(w, sizeof(edges) / sizeof(edges[0]))];
	if (one_in(w, 40))
		return draw(&w->seed);
	return below(w, BYTES / PAGE / (1 + below(w, 32))) * PAGE;
}

static uint32_t flags(struct worker *w)
{
	return one_in(w, 20) ? (uint32_t)draw(&w->seed) : one_in(w, 2) ? 0 : 1u << below(w, 4);
}

static int *slot(struct worker *w)
{
	return &w->fds[below(w, SLOTS)];
}

static void put_fd(struct worker *w, int fd)
{
	int *at = slot(w);

	if (fd < 0)
		return;
	if (*at >= 0)
		close(*at);
	*at = fd;
}

/* A place for results that is good, or is not there, or ends in the middle. */
static void *place(struct worker *w)
{
	static char *good;

	if (!good) {
		good = mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		mprotect(good + 4 * PAGE, PAGE, PROT_NONE);
	}
	if (one_in(w, 16))
		return NULL;
	if (one_in(w, 16))
		return good + 4 * PAGE - below(w, 200);
	/* The arena itself is a place too. */
	if (one_in(w, 16))
		return w->maps[below(w, SLOTS)].p;
	return good;
}

/* ------------------------------------------------------------------------------------------ */
/* What is done                                                                               */
/* ------------------------------------------------------------------------------------------ */

static int new_owner(struct worker *w)
{
	struct tricolor_create c = { .size = sizeof(c), .bytes = number(w) };
	int fd = open(DEV, O_RDWR | O_CLOEXEC), err;

	if (one_in(w, 3)) {
		c.flags = TRICOLOR_CREATE_HUGE;
		c.bytes = (1 + below(w, 4)) * HUGE;
	}
	if (fd < 0)
		return -errno;
	err = call(fd, TRICOLOR_IOC_CREATE, &c);
	/* Also one without an arena. */
	put_fd(w, fd);
	return err;
}

static int another_collector(struct worker *w)
{
	struct tricolor_collector c = { .size = sizeof(c), .fd = -1 };
	int err = call(*slot(w), TRICOLOR_IOC_COLLECTOR, &c);

	put_fd(w, c.fd);
	return err;
}

static int some_ranges(struct worker *w)
{
	struct tricolor_range r[40];
	struct tricolor_ranges v = { .size = sizeof(v),
				     .flags = flags(w),
				     .nr = (uint32_t)below(w, 40) };
	uint32_t i;

	memset(r, 0, sizeof(r));
	for (i = 0; i < v.nr; i++) {
		r[i].offset = number(w);
		r[i].length = one_in(w, 3) ? number(w) : (1 + below(w, 12)) * PAGE;
	}
	v.ranges = one_in(w, 20) ? (uintptr_t)place(w) : (uintptr_t)r;
	return call(*slot(w), TRICOLOR_IOC_RECLAIM, &v);
}

static int some_dirty(struct worker *w)
{
	struct tricolor_dirty d = { .size = sizeof(d), .flags = flags(w) };

	if (!d.flags || one_in(w, 4)) {
		d.length = number(w) % (4 * PAGE * 8 * PAGE);
		d.bitmap = (uintptr_t)place(w);
	} else if (d.flags == TRICOLOR_DIRTY_START) {
		d.length = BYTES;
	}
	if (one_in(w, 3))
		d.offset = number(w);
	return call(*slot(w), TRICOLOR_IOC_DIRTY, &d);
}

/* Any call with a structure of any contents that begins well. */
static int any_call(struct worker *w)
{
	uint64_t buffer[64] = { 0 }, i, words = below(w, 64);
	uint32_t size = one_in(w, 8) ? (uint32_t)draw(&w->seed) : (uint32_t)(16 + 8 * below(w, 16));

	for (i = 1; i < words; i++)
		buffer[i] = one_in(w, 4) ? number(w) : one_in(w, 3) ? (uintptr_t)place(w) : 0;
	buffer[0] = (uint64_t)flags(w) << 32 | size;
	return call(*slot(w), one_in(w, 10) ? draw(&w->seed) : TRICOLOR_IOC(below(w, 20)),
		    one_in(w, 10) ? place(w) : buffer);
}

static int map_some(struct worker *w)
{
	static const int kinds[] = {
		MAP_SHARED, MAP_SHARED, MAP_SHARED, MAP_PRIVATE, MAP_SHARED | MAP_POPULATE,
		MAP_SHARED | MAP_LOCKED, MAP_SHARED_VALIDATE, MAP_SHARED | MAP_NORESERVE,
	};
	struct mapping *m = &w->maps[below(w, SLOTS)];
	uint64_t bytes = one_in(w, 20) ? number(w) : (1 + below(w, BYTES / PAGE)) * PAGE;
	char *p = mmap(NULL, bytes, (int)below(w, 8), kinds[below(w, 8)], *slot(w),
		       one_in(w, 3) ? (off_t)number(w) : 0);

	if (p == MAP_FAILED)
		return -errno;
	if (m->p)
		munmap(m->p, m->bytes);
	/* The kernel maps whole pages. */
	*m = (struct mapping){ p, (bytes + PAGE - 1) / PAGE * PAGE };
	return 0;
}

/* Part of a mapping: its first byte, and how many. */
static char *part(struct worker *w, struct mapping **of, uint64_t *bytes)
{
	struct mapping *m = *of = &w->maps[below(w, SLOTS)];
	uint64_t first;

	if (!m->p)
		return NULL;
	first = below(w, m->bytes / PAGE) * PAGE;
	*bytes = (1 + below(w, (m->bytes - first) / PAGE)) * PAGE;
	return m->p + first;
}

static int touch(struct worker *w)
{
	struct mapping *m;
	uint64_t bytes;
	char *p = part(w, &m, &bytes);
	volatile uint64_t n = 1 + below(w, 64);

	if (!p)
		return -ENOENT;
	if (sigsetjmp(missed, 1)) {
		may_miss = 0;
		return -EFAULT;
	}
	may_miss = 1;
	for (; n; n--) {
		volatile char *q = p + below(w, bytes);

		if (one_in(w, 2))
			(void)*q;
		else
			*q = (char)n;
	}
	may_miss = 0;
	return 0;
}

/* All that is left of a mapping, part of which is gone: something else may be there soon. */
static void forget(struct mapping *m)
{
	munmap(m->p, m->bytes);
	m->p = NULL;
}

static int change_mapping(struct worker *w)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_REMOVE, MADV_PAGEOUT, MADV_COLD, MADV_FREE, MADV_WILLNEED,
		MADV_HUGEPAGE, MADV_NOHUGEPAGE, MADV_DOFORK, MADV_DONTFORK, MADV_DODUMP,
		MADV_MERGEABLE, MADV_POPULATE_READ, MADV_POPULATE_WRITE, 25 /* COLLAPSE */,
	};
	struct mapping *m;
	uint64_t bytes, moved = (1 + below(w, BYTES / PAGE)) * PAGE;
	char *p = part(w, &m, &bytes), *q;

	if (!p)
		return -ENOENT;
	switch (below(w, 6)) {
	case 0:
		return mprotect(p, bytes, (int)below(w, 8)) ? -errno : 0;
	case 1:
		if (munmap(p, bytes))
			return -errno;
		forget(m);
		return 0;
	case 2:
		q = mremap(p, bytes, moved, MREMAP_MAYMOVE | (one_in(w, 4) ? REMAP_DONTUNMAP : 0));
		if (q == MAP_FAILED)
			return -errno;
		/* It may be where it was, and is no longer there then. */
		forget(m);
		munmap(q, moved);
		return 0;
	case 3:
		return (one_in(w, 2) ? mlock(p, bytes) : munlock(p, bytes)) ? -errno : 0;
	case 4:
		return remap_file_pages(p, bytes, 0, below(w, BYTES / PAGE), 0) ? -errno : 0;
	default:
		return madvise(p, bytes, advice[below(w, sizeof(advice) / sizeof(advice[0]))]) ?
			-errno : 0;
	}
}

static int as_a_file(struct worker *w)
{
	static char buffer[3 * PAGE];
	char path[64];
	int fd = *slot(w), other;
	struct pollfd p = { .fd = fd, .events = (short)draw(&w->seed) };

	switch (below(w, 8)) {
	case 0:
		return pread(fd, buffer, below(w, sizeof(buffer)), (off_t)number(w)) < 0 ?
			-errno : 0;
	case 1:
		return pwrite(fd, buffer, below(w, sizeof(buffer)), (off_t)number(w)) < 0 ?
			-errno : 0;
	case 2:
		return lseek(fd, (off_t)number(w), (int)below(w, 6)) < 0 ? -errno : 0;
	case 3:
		return fallocate(fd, (int)below(w, 4), (off_t)number(w), (off_t)number(w)) ?
			-errno : 0;
	case 4:
		return ftruncate(fd, (off_t)number(w)) ? -errno : 0;
	case 5:
		return poll(&p, 1, 0) < 0 ? -errno : 0;
	case 6:
		snprintf(path, sizeof(path), "/proc/self/fd%s/%d", one_in(w, 2) ? "info" : "", fd);
		other = open(path, O_RDWR | O_CLOEXEC);
		if (other < 0)
			other = open(path, O_RDONLY | O_CLOEXEC);
		if (other >= 0 && read(other, buffer, sizeof(buffer)) < 0)
			errno = 0;
		return other < 0 ? -errno : close(other);
	default:
		put_fd(w, dup(fd));
		return 0;
	}
}

static int write_setting(struct worker *w)
{
	static const char *const names[] = {
		"gc_percent", "memory_limit_bytes", "state", "uevent",
	};
	static const char *const values[] = {
		"off", "none", "0", "-1", "100", "-2", "99999999999999999999", "", "x",
	};
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/tricolor/arena%llu/%s", (unsigned long long)below(w, 2000),
		 names[below(w, 4)]);
	return write_text(path, values[below(w, 9)]);
}

/*
 * Attributes of random kinds and lengths; answers pile up unread, until there is no room for more.
 */
static int send_message(struct worker *w)
{
	struct {
		struct nlmsghdr n;
		struct genlmsghdr g;
		char attributes[256];
	} m = { .n = { .nlmsg_type = (uint16_t)w->family, .nlmsg_flags = NLM_F_REQUEST },
		.g = { .cmd = (uint8_t)below(w, 10), .version = 1 } };
	uint64_t at = 0, i;
	char drain[8192];

	if (one_in(w, 3))
		m.n.nlmsg_flags |= NLM_F_DUMP;
	while (at < 200 && !one_in(w, 4)) {
		struct nlattr *a = (struct nlattr *)(m.attributes + at);
		uint64_t payload = one_in(w, 6) ? below(w, 40) : one_in(w, 2) ? 4 : 8;

		a->nla_type = (uint16_t)(one_in(w, 10) ? draw(&w->seed) :
							 below(w, TRICOLOR_A_ARENA_MAX + 2));
		a->nla_len = (uint16_t)(one_in(w, 20) ? draw(&w->seed) : NLA_HDRLEN + payload);
		for (i = 0; i < payload && at + NLA_HDRLEN + i < sizeof(m.attributes); i++)
			m.attributes[at + NLA_HDRLEN + i] = one_in(w, 3) ? (char)draw(&w->seed) : 0;
		at += NLA_HDRLEN + NLA_ALIGN(payload);
	}
	m.n.nlmsg_len = (uint32_t)(NLMSG_LENGTH(GENL_HDRLEN) +
				   (at < sizeof(m.attributes) ? at : sizeof(m.attributes)));
	while (recv(w->netlink, drain, sizeof(drain), MSG_DONTWAIT) > 0)
		;
	return send(w->netlink, &m, m.n.nlmsg_len, MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int fork_one(struct worker *w)
{
	pid_t pid = fork();

	if (!pid) {
		w->seed ^= 0x5555;
		touch(w);
		change_mapping(w);
		_exit(0);
	}
	return pid < 0 ? -errno : wait_child(pid);
}

static int drop_one(struct worker *w)
{
	int *at = slot(w);

	if (*at < 0)
		return -ENOENT;
	close(*at);
	*at = -1;
	return 0;
}

static const struct {
	int weight;
	int (*run)(struct worker *w);
} actions[] = {
	{ 4, new_owner }, { 6, another_collector }, { 24, some_ranges }, { 12, some_dirty },
	{ 12, any_call }, { 12, map_some }, { 40, touch }, { 10, change_mapping },
	{ 12, as_a_file }, { 4, write_setting }, { 8, send_message }, { 1, fork_one },
	{ 3, drop_one },
};

/* ------------------------------------------------------------------------------------------ */
/* Processes                                                                                  */
/* ------------------------------------------------------------------------------------------ */

/* The number of the netlink family "tricolor"; 0: none. */
static int find_family(int sock)
{
	struct {
		struct nlmsghdr n;
		struct genlmsghdr g;
		struct nlattr a;
		char name[16];
	} ask = { .n = { .nlmsg_len = sizeof(ask),
			 .nlmsg_type = GENL_ID_CTRL,
			 .nlmsg_flags = NLM_F_REQUEST },
		  .g = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		  .a = { .nla_type = CTRL_ATTR_FAMILY_NAME,
			 .nla_len = NLA_HDRLEN + sizeof(TRICOLOR_FAMILY_NAME) },
		  .name = TRICOLOR_FAMILY_NAME };
	char answer[8192];
	ssize_t n, at = NLMSG_LENGTH(GENL_HDRLEN);

	if (send(sock, &ask, sizeof(ask), 0) < 0)
		return 0;
	n = recv(sock, answer, sizeof(answer), 0);
	while (at + NLA_HDRLEN <= n) {
		struct nlattr *a = (struct nlattr *)(answer + at);

		if (a->nla_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)(answer + at + NLA_HDRLEN);
		at += NLA_ALIGN(a->nla_len);
	}
	return 0;
}

/*
 * The arenas that all of them have: the owner's and the collector's descriptor of one with small
 * and one with huge pages.
 */
static int shared[4];

static void make_shared(void)
{
	shared[0] = new_arena(BYTES, 0, NULL);
	shared[1] = new_collector(shared[0]);
	shared[2] = has_feature(TRICOLOR_FEATURE_HUGE) ?
			    new_arena(BYTES, TRICOLOR_CREATE_HUGE, NULL) :
			    dup(shared[0]);
	shared[3] = new_collector(shared[2]);
}

static void work(uint64_t seed, const struct cgroup *c)
{
	struct sigaction action = { .sa_handler = on_fault };
	struct worker w = { .seed = seed | 1 };
	uint64_t i, all = 0, at;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	cgroup_set(c, "cgroup.procs", "0");
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	w.netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	w.family = find_family(w.netlink);
	for (i = 0; i < SLOTS; i++)
		w.fds[i] = i < 4 ? dup(shared[i]) : -1;
	for (i = 0; i < sizeof(actions) / sizeof(actions[0]); i++)
		all += (uint64_t)actions[i].weight;
	/* Until it is killed. */
	for (;;) {
		for (i = 0, at = below(&w, all); at >= (uint64_t)actions[i].weight; i++)
			at -= (uint64_t)actions[i].weight;
		w.ok += !actions[i].run(&w);
		w.done++;
	}
}

static pid_t start_worker(uint64_t seed, const struct cgroup *c)
{
	pid_t pid = fork();

	if (!pid) {
		work(seed, c);
		_exit(1);
	}
	ASSERT_LT(0, pid);
	return pid;
}

TEST_TIMEOUT(anything, 600)
{
	uint64_t seed, end, killed = 0, i;
	const char *seconds = getenv("FUZZ_SECONDS");
	pid_t pids[WORKERS];
	struct cgroup c;

	REQUIRE_MODULE();
	REQUIRE_CGROUPS();
	seed = test_seed();
	make_shared();
	c = cgroup_new("fuzz");
	cgroup_set_bytes(&c, "memory.max", MEMORY_MAX);
	for (i = 0; i < WORKERS; i++)
		pids[i] = start_worker(draw(&seed), &c);
	end = now_ns() + (seconds ? strtoull(seconds, NULL, 10) : 4) * 1000000000ull;
	while (now_ns() < end) {
		int status;
		pid_t pid;

		cgroup_set(&c, "memory.reclaim", "4M");
		if (!(draw(&seed) & 0x700))
			write_text("/proc/sys/vm/compact_memory", "1");
		if (!(draw(&seed) & 0xf00))
			kill(pids[draw_below(&seed, WORKERS)], SIGKILL);
		/* Nobody ends but by that, or for want of memory. */
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
				TH_LOG("a worker has ended by itself: %#x", (unsigned int)status);
			EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
			killed++;
			for (i = 0; i < WORKERS; i++)
				if (pids[i] == pid)
					pids[i] = start_worker(draw(&seed), &c);
		}
		usleep(5000);
	}
	for (i = 0; i < WORKERS; i++) {
		kill(pids[i], SIGKILL);
		EXPECT_EQ(128 + SIGKILL, wait_child(pids[i]));
	}
	EXPECT_TRUE(cgroup_remove(&c));
	TH_LOG("%llu were killed meanwhile", (unsigned long long)killed);
}

TEST_HARNESS_MAIN
