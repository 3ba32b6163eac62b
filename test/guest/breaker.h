/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Another process that does something to a file, and perhaps has to wait. */
#ifndef MD_TEST_GUEST_BREAKER_H
#define MD_TEST_GUEST_BREAKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define BREAKER_COMM "guest-breaker"

/* Returns 0, or -1 and errno. */
typedef int (*file_op)(const char *path);

struct breaker_result;

struct breaker {
	pid_t pid;
	struct breaker_result *result;
};

void breaker_start(struct breaker *b, file_op op, const char *path);

/* Has it begun, and is it still at it hold_ms later? Waits until it has begun. */
bool breaker_waits(struct breaker *b, int hold_ms);

/* It must end within the limit: 0 or the errno of the operation; or that must be 0. */
int breaker_end(struct breaker *b, int limit_ms);
void breaker_finish(struct breaker *b, int limit_ms);

/* How long the operation took; after breaker_finish(). */
double breaker_seconds(const struct breaker *b);

int truncate_to_zero(const char *path);

#endif
