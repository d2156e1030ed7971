// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_cpp.cc - tricolor.hpp: pointers, what tri::make makes, roots, containers
 *
 * Each scenario is a process of its own.  Objects carry a number and a checksum, and a test asks
 * by a hidden address (all bits inverted) whether an object is still the one that it made.
 */
#include <tricolor.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <unordered_map>
#include <variant>
#include <vector>

#include "kselftest.h"

#define NOINLINE __attribute__((noinline, noclone))
#define CHECK(what)							\
	do {								\
		if (!(what)) {						\
			ksft_print_msg("line %d, not so: %s\n", __LINE__, #what); \
			return false;					\
		}							\
	} while (0)

struct witness {
	uint64_t id, check;
	tri::ptr<witness> next;
	explicit witness(uint64_t n) : id(n), check(n * 0x9e3779b97f4a7c15 + 1) {}
	bool ok(uint64_t n) const { return id == n && check == n * 0x9e3779b97f4a7c15 + 1; }
};
TRI_POINTERS(witness, next);

static uintptr_t hide(const void *p)
{
	uintptr_t hidden = ~reinterpret_cast<uintptr_t>(p);

	__asm__ volatile("" : "+r"(hidden));
	return hidden;
}

static NOINLINE bool is_alive(uintptr_t hidden, uint64_t id)
{
	witness *w;

	__asm__ volatile("" : "+r"(hidden));
	w = reinterpret_cast<witness *>(~hidden);
	return tri_base(w) == w && w->ok(id);
}

static NOINLINE void wipe_stack()
{
	volatile char frame[65536];

	for (volatile char &c : frame)
		c = 0;
}

static void collect_times(int n)
{
	while (n--) {
		wipe_stack();
		if (tri_gc())
			ksft_exit_fail_msg("tri_gc: %s\n", tri_error());
	}
}

/* Whether @fn() is true in a process of its own, with TRICOLOR_DEBUG=@debug. */
template <typename F> static bool scenario(F fn, const char *debug = nullptr)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		alarm(100);
		if (debug)
			setenv("TRICOLOR_DEBUG", debug, 1);
		exit(fn() ? 0 : 1);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		ksft_print_msg("the scenario ended with wait status %#x\n", status);
		return false;
	}
	return true;
}

template <typename T> using vec = std::vector<T, tri::allocator<T>>;
using wptr = tri::ptr<witness>;

/* ------------------------------------------------------------------------------------------ */
/* Where pointers are found                                                                   */
/* ------------------------------------------------------------------------------------------ */

struct shape {
	long filler[3] = {};
	wptr first;
	virtual ~shape() = default;
	virtual int sides() const { return 0; }
};
struct named {
	char name[10] = "name";
	wptr second;
	virtual ~named() = default;
};
struct square final : shape, named {
	wptr third;
	int sides() const override { return 4; }
};
template <> struct tri::skip_destructor<square> : std::true_type {};

struct alignas(256) aligned {
	wptr w;
	char pad[300] = {};
};

struct aggregate {
	wptr a, b;
	std::optional<wptr> c;
	std::array<wptr, 3> d;
};

struct hash_on {
	uint64_t operator()(const wptr &w) const { return std::hash<wptr>()(w); }
};

static wptr global = nullptr;
static const wptr constant_global = nullptr;
static thread_local wptr of_thread = nullptr;
static tri::ptr<named> as_named = nullptr;		/* points into the middle of a square */
static tri::ptr<aligned> the_aligned = nullptr;
static tri::ptr<aggregate> the_aggregate = nullptr;
static tri::ptr<wptr> the_array = nullptr;
static tri::ptr<witness> chain = nullptr;
static vec<wptr> a_vector;
static std::deque<std::optional<wptr>, tri::allocator<std::optional<wptr>>> a_deque;
static std::list<wptr, tri::allocator<wptr>> a_list;
static std::map<std::string, wptr, std::less<>, tri::allocator<std::pair<const std::string, wptr>>>
	a_map;
static std::unordered_map<wptr, wptr, hash_on, std::equal_to<>,
			  tri::allocator<std::pair<const wptr, wptr>>> a_hash;
static std::set<wptr, std::less<>, tri::allocator<wptr>> a_set;
static vec<std::variant<long, wptr>> variants;
static std::vector<tri::root<witness>> roots;	/* malloc() memory */
static std::function<witness *()> function;

static std::vector<uintptr_t> hidden_at;

/* A new witness, whose number is its place in hidden_at. */
static NOINLINE witness *fresh()
{
	witness *w = tri::make<witness>(hidden_at.size());

	hidden_at.push_back(hide(w));
	return w;
}

static NOINLINE std::size_t alive()
{
	std::size_t n = 0;

	for (std::size_t i = 0; i < hidden_at.size(); i++)
		n += is_alive(hidden_at[i], i);
	return n;
}

static NOINLINE void fill()
{
	static wptr in_function = nullptr;

	hidden_at.reserve(10000);
	global = fresh();
	in_function = fresh();
	of_thread = fresh();

	square *s = tri::make<square>();
	s->first = fresh();
	s->second = fresh();
	s->third = fresh();
	as_named = s;

	the_aligned = tri::make<aligned>();
	the_aligned->w = fresh();
	the_aggregate = tri::make<aggregate>(fresh(), fresh());
	the_aggregate->c = fresh();
	the_aggregate->d[2] = fresh();
	the_array = tri::make<wptr[]>(1000);
	for (int i = 0; i < 1000; i += 100)
		the_array[i] = fresh();
	for (int i = 0; i < 100; i++) {
		witness *w = fresh();

		w->next = std::move(chain);
		chain = w;
	}
	for (int i = 0; i < 500; i++) {
		a_vector.push_back(fresh());
		a_deque.push_back(fresh());
		a_deque.emplace_back();
		a_list.push_front(fresh());
		a_map[std::to_string(i)] = fresh();
		a_hash[fresh()] = fresh();
		a_set.insert(fresh());
		if (i % 2)
			variants.emplace_back(fresh());
		else
			variants.emplace_back(5L);
		roots.emplace_back(fresh());
	}
	function = [held = tri::root<witness>(fresh())] { return held.get(); };
}

static NOINLINE void drop()
{
	global = nullptr;
	of_thread = nullptr;
	as_named = nullptr;
	the_aligned.reset();
	the_aggregate.reset();
	the_array.reset();
	chain.reset();
	a_vector.clear();		/* both keep memory */
	a_deque.clear();
	a_list.clear();
	a_map.clear();
	a_hash.clear();
	a_set.clear();
	variants.clear();
	roots.clear();
	function = nullptr;
}

static bool pointers_are_found()
{
	std::size_t all;

	fill();
	all = hidden_at.size();
	collect_times(3);
	CHECK(alive() == all);
	CHECK(static_cast<square *>(as_named.get())->sides() == 4);
	CHECK(reinterpret_cast<uintptr_t>(the_aligned.get()) % 256 == 0);
	CHECK(function()->ok(all - 1));
	CHECK(!constant_global);
	drop();
	collect_times(3);
	/* One is in a variable of fill(), and stacks may keep some. */
	ksft_print_msg("%zu of %zu are alive\n", alive(), all);
	CHECK(alive() < 20);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* Pointers                                                                                   */
/* ------------------------------------------------------------------------------------------ */

static_assert(sizeof(wptr) == sizeof(void *) && std::is_trivially_destructible_v<wptr>);
static_assert(!std::is_trivially_copyable_v<wptr> && std::is_nothrow_move_constructible_v<wptr>);
static_assert(std::is_convertible_v<tri::ptr<square>, tri::ptr<named>>);
static_assert(!std::is_convertible_v<tri::ptr<named>, tri::ptr<square>>);
static_assert(!std::is_constructible_v<wptr, const witness *>);
static_assert(!tri::has_pointers<std::array<double, 4>>::value);
static_assert(tri::has_pointers<std::pair<int, wptr>>::value);

static bool pointers_behave()
{
	witness *w = tri::make<witness>(1), *other = tri::make<witness>(2);
	wptr a = w, b(a), c = std::move(a), d;
	tri::ptr<const witness> constant = c;
	tri::ptr<void> any = c;
	square *s = tri::make<square>();
	tri::ptr<named> base = s;
	tri::ptr<shape> first = tri::ptr<square>(s);
	tri::root<witness> r, r2 = w, r3 = r2, r4;

	CHECK(!a && b == w && c == w && d == nullptr && constant == c && any == w && c != d);
	c = std::move(*&c);
	CHECK(c == w);
	d = other;
	swap(c, d);
	CHECK(c == other && d == w);
	std::swap(c, d);
	CHECK(c == w && d->id == 2 && (*d).id == 2);
	a = std::move(d);
	CHECK(a == other && !d);
	CHECK(static_cast<void *>(base.get()) != static_cast<void *>(s) && first->sides() == 4);
	base.reset();
	CHECK(!base);
	CHECK(a.exchange(w) == other && a == w);
	CHECK(!a.compare_exchange(other, nullptr) && a == w);
	CHECK(a.compare_exchange(w, other) && a == other);
	CHECK((a < c) == (other < w) && std::hash<wptr>()(a) == std::hash<wptr>()(wptr(other)));

	CHECK(!r && r2 == w && r3->id == 1);
	r = std::move(r2);
	CHECK(r == w && !r2);
	r4 = r;
	r = other;
	CHECK(r4 == w && r == other && r3 == w);
	r4 = nullptr;
	CHECK(!r4);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* tri::make                                                                                  */
/* ------------------------------------------------------------------------------------------ */

struct throwing {
	static int to_go;
	wptr w;
	throwing()
	{
		if (!to_go--)
			throw std::runtime_error("a constructor fails");
	}
};
int throwing::to_go;

struct pixel {
	float rgba[4];
	witness *not_scanned;
};
template <> struct tri::has_pointers<pixel> : std::false_type {};

static tri::ptr<pixel> leaf = nullptr;
static tri::ptr<throwing> escaped = nullptr;

static bool make_makes()
{
	bool thrown = false;

	for (int i = 0; i < 1000; i++) {
		aligned *a = tri::make<aligned>();

		CHECK(reinterpret_cast<uintptr_t>(a) % alignof(aligned) == 0);
		CHECK(!a->w && !a->pad[299]);
	}
	CHECK(*tri::make<int>(7) == 7 && *tri::make<const long>(8) == 8);
	CHECK(tri::make<int[]>(0) != nullptr && tri::make<witness *[]>(3)[2] == nullptr);
	throwing::to_go = 0;
	try {
		tri::make<throwing>();
	} catch (const std::runtime_error &) {
		thrown = true;
	}
	CHECK(thrown);
	thrown = false;
	throwing::to_go = 57;
	try {
		escaped = tri::make<throwing[]>(100);
	} catch (const std::runtime_error &) {
		thrown = true;
	}
	CHECK(thrown && !escaped);
	thrown = false;
	try {
		tri::make<long[]>(SIZE_MAX / 8);
	} catch (const std::bad_array_new_length &) {
		thrown = true;
	}
	CHECK(thrown);
	thrown = false;
	try {
		tri::make<long[]>(SIZE_MAX / 17);
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
	thrown = false;
	try {
		vec<wptr>().reserve(1ul << 58);
	} catch (const std::bad_alloc &) {
		thrown = true;
	}
	CHECK(thrown);
	return true;
}

static NOINLINE void fill_leaf()
{
	leaf = tri::make<pixel>();
	/* Not a tri::ptr: this would be an error in a class with pointers. */
	leaf->not_scanned = fresh();
}

static bool maps_are_used()
{
	fill_leaf();
	collect_times(3);
	CHECK(alive() == 0);
	return true;
}

/* ------------------------------------------------------------------------------------------ */
/* While cycles run                                                                           */
/* ------------------------------------------------------------------------------------------ */

struct holder {
	std::optional<wptr> maybe;
	wptr slot, other;
	tri::ptr<holder> next;
};
TRI_POINTERS(holder, maybe, slot, other, next);

static tri::ptr<holder> holders = nullptr;
constexpr unsigned int HOLDERS = 40;

static NOINLINE void make_holders()
{
	for (unsigned int i = 0; i < HOLDERS; i++) {
		holder *h = tri::make<holder>();

		h->next = holders;
		h->slot = tri::make<witness>(i);
		holders = h;
	}
}

static uint64_t seed = 1;

static unsigned int draw(unsigned int below)
{
	seed = seed * 6364136223846793005 + 1442695040888963407;
	return static_cast<unsigned int>(seed >> 33) % below;
}

/* Let cycles run, with stores and allocations that have nothing to do with the objects. */
static NOINLINE void take_steps(unsigned int n)
{
	static tri::ptr<int> rubbish = nullptr;

	while (n--)
		rubbish = tri::make<int>(static_cast<int>(n));
}

/*
 * Take the only pointer to an object out of a holder, hold it on the stack while cycles go on, and
 * put it back, in each way that C++ has.
 */
static NOINLINE bool take_and_put(holder *from, holder *to, unsigned int way, uint64_t id)
{
	witness *taken;

	if (from->maybe && *from->maybe) {
		taken = *from->maybe;
		if (way % 2) {
			from->maybe.reset();
			from->maybe.emplace();	/* a constructor overwrites the old pointer */
		} else {
			from->maybe = std::optional<wptr>(nullptr);
		}
	} else {
		taken = from->slot;
		if (way % 3 == 0) {
			from->slot = nullptr;
		} else if (way % 3 == 1) {
			wptr local = std::move(from->slot);

			taken = local;
			local = nullptr;
		} else {
			swap(from->slot, from->other);
			from->other.reset();
		}
	}
	take_steps(draw(30));
	if (!taken->ok(id))
		return false;
	switch (way / 3 % 5) {
	case 0:
		to->slot = taken;
		break;
	case 1:
		to->slot = wptr(taken);
		break;
	case 2: {
		wptr local = taken;

		to->slot = local;
		break;
	}
	case 3:
		to->slot.reset();
		to->maybe.emplace(taken);
		break;
	default:
		to->other = taken;
		to->slot = std::move(to->other);
	}
	return true;
}

static bool moves_lose_nothing()
{
	make_holders();
	for (unsigned int round = 0; round < 700; round++) {
		holder *h = holders;

		for (unsigned int n = draw(HOLDERS); n--;)
			h = h->next;
		uint64_t id = h->maybe && *h->maybe ? (*h->maybe)->id : h->slot->id;
		CHECK(id < HOLDERS);
		CHECK(take_and_put(h, h, draw(1000), id));
		CHECK(!(h->maybe && *h->maybe && h->slot));
	}
	struct tri_stats stats = {};
	stats.size = sizeof(stats);
	CHECK(!tri_read_stats(&stats));
	ksft_print_msg("%llu cycles\n", static_cast<unsigned long long>(stats.cycles));
	CHECK(stats.cycles > 100);
	return true;
}

/* Values that have moved between containers of each kind are what they were. */
static bool containers_lose_nothing(int rounds, uint64_t N)
{
	vec<wptr> from;
	std::list<wptr, tri::allocator<wptr>> queue;
	std::map<uint64_t, wptr, std::less<>, tri::allocator<std::pair<const uint64_t, wptr>>>
		index;
	std::unordered_map<uint64_t, std::optional<wptr>, std::hash<uint64_t>, std::equal_to<>,
			   tri::allocator<std::pair<const uint64_t, std::optional<wptr>>>> table;
	std::deque<wptr, tri::allocator<wptr>> deque;

	for (int round = 0; round < rounds; round++) {
		for (uint64_t i = 0; i < N; i++)
			from.insert(from.begin() + draw(static_cast<unsigned int>(from.size()) + 1),
				    tri::make<witness>(i));
		std::sort(from.begin(), from.end(),
			  [](const wptr &a, const wptr &b) { return a->id < b->id; });
		std::move(from.begin(), from.end(), std::front_inserter(queue));
		CHECK(!from[0]);
		from = {};
		take_steps(20);
		for (wptr &w : queue)
			index[w->id] = std::move(w);
		queue.clear();
		take_steps(20);
		for (auto &[id, w] : index)
			table[id] = w;
		index.clear();
		table.rehash(N * 3);
		take_steps(20);
		for (auto it = table.begin(); it != table.end(); it = table.erase(it))
			deque.push_back(*std::move(it->second));
		std::reverse(deque.begin(), deque.end());
		std::rotate(deque.begin(), deque.begin() + 7, deque.end());
		take_steps(20);
		uint64_t sum = 0;
		for (; !deque.empty(); deque.pop_front()) {
			CHECK(deque.front()->ok(deque.front()->id));
			sum += deque.front()->id;
		}
		CHECK(sum == N * (N - 1) / 2);
	}
	return true;
}

static bool threads_share()
{
	std::vector<std::thread> threads;
	std::array<bool, 3> good{};

	for (unsigned int t = 0; t < 3; t++)
		threads.emplace_back([t, &good] {
			vec<wptr> mine;
			bool ok = true;

			for (uint64_t i = 0; i < 20000; i++) {
				mine.push_back(tri::make<witness>(i));
				global = mine.back();
				if (mine.size() == 1000) {
					for (uint64_t n = 0; n < 1000; n++)
						ok = ok && mine[n]->ok(i - 999 + n);
					mine.clear();
				}
				/* Of any thread: loaded once. */
				witness *shared = global;

				ok = ok && shared->ok(shared->id);
			}
			good[t] = ok;
		});
	for (int i = 0; i < 20; i++)
		collect_times(1);
	for (std::thread &t : threads)
		t.join();
	CHECK(good[0] && good[1] && good[2]);
	return true;
}

/* The checker reports each pointer that is stored without a barrier, to memory that it has seen. */
static NOINLINE void make_places()
{
	holders = tri::make<holder>();
	chain = tri::make<witness>(1);
	the_array = tri::make<wptr[]>(10);
	a_vector.resize(20);
	a_list.resize(20);
	a_deque.resize(20);
	a_map["a"] = nullptr;
}

static NOINLINE void store_in_each_way()
{
	holder *h = holders;

	h->slot = chain;
	h->other = std::move(the_array[0] = chain);
	h->maybe.emplace(chain);
	the_array[1] = wptr(chain);
	::new (&the_array[2]) wptr(chain);
	::new (&the_array[3]) wptr(std::move(the_array[1]));
	::new (&the_array[4]) wptr(chain.get());
	swap(the_array[5], the_array[4]);
	the_array[6] = *h->maybe;
	the_array[8] = chain.get();
	the_array[9] = tri::ptr<witness>(chain);
	::new (&the_array[7]) wptr(tri::ptr<witness>(chain));
	a_vector.assign(10, chain);
	a_map["a"] = chain;
	a_list.insert(a_list.end(), a_vector.begin(), a_vector.end());
	a_deque.assign(5, chain);
	a_hash[chain] = chain;
	the_aggregate = tri::make<aggregate>(chain, chain, chain);
}

static NOINLINE void empty_in_each_way()
{
	wptr local = std::move(the_array[0]), other(std::move(the_array[1]));

	local = nullptr;

	other = std::move(the_array[2]);
	the_array[3] = nullptr;
	the_array[4].reset();
	::new (&the_array[5]) wptr();
	::new (&the_array[6]) wptr(nullptr);
	the_array[7].exchange(nullptr);
	the_array[8].compare_exchange(chain, nullptr);
	the_array[9] = wptr();
	a_vector.clear();
	a_list.clear();
	a_deque.clear();
	a_map.clear();
	a_hash.clear();
}

static bool checker_is_content()
{
	make_places();
	collect_times(2);
	store_in_each_way();
	collect_times(2);
	empty_in_each_way();
	collect_times(2);
	return true;
}

int main()
{
	ksft_print_header();
	ksft_set_plan(9);
	ksft_test_result(scenario(pointers_are_found), "pointers are found wherever they may be\n");
	ksft_test_result(scenario(pointers_behave), "pointers behave as pointers do\n");
	ksft_test_result(scenario(make_makes), "tri::make: alignment, arrays, exceptions\n");
	ksft_test_result(scenario(maps_are_used), "a class without pointers is not scanned\n");
	ksft_test_result(scenario(moves_lose_nothing, "gc=1"), "moves lose nothing\n");
	ksft_test_result(scenario([] { return containers_lose_nothing(2, 20); }, "gc=1"), "containers lose nothing\n");
	ksft_test_result(scenario([] { return containers_lose_nothing(50, 300); }), "the same at full speed\n");
	ksft_test_result(scenario(threads_share), "threads\n");
	ksft_test_result(scenario(checker_is_content, "barriers=abort"),
			 "each store is a barrier\n");
	ksft_finished();
}
