/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The local file of a client: a line for each record that was acknowledged, its
 * sequence number and the checksum of its payload. All lines have one length that
 * divides a page, so whoever is killed has written a line or not.
 */
#ifndef MD_LOG_ACKED_H
#define MD_LOG_ACKED_H

#include <stdint.h>
#include <stdio.h>

/* For appending. -1 and errno. */
int acked_open(const char *path);

int acked_add(int fd, uint64_t seq, uint64_t payload_sum);

/* The next line: 1, 0 at the end, -1 if it is none. */
int acked_read(FILE *from, uint64_t *seq, uint64_t *payload_sum);

#endif
