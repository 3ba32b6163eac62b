// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdarg.h>
#include <stdio.h>

#include "must.h"
#include "sample.h"

static FILE *file;

void sample_open(const char *path)
{
	file = fopen(path, "ae");
	if (!file)
		err(1, "cannot append to %s", path);
	/* Others append to it, too. */
	setlinebuf(file);
}

void sample(double value, const char *unit, const char *name, ...)
{
	char text[256];
	va_list ap;

	if (!file)
		return;
	va_start(ap, name);
	vsnprintf(text, sizeof(text), name, ap);
	va_end(ap);
	if (fprintf(file, "{\"name\": \"%s\", \"value\": %.9g, \"unit\": \"%s\"}\n", text, value,
		    unit) < 0)
		err(1, "cannot write a sample");
}
