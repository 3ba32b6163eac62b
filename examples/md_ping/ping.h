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
	const char *port;      /* of the session */
	const char *data_port; /* the one after it */
	unsigned long count;   /* 0: without end */
	size_t size;
	const char *file;
	off_t offset;
	size_t length;
	unsigned long budget_ms; /* of a break for the client; 0: the library's */
};

/* Exits on wrong usage. */
void parse_options(struct options *opt, int argc, char **argv);

/* A line on stderr, with -d only. */
__attribute__((format(printf, 2, 3))) void debug(const struct options *opt, const char *fmt, ...);

/*
 * The messages on the connection that the data takes, big endian. It is the
 * client's of the session that was asked for with the same token.
 */
enum ping_what {
	PING_TOKEN = 1, /* client, at first: whose connection this is; server: it is known */
	PING_CHECK,	/* client: is ping @number of @size bytes in the file? */
	PING_GOOD,	/* server: yes, or it cannot tell any more */
	PING_BAD,	/* server: no */
};

struct ping_msg {
	uint32_t what;
	uint32_t size;
	uint64_t token;
	uint64_t number;
	uint64_t generation; /* of the grant under which it was written */
};

/* Ping @n: its name as text, then printable characters, then a NUL. */
#define PING_MIN_SIZE sizeof("rdma-ping-18446744073709551615: ")

void ping_fill(char *buf, size_t size, unsigned long n);

/* Offset of the first byte that is not ping @n's, @size if all are. */
size_t ping_check(const char *buf, size_t size, unsigned long n);

/* A number that no other client has. */
uint64_t ping_token(void);

/* Exit codes. */
int run_server(const struct options *opt);
int run_client(const struct options *opt);

#endif
