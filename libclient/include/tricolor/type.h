/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * type.h - TRI_TYPE: pointer maps from the fields of a struct; allocation by type
 *
 * Included by tricolor.h, and by nothing else.
 */
#ifndef TRICOLOR_TYPE_H
#define TRICOLOR_TYPE_H

/*
 * TRI_TYPE(name, struct node, left, right) defines `static const struct tri_type name` for a type
 * of at most 4 KiB; each field is a pointer or an array of pointers.  Up to 16 fields.
 */
#define TRI__BITS_BELOW(n) ((n) <= 0 ? 0ull : (n) >= 64 ? ~0ull : (1ull << ((n) & 63)) - 1)
#define TRI__FIELD_BITS(T, f, w)					\
	(TRI__BITS_BELOW((long)((offsetof(T, f) + sizeof(((T *)0)->f)) / 8) - 64 * (w)) & \
	 ~TRI__BITS_BELOW((long)(offsetof(T, f) / 8) - 64 * (w)))
#define TRI__F1(T, w, f) TRI__FIELD_BITS(T, f, w)
#define TRI__F2(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F1(T, w, __VA_ARGS__)
#define TRI__F3(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F2(T, w, __VA_ARGS__)
#define TRI__F4(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F3(T, w, __VA_ARGS__)
#define TRI__F5(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F4(T, w, __VA_ARGS__)
#define TRI__F6(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F5(T, w, __VA_ARGS__)
#define TRI__F7(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F6(T, w, __VA_ARGS__)
#define TRI__F8(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F7(T, w, __VA_ARGS__)
#define TRI__F9(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F8(T, w, __VA_ARGS__)
#define TRI__F10(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F9(T, w, __VA_ARGS__)
#define TRI__F11(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F10(T, w, __VA_ARGS__)
#define TRI__F12(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F11(T, w, __VA_ARGS__)
#define TRI__F13(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F12(T, w, __VA_ARGS__)
#define TRI__F14(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F13(T, w, __VA_ARGS__)
#define TRI__F15(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F14(T, w, __VA_ARGS__)
#define TRI__F16(T, w, f, ...) TRI__FIELD_BITS(T, f, w) | TRI__F15(T, w, __VA_ARGS__)
#define TRI__PICK(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, n, ...) n
#define TRI__FIELDS(T, w, ...)						\
	TRI__PICK(__VA_ARGS__, TRI__F16, TRI__F15, TRI__F14, TRI__F13, TRI__F12, TRI__F11,	\
		  TRI__F10, TRI__F9, TRI__F8, TRI__F7, TRI__F6, TRI__F5, TRI__F4, TRI__F3,	\
		  TRI__F2, TRI__F1, 0)							\
	(T, w, __VA_ARGS__)
#define TRI_TYPE(name, T, ...)						\
	static const uint64_t name##__ptrmap[8] = {			\
		TRI__FIELDS(T, 0, __VA_ARGS__), TRI__FIELDS(T, 1, __VA_ARGS__), \
		TRI__FIELDS(T, 2, __VA_ARGS__), TRI__FIELDS(T, 3, __VA_ARGS__), \
		TRI__FIELDS(T, 4, __VA_ARGS__), TRI__FIELDS(T, 5, __VA_ARGS__), \
		TRI__FIELDS(T, 6, __VA_ARGS__), TRI__FIELDS(T, 7, __VA_ARGS__) }; \
	typedef T name##__of __attribute__((unused));			\
	static const struct tri_type name = {				\
		sizeof(T) + 0 * sizeof(char[sizeof(T) <= 4096 && sizeof(T) % 8 == 0 ? 1 : -1]), \
		name##__ptrmap, #T }

/**
 * A zeroed T, every aligned word of which may be a pointer, as a T *; or NULL as tri_alloc().  It
 * is aligned as T has to be.
 */
#define tri_new(T)							\
	((T *)(__alignof__(T) > 16 ? tri_alloc_aligned(sizeof(T), __alignof__(T)) : \
				     tri_alloc(sizeof(T))))

/**
 * A zeroed object of the type that TRI_TYPE(type, …) describes, as a pointer to it; or NULL as
 * tri_alloc_typed().  For types that are aligned to at most 16 bytes.
 */
#define tri_new_typed(type)						\
	((type##__of *)tri_alloc_typed(					\
		&(type), 0 * sizeof(char[__alignof__(type##__of) <= 16 ? 1 : -1]) + 1))

#endif /* TRICOLOR_TYPE_H */
