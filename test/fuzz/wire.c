// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Any bytes: what can be decoded is the same after it was encoded again. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

/* The name of the rule is in the log. */
#define must(good)                                                                                 \
	do {                                                                                       \
		if (!(good)) {                                                                     \
			fprintf(stderr, "line %d: %s\n", __LINE__, #good);                         \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of its own, so that a read behind the end is found. */
static void try(const uint8_t *data, size_t size)
{
	uint8_t out[MD__WIRE_MAX], again[MD__WIRE_MAX];
	struct md__msg first, second;
	uint8_t *in = malloc(size ?: 1);
	size_t whole, length;

	memcpy(in, data, size);
	whole = md__wire_length(in, size);
	must(whole <= MD__WIRE_MAX && (size < MD__WIRE_HEADER) == !whole);
	if (!md__wire_decode(in, size, &first)) {
		must(first.length == whole && whole <= size);
		if (first.type < MD__MSG_TYPES) {
			length = md__wire_encode(&first, out);
			must(length <= whole);
			must(!md__wire_decode(out, length, &second));
			must(md__wire_encode(&second, again) == length);
			must(!memcmp(out, again, length));
			/* What is known of it are its first bytes, but for the version and length. */
			must(!memcmp(out + 12, in + 12, length - 12));
		}
	}
	free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try(data, size);
	if (size <= MD__WIRE_MAX)
		return 0;
	try(data, MD__WIRE_MAX);
	return 0;
}
