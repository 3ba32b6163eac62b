/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Pieces of md_ping: options, the data of a ping, the two roles. */
#ifndef MD_PING_H
#define MD_PING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct options {
	bool server;
	bool client;
	bool print;    /* -v */
	bool validate; /* -V */
	bool debug;    /* -d */
	const char *addr;
	const char *port;
	unsigned long count; /* 0: without end */
	size_t size;
	const char *file;
	off_t offset;
	size_t length;
};

/* Exits on wrong usage. */
void parse_options(struct options *opt, int argc, char **argv);

/* A line on stderr, with -d only. */
__attribute__((format(printf, 2, 3))) void debug(const struct options *opt, const char *fmt, ...);

/*
 * The one message, as rping has it, big endian: a buffer of the client that
 * the server shall read from (odd messages) or write to (even messages). The
 * server answers each with one whose content does not matter.
 */
struct advert {
	uint64_t addr;
	uint32_t rkey;
	uint32_t size;
};

/* Ping @n: its name as text, then printable characters, then a NUL. */
#define PING_MIN_SIZE sizeof("rdma-ping-18446744073709551615: ")

void ping_fill(char *buf, size_t size, unsigned long n);

/* Which ping a buffer claims to be: 0, or -1 if it is none. */
int ping_number(const char *buf, size_t size, unsigned long *n);

/* Offset of the first byte that is not ping @n's, @size if all are. */
size_t ping_check(const char *buf, size_t size, unsigned long n);

/* Exit codes. */
int run_server(const struct options *opt);
int run_client(const struct options *opt);

#endif
