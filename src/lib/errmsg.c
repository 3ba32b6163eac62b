// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <mapdirect/mapdirect.h>

#include "errmsg.h"

static _Thread_local char sentence[MD__ERRMSG_MAX];

int md__fail(int error, const char *fmt, ...)
{
	char text[MD__ERRMSG_MAX];
	va_list args;

	/* An argument may be the old sentence itself. */
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	memcpy(sentence, text, sizeof(text));
	errno = error;
	return -1;
}

void md__errmsg_keep(char *kept)
{
	memcpy(kept, sentence, sizeof(sentence));
}

void md__errmsg_restore(const char *kept)
{
	memcpy(sentence, kept, sizeof(sentence));
}

const char *md_errmsg(void)
{
	return sentence;
}
