/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * marking_avx512.h - the part of marking.h that reads the heap, a cache line at a time
 *
 * A vector of eight words is compared with the limit, and the words that pass are compressed into
 * the batch.  This pays from 48 B on.  Smaller objects are scanned word by word.
 *
 * In a list whose nodes lie in one span, each step waits for the one before: the address of the
 * next object comes from a word of this one.  The way through vector and mask registers is long.
 * So the word that last led to a new object of the span is looked at first, by itself, and the CPU
 * goes on to the next object while the vector takes the other words.
 *
 * The program may write a word while it is read.  Each aligned word is read whole, and either
 * value will do, as the barrier shades both.
 */
#include <immintrin.h>

#define TRI_AVX512 __attribute__((target("avx512f,popcnt,bmi,bmi2,lzcnt")))
#define TRI_SCALAR_WORDS 4

static bool tri_marking_can_vector(void)
{
	/* The CPU has all features that TRI_AVX512 names; no others are used. */
	return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("popcnt") &&
	       __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
	       __builtin_cpu_supports("lzcnt");
}

/*
 * Load the words of @mask at @p, and subtract @va.  Each word is read once, however often the
 * result is used.
 */
static inline TRI_AVX512 __m512i tri_vector_read(const uint64_t *p, __mmask8 mask, __m512i va)
{
	__m512i words = mask == 0xff ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi64(mask, p);

	__asm__ volatile("" : "+v"(words));
	return _mm512_sub_epi64(words, va);
}

/* Scan the words @bits of object @index at @p. */
static inline TRI_AVX512 void tri_marking_object_avx512(struct tri_marking *k, struct tri_here *h,
							unsigned int index, const uint64_t *p,
							uint64_t bits)
{
	__m512i va = _mm512_set1_epi64((long long)k->heap_va);
	__m512i limit = _mm512_set1_epi64((long long)k->limit);
	__m512i base = _mm512_set1_epi64((long long)h->base);
	__m512i page = _mm512_set1_epi64(TRI_PAGE_BYTES);
	uint32_t n = k->nfound;
	unsigned int w = 0;

	/*
	 * If the word has changed and does not lead into the span any more, it is read again with
	 * the others.
	 */
	if (h->follow < 64 && bits >> h->follow & 1) {
		uint64_t to = *(const volatile uint64_t *)(p + h->follow) - k->heap_va;

		if (to - h->base < TRI_PAGE_BYTES) {
			bits &= ~(1ull << h->follow);
			tri_marking_inside(h, index, to - h->base);
		}
	}
	for (; bits; bits >>= 8, p += 8, w += 8) {
		__mmask8 mask = (__mmask8)bits, in, out;
		__m512i to = tri_vector_read(p, mask, va), at = _mm512_sub_epi64(to, base);

		in = _mm512_mask_cmplt_epu64_mask(mask, at, page);
		out = _mm512_mask_cmplt_epu64_mask(mask, to, limit) & (__mmask8)~in;
		_mm512_storeu_si512(&k->found[n], _mm512_maskz_compress_epi64(out, to));
		n += (uint32_t)__builtin_popcount(out);
		for (; in; in &= (__mmask8)(in - 1)) {
			__m512i first = _mm512_maskz_compress_epi64(in, at);

			if (tri_marking_inside(h, index, (uint64_t)_mm_cvtsi128_si64(
							     _mm512_castsi512_si128(first))))
				h->follow = w + (unsigned int)__builtin_ctz(in);
		}
	}
	k->nfound = n;
}

/* As tri_marking_visit_scalar(). */
static TRI_AVX512 __attribute__((noinline))
void tri_marking_visit_avx512(struct tri_marking *k, struct tri_visit *visit)
{
	unsigned int n = visit->class->size / 8;
	const uint64_t *span = tri_marking_span(k, visit->page);
	tri_au64 *map = k->v->ptrmap[visit->page];
	bool typed = visit->class->kind == TRI__TYPED;
	struct tri_here h;

	tri_marking_enter(k, &h, visit);
	while (h.words) {
		unsigned int index = tri_marking_next(&h), at = index * n;
		uint64_t bits = typed ? tri_marking_pointers(map, at, n) :
				n == 64 ? ~0ull : (1ull << n) - 1;

		if (n > TRI_SCALAR_WORDS)
			tri_marking_object_avx512(k, &h, index, span + at, bits);
		else if (typed)
			tri_marking_object_typed(k, &h, index, span + at, bits);
		else
			tri_marking_object(k, &h, index, span + at, n);
		if (k->nfound >= TRI_BATCH)
			tri_marking_batch(k);
	}
	tri_marking_leave(k, &h);
}

/* As tri_marking_words_scalar(). */
static TRI_AVX512 __attribute__((noinline))
void tri_marking_words_avx512(struct tri_marking *k, uint64_t offset, uint64_t bytes)
{
	const uint64_t *p = (const uint64_t *)(k->v->heap + offset);
	__m512i va = _mm512_set1_epi64((long long)k->heap_va);
	__m512i limit = _mm512_set1_epi64((long long)k->limit);
	uint64_t words;

	for (words = bytes / 8; words;) {
		uint64_t n = words < 8 ? words : 8;
		__mmask8 mask = (__mmask8)((1u << n) - 1), out;
		__m512i to = tri_vector_read(p, mask, va);

		out = _mm512_mask_cmplt_epu64_mask(mask, to, limit);
		_mm512_storeu_si512(&k->found[k->nfound], _mm512_maskz_compress_epi64(out, to));
		k->nfound += (uint32_t)__builtin_popcount(out);
		if (k->nfound >= TRI_BATCH)
			tri_marking_batch(k);
		p += n;
		words -= n;
	}
}
