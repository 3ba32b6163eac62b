/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What a probe is asked, on its command line:
 *   PROBE shared|sync FILE ADDRESS DEVICE
 * to register 2 MiB of FILE, mapped so, with the RDMA device of that name and address.
 * It prints one line: "works", or the error as its library puts it. Its exit code is 0
 * when it could ask. PROBE --version prints the library's.
 */
#ifndef BENCH_REFUSED_TARGET_H
#define BENCH_REFUSED_TARGET_H

#include <stddef.h>

struct target {
	int fd;
	void *addr;
	size_t length;
	const char *address;
	const char *device;
};

void target_open(struct target *t, int argc, char **argv);

/* Ends the program: what came out. */
__attribute__((noreturn)) void target_works(void);
__attribute__((noreturn, format(printf, 1, 2))) void target_refused(const char *format, ...);

#endif
