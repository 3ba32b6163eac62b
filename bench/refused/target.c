// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <err.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "target.h"

/* A device-dax maps no less. */
#define LENGTH ((size_t)2 << 20)

void target_open(struct target *t, int argc, char **argv)
{
	int flags = MAP_SHARED;

	if (argc == 2 && !strcmp(argv[1], "--version")) {
		puts(PROBE_VERSION);
		exit(0);
	}
	if (argc != 5 || (strcmp(argv[1], "shared") != 0 && strcmp(argv[1], "sync") != 0)) {
		fprintf(stderr, "Usage: %s shared|sync FILE ADDRESS DEVICE\n", argv[0]);
		exit(2);
	}
	if (!strcmp(argv[1], "sync"))
		flags = MAP_SHARED_VALIDATE | MAP_SYNC;
	*t = (struct target){ .length = LENGTH, .address = argv[3], .device = argv[4] };
	t->fd = open(argv[2], O_RDWR | O_CLOEXEC);
	if (t->fd < 0)
		err(1, "cannot open %s", argv[2]);
	t->addr = mmap(NULL, LENGTH, PROT_READ | PROT_WRITE, flags, t->fd, 0);
	if (t->addr == MAP_FAILED)
		err(1, "cannot map %s", argv[2]);
	/* All pages are there: what is refused is not that. */
	memset(t->addr, 0, LENGTH);
}

void target_works(void)
{
	puts("works");
	exit(0);
}

void target_refused(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
	exit(0);
}
