/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * any.h - values of any type: a word for the type, and a word for the value
 *
 * Not included by tricolor.h.  A program that holds values of several types in one place (an
 * interpreter's variables, a container that does not know its elements) includes this header:
 *
 *	TRI_ANY_TYPE_LEAF(any_long, long);
 *	TRI_ANY_TYPE_LEAF(any_double, double);
 *
 *	double d = 0.5, found;
 *
 *	tri_any_store(&variable->any, tri_any_new(&any_double, &d));
 *	if (tri_any_get(tri_any_load(&variable->any), &any_double, &found))
 *		...
 *
 * Values of up to 8 bytes lie in the value word, and nothing is allocated for them.  A larger value
 * is copied into an object of the heap, its box, which the value word points to.  A box never
 * changes, so several copies of a struct tri_any may share it.
 *
 * The collector takes the value word for a possible pointer whatever the type word says, and the
 * type word too, so that a program may make types in the heap.  A struct in the heap that holds a
 * struct tri_any is allocated by tri_alloc(), or by a TRI_TYPE() that names the member:
 *
 *	struct variable { struct variable *next; long line; struct tri_any any; };
 *	TRI_TYPE(variable_type, struct variable, next, any);
 *
 * Two words are not stored at once.  What another thread sees that loads while one stores:
 *
 *  - In a place that was empty and is stored to once: nothing, or the whole value.
 *  - Otherwise possibly the type of one value with the value word of another.  Such a pair must
 *    not be given to tri_any_get() or tri_any_box(), which would take a number for the address of a
 *    box.  So a place that is stored to again needs a lock of the program.
 *  - In each case the collector loses nothing: it looks at each of the two words by itself, and a
 *    copy of a torn pair keeps what its value word points to.
 *
 * Source: the interface values of Go, which are two words that tear as well.
 */
#ifndef TRICOLOR_ANY_H
#define TRICOLOR_ANY_H

#include <errno.h>

#include "../tricolor.h"

/** What is in the box of a value of more than 8 bytes. */
enum tri_any_contents {
	TRI_ANY_CONSERVATIVE = 0,	/**< each aligned word may be a pointer */
	TRI_ANY_LEAF = 1,		/**< no pointers */
	TRI_ANY_TYPED = 2,		/**< pointers where @map says */
};

/**
 * A type of values.  Two values have the same type if their type words are the same address.  So
 * each type is defined once in a program, by one of the macros below, and declared in a header by
 * `extern const struct tri_any_type NAME;` if several files use it.
 */
struct tri_any_type {
	size_t size;			/**< bytes of a value, not 0 */
	const struct tri_type *map;	/**< of TRI_ANY_TYPED, else NULL */
	enum tri_any_contents contents;
	const char *name;		/**< for messages */
};

/**
 * Define `const struct tri_any_type NAME` for C type T, at the level of the file; `static` may
 * stand before it.
 */
#define TRI_ANY_TYPE(NAME, T)						\
	const struct tri_any_type NAME = { sizeof(T), NULL, TRI_ANY_CONSERVATIVE, #T }

/** The same for a type that has no pointers into the heap. */
#define TRI_ANY_TYPE_LEAF(NAME, T)					\
	const struct tri_any_type NAME = { sizeof(T), NULL, TRI_ANY_LEAF, #T }

/** The same for a type whose pointers TRI_TYPE(TYPE, T, …) names. */
#define TRI_ANY_TYPE_TYPED(NAME, T, TYPE)				\
	const struct tri_any_type NAME = { sizeof(T), &(TYPE), TRI_ANY_TYPED, #T }

/** A value of any type.  All zero: it is empty. */
struct tri_any {
	const struct tri_any_type *type;	/**< NULL: empty */
	void *value;				/**< up to 8 bytes, the rest of it 0; or the box */
};

static inline __attribute__((unused)) int tri__any_is_boxed(const struct tri_any_type *type)
{
	return type->size > sizeof(void *);
}

/* A box with a copy of @value, or NULL with errno. */
static inline __attribute__((unused)) void *tri__any_box_new(const struct tri_any_type *type,
							     const void *value)
{
	size_t words = type->size / sizeof(void *);
	void *box;

	if (type->contents == TRI_ANY_TYPED && type->map->size != type->size) {
		errno = EINVAL;
		return NULL;
	}
	if (type->contents == TRI_ANY_LEAF) {
		box = tri_alloc_leaf(type->size);
		if (box)
			memcpy(box, value, type->size);
		return box;
	}
	box = type->contents == TRI_ANY_TYPED ? tri_alloc_typed(type->map, 1) :
						tri_alloc(type->size);
	if (!box)
		return NULL;
	/* A new object is black in a mark phase, so its first pointers need the barrier, too. */
	tri_move(box, value, words);
	memcpy((char *)box + words * sizeof(void *), (const char *)value + words * sizeof(void *),
	       type->size % sizeof(void *));
	return box;
}

/**
 * A copy of the @type->size bytes at @value, as a value of @type.  @value is aligned to 8 bytes if
 * it holds pointers and is larger than 8 bytes.  The result belongs into a variable of the caller's
 * stack; tri_any_store() puts it elsewhere.
 * Allocates if the value has more than 8 bytes.  If that fails the result is empty, and errno is
 * ENOMEM, or EINVAL if the pointer map of @type is that of a type of another size.
 */
static inline __attribute__((unused)) struct tri_any tri_any_new(const struct tri_any_type *type,
								 const void *value)
{
	struct tri_any any = { NULL, NULL };

	if (tri__any_is_boxed(type)) {
		any.value = tri__any_box_new(type, value);
		if (!any.value)
			return any;
	} else {
		memcpy(&any.value, value, type->size);
	}
	any.type = type;
	return any;
}

/** Whether @any holds a value of @type. */
static inline __attribute__((unused)) int tri_any_is(struct tri_any any,
						     const struct tri_any_type *type)
{
	return any.type == type;
}

/**
 * Copy the value to @value, which is in the caller's stack or holds no pointers, if it is of @type.
 * Returns 1 if it is, and 0 if not, in which case nothing is copied.
 */
static inline __attribute__((unused)) int tri_any_get(struct tri_any any,
						      const struct tri_any_type *type, void *value)
{
	if (any.type != type)
		return 0;
	if (tri__any_is_boxed(type)) {
		memcpy(value, any.value, type->size);
		tri_keep_alive(any.value);
	} else {
		memcpy(value, &any.value, type->size);
	}
	return 1;
}

/**
 * Where a value of @type of more than 8 bytes lies: an object, which nobody may change.  NULL if
 * @any holds another type, or a value of up to 8 bytes.
 */
static inline __attribute__((unused)) const void *tri_any_box(struct tri_any any,
							      const struct tri_any_type *type)
{
	return any.type == type && tri__any_is_boxed(type) ? any.value : NULL;
}

/**
 * Store @any at @slot, in an object, a global or any memory: two tri_store(), the value word before
 * the type word.
 */
static inline __attribute__((unused)) void tri_any_store(struct tri_any *slot, struct tri_any any)
{
	(tri_store)((void *)&slot->value, any.value);
	(tri_store)((void *)&slot->type, any.type);
}

/** Make @slot empty: the type word before the value word. */
static inline __attribute__((unused)) void tri_any_clear(struct tri_any *slot)
{
	(tri_store)((void *)&slot->type, NULL);
	(tri_store)((void *)&slot->value, NULL);
}

/**
 * What is at @slot.  With a lock, or in a place of the thread's own, `*slot` is the same.
 */
static inline __attribute__((unused)) struct tri_any tri_any_load(const struct tri_any *slot)
{
	struct tri_any any;

	/* Pairs with the release order of tri_store(): with a type come the words before it. */
	any.type = __atomic_load_n(&slot->type, __ATOMIC_ACQUIRE);
	any.value = __atomic_load_n(&slot->value, __ATOMIC_ACQUIRE);
	return any;
}

#endif /* TRICOLOR_ANY_H */
