// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_trace.c - tracepoints tricolor:*: they are there, and say what happened as name=value
 *
 * In an instance of its own of the tracing system, so that nobody else's tracing is disturbed.
 */
#include <sys/syscall.h>

#include <linux/bpf.h>

#include "arena.h"

#define TRACING "/sys/kernel/tracing"
#define BYTES (4 * MiB)

FIXTURE(trace)
{
	char folder[96];
};

static void file_of(const struct trace_self *self, const char *name, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", self->folder, name);
}

static int set(const struct trace_self *self, const char *name, const char *text)
{
	char path[192];

	file_of(self, name, path, sizeof(path));
	return write_text(path, text);
}

FIXTURE_SETUP(trace)
{
	REQUIRE_MODULE();
	if (access(TRACING "/events", F_OK))
		SKIP(return, "no tracefs at " TRACING);
	snprintf(self->folder, sizeof(self->folder), TRACING "/instances/tricolor-%d", getpid());
	ASSERT_EQ(0, mkdir(self->folder, 0700));
	EXPECT_EQ(0, set(self, "events/tricolor/enable", "1"));
}

FIXTURE_TEARDOWN(trace)
{
	set(self, "events/tricolor/enable", "0");
	rmdir(self->folder);
}

/* How many lines of the trace contain @event and then all of @fields in order; "%u" is @id. */
static int lines(const struct trace_self *self, const char *event, const char *fields)
{
	char path[192], line[1024], want[128], *p, *word, *rest, copy[512];
	int n = 0;
	FILE *f;

	file_of(self, "trace", path, sizeof(path));
	f = fopen(path, "re");
	if (!f) {
		TH_LOG("%s: %s", path, strerror(errno));
		th_fail(true);
	}
	snprintf(want, sizeof(want), ": %s: ", event);
	while (fgets(line, sizeof(line), f)) {
		bool all = true;

		p = strstr(line, want);
		if (!p)
			continue;
		p += strlen(want);
		snprintf(copy, sizeof(copy), "%s", fields);
		rest = NULL;
		for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
			p = strstr(p, word);
			if (!p) {
				all = false;
				break;
			}
			/* A whole value. */
			p += strlen(word);
			all &= *p == ' ' || *p == '\n' || word[strlen(word) - 1] == '=';
		}
		n += all;
	}
	fclose(f);
	return n;
}

#define EXPECT_LINE(self, event, ...)						\
	do {									\
		char fields_[256];						\
										\
		snprintf(fields_, sizeof(fields_), __VA_ARGS__);		\
		if (!lines(self, event, fields_))				\
			TH_LOG("no %s with '%s'", event, fields_);		\
		EXPECT_LT(0, lines(self, event, fields_));			\
	} while (0)

TEST_F(trace, life)
{
	uint32_t id;
	int fd = new_arena(BYTES, 0, &id);
	int collector = new_collector(fd);

	EXPECT_LINE(self, "tricolor_arena_new", "arena=%u owner=%d bytes=%llu flags=0x0", id, getpid(),
		    BYTES);
	close(fd);
	EXPECT_LINE(self, "tricolor_arena_orphan", "arena=%u", id);
	EXPECT_EQ(0, lines(self, "tricolor_arena_gone", ""));
	close(collector);
	EXPECT_LINE(self, "tricolor_arena_gone", "arena=%u", id);
}

TEST_F(trace, reclaim)
{
	struct tricolor_range r[2] = { { .length = PAGE }, { .offset = 8 * PAGE, .length = PAGE } };
	uint32_t id;
	int fd = new_arena(BYTES, 0, &id);
	char *p = map_rw(fd, BYTES);

	memset(p, 1, 16 * PAGE);
	ASSERT_EQ(0, reclaim_ranges(fd, r, 2, NULL));
	EXPECT_LINE(self, "tricolor_reclaim", "arena=%u ranges=2 bytes=8192", id);
}

TEST_F(trace, dirty)
{
	uint64_t bits[BYTES / PAGE / 64];
	uint32_t id;
	int fd = new_arena(BYTES, 0, &id);
	char *p = map_rw(fd, BYTES);

	if (!has_feature(TRICOLOR_FEATURE_DIRTY))
		SKIP(return, "no dirty tracking on this kernel");
	memset(p, 1, BYTES);
	ASSERT_EQ(0, dirty_call(fd, TRICOLOR_DIRTY_START, 0, BYTES, NULL, NULL));
	p[0] = p[5 * PAGE] = 2;
	ASSERT_EQ(0, dirty_call(fd, 0, 0, BYTES, bits, NULL));
	ASSERT_EQ(0, dirty_call(fd, TRICOLOR_DIRTY_STOP, 0, 0, NULL, NULL));
	EXPECT_LINE(self, "tricolor_dirty", "arena=%u op=start bytes=%llu", id, BYTES);
	EXPECT_LINE(self, "tricolor_dirty", "arena=%u op=collect bytes=%llu dirty_pages=2", id, BYTES);
	EXPECT_LINE(self, "tricolor_dirty", "arena=%u op=stop", id);
}

TEST_F(trace, what_the_collector_publishes)
{
	struct tricolor_pacer p = {
		.size = sizeof(p), .events = TRICOLOR_EVENT_PHASE, .phase = TRICOLOR_PHASE_MARK,
		.goal_bytes = 11, .trigger_bytes = 12, .live_bytes = 13, .memory_limit_bytes = 14,
		.budget_bytes = 15, .cycles = 16, .mark_cpu_ns = 17, .gc_percent = 20,
		.gc_cpu_ppm = 21, .interrupted_max_ns = 19,
	};
	uint32_t id;
	int fd = new_arena(BYTES, 0, &id), collector = new_collector(fd);

	ASSERT_EQ(0, call(collector, TRICOLOR_IOC_PUBLISH, &p));
	EXPECT_LINE(self, "tricolor_phase", "arena=%u phase=mark cycles=16", id);
	EXPECT_EQ(0, lines(self, "tricolor_pacer", ""));
	p.events = TRICOLOR_EVENT_PACER | TRICOLOR_EVENT_LIMIT;
	ASSERT_EQ(0, call(collector, TRICOLOR_IOC_PUBLISH, &p));
	EXPECT_LINE(self, "tricolor_pacer", "arena=%u cycles=16 goal_bytes=11 trigger_bytes=12 "
		    "live_bytes=13 mark_cpu_ns=17 interrupted_max_ns=19 gc_cpu_ppm=21", id);
	EXPECT_LINE(self, "tricolor_limit",
		    "arena=%u memory_limit_bytes=14 budget_bytes=15 gc_percent=20", id);
	EXPECT_EQ(0, lines(self, "tricolor_limiter", ""));
	p.events = TRICOLOR_EVENT_LIMITER;
	p.limiter = 1;
	ASSERT_EQ(0, call(collector, TRICOLOR_IOC_PUBLISH, &p));
	EXPECT_LINE(self, "tricolor_limiter", "arena=%u on=1 gc_cpu_ppm=21", id);
	EXPECT_EQ(1, lines(self, "tricolor_phase", ""));
}

TEST_F(trace, tunables)
{
	char path[96];
	uint32_t id;
	int fd = new_arena(BYTES, 0, &id);

	snprintf(path, sizeof(path), "/sys/class/tricolor/arena%u/gc_percent", id);
	ASSERT_EQ(0, write_text(path, "77"));
	EXPECT_LINE(self, "tricolor_tunables", "arena=%u set=0x1 gc_percent=77", id);
	close(fd);
}

/* The filter language knows the fields, by the names that tools will use. */
TEST_F(trace, fields_can_be_filtered)
{
	uint32_t id;
	int fd = new_arena(BYTES, 0, &id);

	ASSERT_EQ(0, set(self, "events/tricolor/tricolor_reclaim/filter", "bytes > 4096"));
	memset(map_rw(fd, BYTES), 1, 16 * PAGE);
	ASSERT_EQ(0, reclaim(fd, 0, PAGE));
	ASSERT_EQ(0, reclaim(fd, PAGE, 2 * PAGE));
	EXPECT_EQ(0, lines(self, "tricolor_reclaim", "bytes=4096"));
	EXPECT_EQ(1, lines(self, "tricolor_reclaim", "bytes=8192"));
}

/* ------------------------------------------------------------------------------------------ */
/* BPF                                                                                        */
/* ------------------------------------------------------------------------------------------ */

static int sys_bpf(int cmd, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

/* A program attached to a tracepoint by its name sees it: raw_tp, which needs no types. */
TEST(bpf_sees_a_tracepoint)
{
	/* *map[0] += 1; return 0 */
	union bpf_attr map = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 8,
			       .max_entries = 1 };
	int map_fd, prog_fd, link_fd, fd;
	uint32_t key = 0;
	uint64_t hits = 0;
	char log[4096] = "";

	REQUIRE_MODULE();
	map_fd = sys_bpf(BPF_MAP_CREATE, &map);
	if (map_fd < 0)
		SKIP(return, "no BPF: %s", strerror(errno));
	struct bpf_insn insns[] = {
		/* *(u32 *)(r10 - 4) = 0 */
		{ .code = BPF_ST | BPF_MEM | BPF_W, .dst_reg = BPF_REG_10, .off = -4, .imm = 0 },
		/* r2 = r10 - 4 */
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X,
		  .dst_reg = BPF_REG_2,
		  .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .imm = -4 },
		/* r1 = map */
		{ .code = BPF_LD | BPF_DW | BPF_IMM,
		  .dst_reg = BPF_REG_1,
		  .src_reg = BPF_PSEUDO_MAP_FD,
		  .imm = map_fd },
		{ .code = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_map_lookup_elem },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .off = 2, .imm = 0 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1, .imm = 1 },
		/* lock *(u64 *)r0 += r1 */
		{ .code = BPF_STX | BPF_ATOMIC | BPF_DW,
		  .dst_reg = BPF_REG_0,
		  .src_reg = BPF_REG_1,
		  .imm = BPF_ADD },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr prog = { .prog_type = BPF_PROG_TYPE_RAW_TRACEPOINT,
				.insns = (uintptr_t)insns,
				.insn_cnt = sizeof(insns) / sizeof(insns[0]),
				.license = (uintptr_t)"GPL", .log_level = 1, .log_size = sizeof(log),
				.log_buf = (uintptr_t)log };

	prog_fd = sys_bpf(BPF_PROG_LOAD, &prog);
	if (prog_fd < 0)
		TH_LOG("%s", log);
	ASSERT_LE(0, prog_fd);
	union bpf_attr attach = { .raw_tracepoint = { .name = (uintptr_t)"tricolor_arena_new",
						      .prog_fd = (uint32_t)prog_fd } };

	link_fd = sys_bpf(BPF_RAW_TRACEPOINT_OPEN, &attach);
	ASSERT_LE(0, link_fd);
	fd = new_arena(PAGE, 0, NULL);
	close(fd);
	union bpf_attr look = { .map_fd = (uint32_t)map_fd, .key = (uintptr_t)&key,
				.value = (uintptr_t)&hits };

	ASSERT_EQ(0, sys_bpf(BPF_MAP_LOOKUP_ELEM, &look));
	EXPECT_EQ(1, hits);
	close(link_fd);
}

/* The module's types are there for tp_btf and CO-RE. */
TEST(module_has_btf)
{
	struct stat st;

	REQUIRE_MODULE();
	if (access("/sys/kernel/btf/vmlinux", F_OK))
		SKIP(return, "a kernel without BTF");
	if (stat("/sys/kernel/btf/tricolor", &st) && !getenv("TRICOLOR_IN_VM"))
		SKIP(return, "a module that was built without BTF");
	ASSERT_EQ(0, stat("/sys/kernel/btf/tricolor", &st));
	EXPECT_LT(1000, st.st_size);
}

TEST_HARNESS_MAIN
