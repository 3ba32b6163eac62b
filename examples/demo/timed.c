/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_timed FILE COMMAND...: runs a command and writes "MICROSECONDS STAMP" to
 * FILE: how long it took, and CLOCK_MONOTONIC when it had ended.
 */
#include "demo.h"

#include <err.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const uint64_t start = now_ns();
	uint64_t end;
	int status;
	FILE *f;

	if (argc < 3)
		errx(2, "usage: demo_timed FILE COMMAND...");
	switch (fork()) {
	case -1:
		err(2, "fork");
	case 0:
		execvp(argv[2], argv + 2);
		err(127, "%s", argv[2]);
	}
	if (wait(&status) < 0)
		err(2, "wait");
	end = now_ns();
	f = fopen(argv[1], "w");
	if (!f || fprintf(f, "%" PRIu64 " %" PRIu64 "\n", (end - start) / 1000, end) < 0 ||
	    fclose(f))
		err(2, "%s", argv[1]);
	return status ? 1 : 0;
}
