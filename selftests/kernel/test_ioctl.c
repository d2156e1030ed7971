// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_ioctl.c - what every call has in common: sizes, tails, flags, reserved fields, descriptors
 *
 * One table has a good argument for each call, on an arena of its own for each test, and says which
 * of its words are reserved.  Each test takes all rows through one sort of abuse.
 */
#include "arena.h"

#define BYTES (4 * MiB)

enum kind { OWNER, COLLECTOR, KINDS };

static struct tricolor_range one_range;

struct row {
	const char *name;
	unsigned long nr;
	bool on[KINDS];			/* kinds of descriptors that know the call */
	bool without_arena;		/* it works before TRICOLOR_IOC_CREATE */
	size_t size;
	size_t reserved;		/* offset of a reserved __u32; 0: none */
	uint32_t unknown_flag;
	union {
		uint32_t words[64];
		struct tricolor_query query;
		struct tricolor_create create;
		struct tricolor_collector collector;
		struct tricolor_info info;
		struct tricolor_ranges ranges;
		struct tricolor_dirty dirty;
		struct tricolor_pacer pacer;
		struct tricolor_tunables tunables;
		char bytes[8192];
	} good;
};

#define ROW(NAME, member, ...) \
	.name = #NAME, .nr = TRICOLOR_IOC_##NAME, .size = sizeof(struct tricolor_##member), \
	.good.member = { .size = sizeof(struct tricolor_##member), __VA_ARGS__ }
#define RESERVED(member) .reserved = offsetof(struct tricolor_##member, reserved)
#define RANGES .nr = 1, .ranges = (uintptr_t)&one_range

static const struct row rows[] = {
	{ ROW(QUERY, query), RESERVED(query), .on = { 1, 1 }, .without_arena = true,
	  .unknown_flag = 1 },
	{ ROW(CREATE, create, .bytes = BYTES), RESERVED(create), .on = { 1, 0 },
	  .without_arena = true, .unknown_flag = 1u << 1 },
	{ ROW(COLLECTOR, collector), RESERVED(collector), .on = { 1, 0 }, .unknown_flag = 1 },
	{ ROW(INFO, info), .on = { 1, 1 }, .unknown_flag = 1 },
	{ ROW(RECLAIM, ranges, RANGES), .on = { 1, 1 }, .unknown_flag = 1 },
	{ ROW(DIRTY, dirty, .length = BYTES, .flags = TRICOLOR_DIRTY_START), .on = { 1, 1 },
	  .unknown_flag = 1u << 2 },
	{ ROW(PUBLISH, pacer, .events = TRICOLOR_EVENT_PACER), RESERVED(pacer), .on = { 0, 1 },
	  .unknown_flag = 1 },
	{ ROW(TUNABLES, tunables), .on = { 0, 1 }, .unknown_flag = 1 },
};

#define for_each_row(r) for (r = rows; r < rows + sizeof(rows) / sizeof(rows[0]); r++)

FIXTURE(call)
{
	int fds[KINDS];
	int bare;			/* an owner's without an arena */
};

FIXTURE_SETUP(call)
{
	REQUIRE_MODULE();
	self->fds[OWNER] = new_arena(BYTES, 0, NULL);
	self->fds[COLLECTOR] = new_collector(self->fds[OWNER]);
	self->bare = open_dev();
	one_range.offset = 0;
	one_range.length = PAGE;
}

FIXTURE_TEARDOWN(call)
{
}

static enum kind kind_of(const struct row *r)
{
	return r->on[OWNER] ? OWNER : COLLECTOR;
}

/* The descriptor on which row @r works; an arena can be made once only. */
static int fd_for(const struct row *r, const int *fds)
{
	return r->nr == TRICOLOR_IOC_CREATE ? open_dev() : fds[kind_of(r)];
}

#define EXPECT_CALL(r, expected, fd, arg)						\
	do {										\
		int err_ = call(fd, (r)->nr, arg);					\
											\
		if (err_ != (expected)) {						\
			TH_LOG("%s: expected %d, got %d", (r)->name, expected, err_);	\
			th_fail(false);							\
		}									\
	} while (0)

TEST_F(call, good)
{
	const struct row *r;
	enum kind kind;

	for_each_row(r) {
		for (kind = 0; kind < KINDS; kind++) {
			struct row a = *r;

			if (!r->on[kind])
				continue;
			EXPECT_CALL(r, 0,
				    kind == kind_of(r) ? fd_for(r, self->fds) : self->fds[kind],
				    &a.good);
			if (a.good.words[0] != r->size)
				TH_LOG("%s: size is now %u", r->name, a.good.words[0]);
			EXPECT_EQ(r->size, a.good.words[0]);
		}
	}
}

TEST_F(call, bad_pointer)
{
	const struct row *r;
	char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			  0);
	char *read_only = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0);

	munmap(edge + PAGE, PAGE);
	for_each_row(r) {
		struct row a = *r;
		int fd = fd_for(r, self->fds);

		EXPECT_CALL(r, -EFAULT, fd, NULL);
		EXPECT_CALL(r, -EFAULT, fd, (void *)0xffff800000000000ul);
		/* All but its last byte is there. */
		memcpy(edge + PAGE - r->size + 1, &a.good, r->size - 1);
		EXPECT_CALL(r, -EFAULT, fd, edge + PAGE - r->size + 1);
		/* Only the size is there, and it is too small. */
		*(uint32_t *)(edge + PAGE - 4) = 4;
		EXPECT_CALL(r, -EINVAL, fd, edge + PAGE - 4);
	}
	/* What the module answers has no place; no descriptor may stay behind. */
	for_each_row(r) {
		struct row a = *r;
		int fd = fd_for(r, self->fds), before = dup(0), after;

		close(before);
		mprotect(read_only, PAGE, PROT_READ | PROT_WRITE);
		memcpy(read_only, &a.good, r->size);
		mprotect(read_only, PAGE, PROT_READ);
		if (r->nr != TRICOLOR_IOC_PUBLISH)
			EXPECT_CALL(r, -EFAULT, fd, read_only);
		after = dup(0);
		close(after);
		if (before != after)
			TH_LOG("%s left a descriptor", r->name);
		EXPECT_EQ(before, after);
	}
}

TEST_F(call, short_size)
{
	const struct row *r;

	for_each_row(r) {
		static const uint32_t sizes[] = { 0, 1, 3, 4, 8, 12 };
		struct row a = *r;
		int fd = fd_for(r, self->fds);
		size_t i;

		for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			a.good.words[0] = sizes[i];
			EXPECT_CALL(r, -EINVAL, fd, &a.good);
		}
		a.good.words[0] = (uint32_t)r->size - 1;
		EXPECT_CALL(r, -EINVAL, fd, &a.good);
	}
}

TEST_F(call, long_size)
{
	const struct row *r;
	/* Read as one page of zeros again and again. */
	char *vast = mmap(NULL, 1ull << 32, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, vast);
	for_each_row(r) {
		struct row a = *r;
		int fd = fd_for(r, self->fds);

		/* What is unknown and 0 changes nothing. */
		a.good.words[0] = (uint32_t)r->size + 8;
		EXPECT_CALL(r, 0, fd, &a.good);
		fd = fd_for(r, self->fds);
		a = *r;
		a.good.words[0] = PAGE;
		EXPECT_CALL(r, 0, fd, &a.good);

		fd = fd_for(r, self->fds);
		a = *r;
		a.good.words[0] = (uint32_t)r->size + 8;
		a.good.bytes[r->size] = 1;
		EXPECT_CALL(r, -E2BIG, fd, &a.good);
		a.good.bytes[r->size] = 0;
		a.good.bytes[r->size + 7] = (char)0x80;
		EXPECT_CALL(r, -E2BIG, fd, &a.good);
		/* Nobody will ever have one that large, be it zeros all through. */
		memcpy(vast, &r->good, r->size);
		*(uint32_t *)vast = UINT32_MAX;
		EXPECT_CALL(r, -E2BIG, fd, vast);
		*(uint32_t *)vast = PAGE + 8;
		EXPECT_CALL(r, -E2BIG, fd, vast);
	}
}

TEST_F(call, unknown_flags)
{
	const struct row *r;
	uint32_t flag;

	for_each_row(r) {
		for (flag = r->unknown_flag; flag; flag <<= 1) {
			struct row a = *r;

			a.good.words[1] |= flag;
			EXPECT_CALL(r, -EINVAL, fd_for(r, self->fds), &a.good);
		}
	}
}

TEST_F(call, reserved_fields)
{
	const struct row *r;
	int bit;

	for_each_row(r) {
		for (bit = 0; bit < 32 && r->reserved; bit++) {
			struct row a = *r;

			a.good.words[r->reserved / 4] = 1u << bit;
			EXPECT_CALL(r, -EINVAL, fd_for(r, self->fds), &a.good);
		}
	}
}

TEST_F(call, wrong_descriptor)
{
	const struct row *r;
	int kind;

	for_each_row(r) {
		struct row a = *r;

		for (kind = 0; kind < KINDS; kind++)
			if (!r->on[kind])
				EXPECT_CALL(r, -ENOTTY, self->fds[kind], &a.good);
	}
}

TEST_F(call, no_arena_yet)
{
	const struct row *r;

	for_each_row(r) {
		struct row a = *r;

		if (!r->on[OWNER] || r->without_arena)
			continue;
		EXPECT_CALL(r, -ENXIO, self->bare, &a.good);
	}
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->bare, 0));
	EXPECT_EQ(ENXIO, errno);
}

/* Some were those of calls once. */
TEST_F(call, unknown_number)
{
	static const unsigned long numbers[] = {
		TRICOLOR_IOC(0x05), TRICOLOR_IOC(0x06), TRICOLOR_IOC(0x0a), TRICOLOR_IOC(0x0f),
		TRICOLOR_IOC(0x10), TRICOLOR_IOC(0x11), TRICOLOR_IOC(0xff),
		_IO(0xc6, 0), _IOR(0xc7, 0, int), _IOWR(0xc7, 1, struct tricolor_create), 0, ~0ul,
	};
	struct row a = { .good.words = { sizeof(a.good) } };
	size_t i;
	int kind;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		for (kind = 0; kind < KINDS; kind++)
			EXPECT_EQ(-ENOTTY, call(self->fds[kind], numbers[i], &a.good));
}

/* A descriptor that may not be written to changes nothing. */
TEST_F(call, read_and_write_are_refused)
{
	char byte = 0;

	EXPECT_EQ(-1, write(self->fds[OWNER], &byte, 1));
	EXPECT_EQ(-1, write(self->fds[COLLECTOR], &byte, 1));
	EXPECT_EQ(-1, ftruncate(self->fds[OWNER], 0));
	EXPECT_EQ(-1, ftruncate(self->fds[COLLECTOR], 0));
	EXPECT_EQ(-1, fallocate(self->fds[OWNER], 0, 0, PAGE));
	EXPECT_EQ(-1, fallocate(self->fds[COLLECTOR], 0, 0, PAGE));
}

TEST_F(call, query_says_what_there_is)
{
	struct tricolor_query q = query(), again = { .size = sizeof(again) };

	EXPECT_EQ(TRICOLOR_VERSION, q.version);
	EXPECT_TRUE(q.features & TRICOLOR_FEATURE_RECLAIM);
	EXPECT_LE(1, q.max_ranges);
	EXPECT_EQ(0, call(self->fds[COLLECTOR], TRICOLOR_IOC_QUERY, &again));
	EXPECT_EQ(0, memcmp(&q, &again, sizeof(q)));
}

TEST_HARNESS_MAIN
