// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * size.c - see size.h
 *
 * A fraction is kept as a whole number over a power of ten, so that floating point does not round
 * it.  A rest that is less than a byte is dropped.
 */
#include "size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* 10^18 x 2^40 has 100 bits. */
#define FRACTION_DIGITS 18

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The power of two that a unit stands for; negative: the text is no unit. */
static int unit_shift(const char *unit)
{
	static const char letters[] = "kmgt";
	const char *letter;

	if (!*unit || !strcasecmp(unit, "B"))
		return 0;
	letter = strchr(letters, *unit | 0x20);
	if (!letter || !*letter)
		return -1;
	unit++;
	if (*unit && strcasecmp(unit, "B") && strcasecmp(unit, "i") && strcasecmp(unit, "iB"))
		return -1;
	return (int)(letter - letters + 1) * 10;
}

/*
 * Read the digits behind a decimal point, as @fraction over @scale.  Returns where they end; NULL:
 * there are none.
 */
static const char *parse_fraction(const char *text, unsigned __int128 *fraction,
				  unsigned __int128 *scale)
{
	int digits;

	for (digits = 0; is_digit(*text); text++, digits++) {
		if (digits == FRACTION_DIGITS)
			return NULL;
		*fraction = *fraction * 10 + (unsigned int)(*text - '0');
		*scale *= 10;
	}
	return digits ? text : NULL;
}

/* Returns NULL, or what is wrong. */
static const char *parse(const char *text, uint64_t *bytes)
{
	unsigned __int128 n = 0, fraction = 0, scale = 1;
	int shift;

	if (!*text)
		return "there is nothing";
	if (*text == '-')
		return "a size is not negative";
	if (!is_digit(*text))
		return "a size begins with a digit";
	for (; is_digit(*text); text++) {
		n = n * 10 + (unsigned int)(*text - '0');
		if (n > INT64_MAX)
			return "that is more than can be";
	}
	if (*text == '.') {
		text = parse_fraction(text + 1, &fraction, &scale);
		if (!text)
			return "behind the point there are 1 to 18 digits";
	}
	if (*text == ' ' && text[1])
		text++;
	shift = unit_shift(text);
	if (shift < 0)
		return "there is no such unit";
	if (!shift && scale > 1)
		return "a byte has no parts";
	n = (n << shift) + (fraction << shift) / scale;
	if (n > INT64_MAX)
		return "that is more than can be";
	*bytes = (uint64_t)n;
	return NULL;
}

bool tri_parse_bytes(const char *text, uint64_t *bytes)
{
	return !parse(text, bytes);
}

const char *tri_size_mistake(const char *text)
{
	uint64_t bytes;
	const char *why = parse(text, &bytes);

	return why ? why : bytes ? "it is no size" : "a limit of 0 is none";
}

bool tri_parse_limit(const char *text, int64_t *bytes)
{
	uint64_t n;

	if (!strcmp(text, "off") || !strcmp(text, "auto")) {
		*bytes = *text == 'o' ? INT64_MAX : 0;
		return true;
	}
	if (!tri_parse_bytes(text, &n) || !n)
		return false;
	*bytes = (int64_t)n;
	return true;
}

bool tri_parse_percent(const char *text, int32_t *percent)
{
	char *end;
	long n;

	if (!strcmp(text, "off")) {
		*percent = -1;
		return true;
	}
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtol(text, &end, 10);
	if (errno || *end || n > TRI_GC_PERCENT_MAX)
		return false;
	*percent = (int32_t)n;
	return true;
}
