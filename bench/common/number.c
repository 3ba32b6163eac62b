// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "number.h"

void refuse(const char *why, ...)
{
	va_list ap;

	va_start(ap, why);
	vwarnx(why, ap);
	va_end(ap);
	warnx("-h tells more");
	exit(EXIT_USAGE);
}

/* Up to @end, which is set to what follows. False: there is no number. */
static bool parse(const char *text, char **end, uint64_t *value)
{
	static const char suffixes[] = "KMG";
	const char *suffix;
	unsigned int shift;

	if (!isdigit((unsigned char)*text))
		return false;
	errno = 0;
	*value = strtoull(text, end, 10);
	suffix = **end ? strchr(suffixes, **end) : NULL;
	if (!suffix)
		return !errno;
	shift = 10 * (unsigned int)(suffix - suffixes + 1);
	++*end;
	if (*value > UINT64_MAX >> shift)
		return false;
	*value <<= shift;
	return !errno;
}

unsigned int numbers(const char *option, const char *text, uint64_t min, uint64_t max,
		     uint64_t *list, unsigned int room)
{
	const char *at = text;
	unsigned int n = 0;
	char *end;

	for (;; at = end + 1) {
		uint64_t value;

		if (!parse(at, &end, &value) || (*end && *end != ',') || value < min || value > max)
			refuse("%s wants numbers from %llu to %llu, not '%s'", option,
			       (unsigned long long)min, (unsigned long long)max, text);
		if (n == room)
			refuse("%s takes at most %u: '%s'", option, room, text);
		list[n++] = value;
		if (!*end)
			return n;
	}
}

uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	uint64_t value;

	numbers(option, text, min, max, &value, 1);
	return value;
}
