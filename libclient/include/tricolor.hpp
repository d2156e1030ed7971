/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tricolor.hpp - tricolor for C++17: pointers whose assignment is the barrier, and what allocates
 *
 * Include it before the headers of the standard library, for the reason that tricolor.h gives.
 *
 *	#include <tricolor.hpp>
 *	#include <vector>
 *
 *	struct node {
 *		tri::ptr<node> left, right;
 *		long key;
 *		explicit node(long k) : key(k) {}
 *	};
 *
 *	static tri::ptr<node> root = nullptr;
 *	static std::vector<tri::ptr<node>, tri::allocator<tri::ptr<node>>> recent;
 *
 *	node *n = tri::make<node>(7);
 *	n->left = root;
 *	root = n;
 *	recent.push_back(n);
 *
 * Where pointers to collected objects may be, and as what:
 *
 *	member of a collected object			tri::ptr<T>
 *	global, static or thread-local variable		tri::ptr<T>
 *	element of a container				tri::ptr<T>, with tri::allocator
 *	member of any other object, captured variable	tri::root<T>
 *	local variable, parameter, result		T * (tri::ptr<T> works, and costs a barrier)
 *
 * A T * in one of the first four places loses objects: it is stored without a barrier, or lies
 * where the collector does not look.
 *
 * The rules for objects are those of tricolor.h.  C++ adds these:
 *
 *  1. In a collected object, the bytes of a tri::ptr are not used for anything else while it holds
 *     a pointer.  So a std::variant or a union with a tri::ptr in it must not be a member of one,
 *     unless the pointer is set to nullptr before another alternative takes its place.  On stacks,
 *     in globals and in containers with tri::allocator it may.  (A tri::ptr has no destructor, so
 *     that classes with such members have none either.)
 *  2. `delete` and std::unique_ptr are not for collected objects.  tri_free() is a permission to
 *     use the memory again, and calls no destructor.
 *  3. Containers have tri::allocator if their elements have a tri::ptr in them.  Their memory is a
 *     root: what the elements point to lives until the element is erased or the container
 *     destroyed.  So a container that is itself a member of a collected object must not lead back
 *     to that object, or neither is ever freed.  Let such objects have arrays, of
 *     tri::make<tri::ptr<T>[]>(n), which are collected.
 */
#ifndef TRICOLOR_HPP
#define TRICOLOR_HPP

#if __cplusplus < 201703L
#error "tricolor.hpp needs C++17: compile with -std=c++17 or later"
#endif

#include "tricolor.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace tri {

/* ------------------------------------------------------------------------------------------ */
/* What is known of a class                                                                   */
/* ------------------------------------------------------------------------------------------ */

/**
 * Whether a T may hold pointers to collected objects.  Objects without are not scanned.  A class
 * says that it has none by
 *
 *	template <> struct tri::has_pointers<pixel> : std::false_type {};
 *
 * which is an error if one of its members or bases has some.
 */
template <typename T>
struct has_pointers : std::bool_constant<!std::is_arithmetic_v<T> && !std::is_enum_v<T>> {};
template <typename T> struct has_pointers<const T> : has_pointers<T> {};
template <typename T, std::size_t n> struct has_pointers<T[n]> : has_pointers<T> {};
template <typename T, std::size_t n> struct has_pointers<std::array<T, n>> : has_pointers<T> {};
template <typename A, typename B>
struct has_pointers<std::pair<A, B>> : std::disjunction<has_pointers<A>, has_pointers<B>> {};

/**
 * Where a T holds pointers to collected objects.  NULL: each aligned word may be one, which is
 * always right.  TRI_POINTERS() specialises it.  Derived classes do not inherit it.
 */
template <typename T> struct pointer_map {
	static const struct tri_type *get() noexcept { return nullptr; }
};

/**
 * Whether a T may go without a call of its destructor.  A class whose destructor is not trivial,
 * but does nothing that matters once the memory is gone (a virtual one of a base class, say), says
 *
 *	template <> struct tri::skip_destructor<shape> : std::true_type {};
 */
template <typename T> struct skip_destructor : std::false_type {};

/* ------------------------------------------------------------------------------------------ */
/* Pointers                                                                                   */
/* ------------------------------------------------------------------------------------------ */

/**
 * A pointer to a T in the heap, or into one, or to anything else, or nullptr.  It has the size of a
 * T *, and each change of it is a barrier (tri_store()).  Its default is nullptr, and one that was
 * moved from is nullptr.  Any thread may load it while another one stores.  It converts to T *.
 * A global is a constant if it says `= nullptr`.  Without that, gcc 12 initialises it when the
 * program starts, which starts the heap.
 *
 * It is not trivially copyable, so containers and algorithms never move it by memcpy(), and gcc
 * warns where a program does (-Wclass-memaccess).
 */
template <typename T> class ptr {
	static_assert(!std::is_reference_v<T> && !std::is_array_v<T>,
		      "tri::ptr<T>: T is what the pointer points to, or the element of an array");

	T *object_;

	void set(T *object) noexcept
	{
		::tri_store(static_cast<void *>(&object_),
			    const_cast<const void *>(static_cast<const volatile void *>(object)));
	}

	/* What was in these bytes goes by a barrier.  In a constant there was nothing. */
	static constexpr T *emptied(ptr *p) noexcept
	{
		if (!__builtin_is_constant_evaluated())
			p->set(nullptr);
		return nullptr;
	}

	template <typename U> using if_converts = std::enable_if_t<std::is_convertible_v<U *, T *>>;

public:
	using element_type = T;

	constexpr ptr() noexcept : object_(emptied(this)) {}
	constexpr ptr(std::nullptr_t) noexcept : object_(emptied(this)) {}
	template <typename U, typename = if_converts<U>> ptr(U *object) noexcept { set(object); }
	ptr(const ptr &other) noexcept { set(other.get()); }
	ptr(ptr &&other) noexcept
	{
		set(other.get());
		other.set(nullptr);
	}
	template <typename U, typename = if_converts<U>> ptr(const ptr<U> &other) noexcept
	{
		set(other.get());
	}

	ptr &operator=(const ptr &other) noexcept
	{
		set(other.get());
		return *this;
	}
	ptr &operator=(ptr &&other) noexcept
	{
		T *object = other.get();

		/* In this order, a pointer that is moved to itself stays. */
		other.set(nullptr);
		set(object);
		return *this;
	}
	template <typename U, typename = if_converts<U>>
	ptr &operator=(const ptr<U> &other) noexcept
	{
		set(other.get());
		return *this;
	}
	template <typename U, typename = if_converts<U>> ptr &operator=(U *object) noexcept
	{
		set(object);
		return *this;
	}
	ptr &operator=(std::nullptr_t) noexcept
	{
		set(nullptr);
		return *this;
	}

	/** An acquiring load, which pairs with the store of any other thread. */
	T *get() const noexcept { return __atomic_load_n(&object_, __ATOMIC_ACQUIRE); }
	operator T *() const noexcept { return get(); }
	explicit operator bool() const noexcept { return get() != nullptr; }
	T *operator->() const noexcept { return get(); }
	std::add_lvalue_reference_t<T> operator*() const noexcept { return *get(); }
	template <typename U = T> U &operator[](std::ptrdiff_t i) const noexcept
	{
		return get()[i];
	}

	/** Store @object and return what was there (sequentially consistent). */
	T *exchange(T *object) noexcept
	{
		return static_cast<T *>(::tri_exchange(&object_, object));
	}
	/** Store @object if @expected is there (sequentially consistent).  Whether it did. */
	bool compare_exchange(T *expected, T *object) noexcept
	{
		return ::tri_cas(&object_, expected, object);
	}

	void reset() noexcept { set(nullptr); }
	void swap(ptr &other) noexcept
	{
		T *object = get();

		set(other.get());
		other.set(object);
	}
	friend void swap(ptr &a, ptr &b) noexcept { a.swap(b); }
};

template <typename T, typename U> bool operator==(const ptr<T> &a, const ptr<U> &b) noexcept
{
	return a.get() == b.get();
}
template <typename T, typename U> bool operator!=(const ptr<T> &a, const ptr<U> &b) noexcept
{
	return a.get() != b.get();
}
template <typename T, typename U> bool operator<(const ptr<T> &a, const ptr<U> &b) noexcept
{
	return std::less<>()(a.get(), b.get());
}

/**
 * A root for one object, for pointers that live where the collector does not look: in memory of
 * malloc() and new, in functions that captured them, in the library's own containers.  Copies are
 * roots of their own.  Some 20 ns to make and destroy one that holds an object.  A member of a
 * collected object that leads back to it keeps both for good.
 *
 * As with other objects, a root must not be assigned to while another thread uses it.
 */
template <typename T> class root {
	tri_handle *handle_ = nullptr;	/* NULL: holds nullptr, and never held anything else */

	void set(T *object)
	{
		const void *plain =
			const_cast<const void *>(static_cast<const volatile void *>(object));

		if (handle_)
			::tri_handle_set(handle_, plain);
		else if (object && !(handle_ = ::tri_handle_new(plain)))
			throw_no_memory();
	}

	[[noreturn]] static void throw_no_memory();

public:
	using element_type = T;

	root() noexcept = default;
	root(std::nullptr_t) noexcept {}
	root(T *object) { set(object); }
	root(const root &other) { set(other.get()); }
	root(root &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
	~root() { ::tri_handle_free(handle_); }

	root &operator=(const root &other)
	{
		set(other.get());
		return *this;
	}
	root &operator=(root &&other) noexcept
	{
		std::swap(handle_, other.handle_);
		return *this;
	}
	root &operator=(T *object)
	{
		set(object);
		return *this;
	}

	T *get() const noexcept
	{
		return handle_ ? static_cast<T *>(::tri_handle_get(handle_)) : nullptr;
	}
	operator T *() const noexcept { return get(); }
	explicit operator bool() const noexcept { return get() != nullptr; }
	T *operator->() const noexcept { return get(); }
	std::add_lvalue_reference_t<T> operator*() const noexcept { return *get(); }

	void reset() noexcept
	{
		::tri_handle_free(std::exchange(handle_, nullptr));
	}
	void swap(root &other) noexcept { std::swap(handle_, other.handle_); }
	friend void swap(root &a, root &b) noexcept { a.swap(b); }
};

/* ------------------------------------------------------------------------------------------ */
/* Allocation                                                                                 */
/* ------------------------------------------------------------------------------------------ */

namespace detail {

/* As std::allocator without exceptions, the program ends. */
[[noreturn]] inline void no_memory()
{
#ifdef __cpp_exceptions
	throw std::bad_alloc();
#else
	std::abort();
#endif
}

[[noreturn]] inline void no_such_array()
{
#ifdef __cpp_exceptions
	throw std::bad_array_new_length();
#else
	std::abort();
#endif
}

/* Memory for @count objects.  Inline: a constant size takes the fast path of tri_alloc(). */
template <typename T> inline __attribute__((always_inline)) void *allocate(std::size_t count)
{
	std::size_t bytes = count * sizeof(T);
	void *memory;

	if constexpr (alignof(T) > 16) {
		static_assert(alignof(T) <= 2u << 20, "tri::make: objects are aligned to 2 MiB at most");
		memory = has_pointers<T>::value ? tri_alloc_aligned(bytes, alignof(T)) :
						  tri_alloc_leaf_aligned(bytes, alignof(T));
	} else if constexpr (!has_pointers<T>::value) {
		memory = tri_alloc_leaf(bytes);
	} else if (const struct tri_type *map = pointer_map<std::remove_const_t<T>>::get()) {
		memory = tri_alloc_typed(map, count);
	} else {
		memory = tri_alloc(bytes);
	}
	if (__builtin_expect(!memory, 0))
		no_memory();
	return memory;
}

template <typename T> constexpr bool needs_destructor =
	!std::is_trivially_destructible_v<T> && !skip_destructor<std::remove_const_t<T>>::value;

template <typename T> constexpr void check_destructor()
{
	static_assert(!needs_destructor<T>,
		      "tri::make<T>: the collector does not call destructors yet. Give T a trivial one, "
		      "or, if objects may go without it, specialise tri::skip_destructor<T>");
}

/* An aggregate, of which the last members may be left to their own initializers. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
template <typename T, typename... Args> T *initialize(void *memory, Args &&...args)
{
	return ::new (memory) T{ std::forward<Args>(args)... };
}
#pragma GCC diagnostic pop

} /* namespace detail */

template <typename T> void root<T>::throw_no_memory()
{
	detail::no_memory();
}

/**
 * A new T in the heap, made with @args: T(args…), or T{args…} for a class without such a
 * constructor.  Throws std::bad_alloc without memory, and whatever the constructor throws.  Then
 * the memory is left to the collector, as the constructor may have stored `this` somewhere.
 */
template <typename T, typename... Args>
inline __attribute__((always_inline))
std::enable_if_t<!std::is_array_v<T>, T *> make(Args &&...args)
{
	detail::check_destructor<T>();
	void *memory = detail::allocate<T>(1);

	if constexpr (std::is_constructible_v<T, Args...>)
		return ::new (memory) T(std::forward<Args>(args)...);
	else
		return detail::initialize<T>(memory, std::forward<Args>(args)...);
}

/**
 * A new array of @count elements in the heap, as a pointer to its first one: tri::make<T[]>(count).
 * Each is T().  Throws as for one object; std::bad_array_new_length for one larger than any memory.
 */
template <typename A>
std::enable_if_t<std::is_array_v<A> && !std::extent_v<A>, std::remove_extent_t<A> *>
make(std::size_t count)
{
	using T = std::remove_extent_t<A>;
	static_assert(!std::is_array_v<T>, "tri::make<T[]>: T is no array");
	detail::check_destructor<T>();
	if (count > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T))
		detail::no_such_array();

	T *elements = static_cast<T *>(detail::allocate<T>(count ? count : 1));

	std::uninitialized_value_construct_n(elements, count);
	return elements;
}

/**
 * An allocator for containers whose elements are tri::ptr or have some in them.  The memory is a
 * root and is not collected (tri_root_alloc()): containers store raw links in it without a barrier,
 * which is right, as these are no pointers to collected objects.  Memory for a type without
 * pointers is that of std::allocator.
 *
 * Elements that are raw pointers to collected objects are an error, as everywhere.
 */
template <typename T> class allocator {
public:
	using value_type = T;
	using is_always_equal = std::true_type;
	using propagate_on_container_move_assignment = std::true_type;

	constexpr allocator() noexcept = default;
	template <typename U> constexpr allocator(const allocator<U> &) noexcept {}

	T *allocate(std::size_t count)
	{
		if (count > std::numeric_limits<std::size_t>::max() / 2 / sizeof(T))
			detail::no_such_array();
		if constexpr (has_pointers<T>::value) {
			static_assert(alignof(T) <= 32768,
				      "tri::allocator: elements are aligned to 32 KiB at most");
			void *memory = ::tri_root_alloc(count * sizeof(T), alignof(T));

			if (!memory)
				detail::no_memory();
			return static_cast<T *>(memory);
		} else {
			return std::allocator<T>().allocate(count);
		}
	}

	void deallocate(T *memory, std::size_t count) noexcept
	{
		if constexpr (has_pointers<T>::value)
			::tri_root_free(const_cast<std::remove_const_t<T> *>(memory));
		else
			std::allocator<T>().deallocate(memory, count);
		(void)count;
	}

	/* An element that is erased keeps nothing alive, though its memory may stay. */
	template <typename U> void destroy(U *element) noexcept
	{
		element->~U();
		if constexpr (has_pointers<U>::value)
			::tri_clear(element, sizeof(U) / sizeof(void *));
	}
};

template <typename T, typename U>
constexpr bool operator==(const allocator<T> &, const allocator<U> &) noexcept
{
	return true;
}
template <typename T, typename U>
constexpr bool operator!=(const allocator<T> &, const allocator<U> &) noexcept
{
	return false;
}

} /* namespace tri */

/**
 * The members of class T that hold pointers to collected objects: TRI_POINTERS(node, left, right).
 * Outside of any namespace, after the class.  Only these words of a T are scanned when it is made
 * by tri::make.  Up to 16 members of at most 4 KiB in all; a member is a pointer, an array of
 * pointers, or an object all of whose words may be.  If members are private, the class says
 * `friend struct tri::pointer_map<node>;`.  T has standard layout: others are scanned whole.
 */
#define TRI_POINTERS(T, ...)						\
	template <> struct tri::pointer_map<T> {			\
		static const struct tri_type *get() noexcept		\
		{							\
			static_assert(std::is_standard_layout_v<T>,	\
				      "TRI_POINTERS: where the members of " #T " are is not known, as "	\
				      "it has virtual functions, or members at several levels or with " \
				      "several kinds of access. Leave the line out"); \
			TRI_TYPE(map, T, __VA_ARGS__);			\
			return &map;					\
		}							\
	}

namespace std {

/* Not the address itself: containers keep hashes, and those would look like pointers. */
template <typename T> struct hash<tri::ptr<T>> {
	size_t operator()(const tri::ptr<T> &p) const noexcept
	{
		return hash<T *>()(p.get()) >> 4;
	}
};

/*
 * A container of these that has the standard allocator hides its elements from the collector.
 * Vectors and deques do not compile; of others, whose memory is for nodes, this sees nothing.
 */
template <typename T> class allocator<tri::ptr<T>> {
public:
	using value_type = tri::ptr<T>;
	using is_always_equal = true_type;
	using propagate_on_container_move_assignment = true_type;

	constexpr allocator() noexcept = default;
	template <typename U> constexpr allocator(const allocator<U> &) noexcept {}

	tri::ptr<T> *allocate(size_t)
	{
		static_assert(!sizeof(T *), "a container of tri::ptr<T> needs tri::allocator<tri::ptr<T>>: "
					    "the collector does not see memory of std::allocator");
		return nullptr;
	}
	void deallocate(tri::ptr<T> *, size_t) noexcept {}

	friend constexpr bool operator==(const allocator &, const allocator &) noexcept
	{
		return true;
	}
	friend constexpr bool operator!=(const allocator &, const allocator &) noexcept
	{
		return false;
	}
};

} /* namespace std */

#endif /* TRICOLOR_HPP */
