// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * entry.c - one entry, and its text
 *
 * The text is laid out as the reply to a get has it, so that sending it is one pointer.  It is a
 * leaf: the collector never reads a value.
 */
#include <stdio.h>
#include <string.h>

#include "kvcache.h"

#define HEADER_BYTES_MAX (sizeof("VALUE   \r\n") + KEY_BYTES_MAX + 2 * sizeof("4294967295"))

static const char before_key[] = "VALUE ";

TRI_TYPE(entry_type, struct entry, chain, newer, older, text);

struct entry *entry_new(const char *key, size_t key_length, uint32_t flags, uint32_t value_length,
			uint32_t expires)
{
	struct entry *entry = tri_alloc_typed(&entry_type, 1);
	char header[HEADER_BYTES_MAX];
	uint32_t header_length, length;
	char *text;

	header_length = (uint32_t)snprintf(header, sizeof(header), "%s%.*s %u %u\r\n", before_key,
					   (int)key_length, key, flags, value_length);
	length = header_length + value_length + 2;
	text = tri_alloc_leaf(length);
	if (!entry || !text)
		return NULL;
	memcpy(text, header, header_length);
	tri_store(&entry->text, text);
	entry->text_length = length;
	entry->value_at = header_length;
	entry->key_length = (uint16_t)key_length;
	entry->expires = expires;
	entry->bytes = (uint32_t)(tri_usable_size(entry) + tri_usable_size(text));
	return entry;
}

const char *entry_key(const struct entry *entry)
{
	return entry->text + sizeof(before_key) - 1;
}
