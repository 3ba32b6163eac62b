/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Another process, which opens or truncates the file of leased_file.h. */
#ifndef MD_TEST_BREAKER_H
#define MD_TEST_BREAKER_H

#include <stdbool.h>
#include <sys/types.h>

/* A breaker is through, or has to be, within this time. */
#define SOON_MS 5000

struct breaker {
	pid_t pid;
	int through; /* readable when its call has returned */
	int go;	     /* closed when it may end, and close the file */
};

/* What it may do; the descriptor, or 0, or -1. */
int open_to_read(const char *name);
int open_to_write(const char *name);
int open_and_cut(const char *name);
int truncate_to_nothing(const char *name);

void breaker_start(struct breaker *b, int (*op)(const char *name));
bool breaker_is_through(struct breaker *b, int limit_ms);

/* It must be through, and ends. */
void breaker_finish(struct breaker *b);

#endif
