/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The numbers of a command line. What is none ends the program with EXIT_USAGE. */
#ifndef BENCH_NUMBER_H
#define BENCH_NUMBER_H

#include <stdint.h>

/* Says why, and that -h tells more. */
void refuse(const char *why, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* A number in decimal, which may end in K, M or G (of 1024), within the limits. */
uint64_t number(const char *option, const char *text, uint64_t min, uint64_t max);

/* Up to @room such numbers, with commas between them. Returns how many. */
unsigned int numbers(const char *option, const char *text, uint64_t min, uint64_t max,
		     uint64_t *list, unsigned int room);

#endif
