/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Pieces of md_log: options, what the two sides say, the three roles. */
#ifndef MD_LOG_H
#define MD_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct options {
	bool server;
	bool client;
	bool debug; /* -d */
	const char *addr;
	const char *port;
	char data_port[8]; /* the next one */
	const char *file;
	size_t size;	       /* of a new file */
	size_t record_size;    /* server: the most; client: of each */
	unsigned long records; /* 0: until the log is full */
	unsigned int depth;
	const char *acked;
	const char *verify; /* --verify */
	char **acked_files; /* ends with NULL */
};

/* Exits on wrong usage. */
void parse_options(struct options *opt, int argc, char **argv);

/* A line on stderr, with -d only. */
__attribute__((format(printf, 2, 3))) void debug(const struct options *opt, const char *fmt, ...);

/* CLOCK_MONOTONIC, ms */
int64_t now_ms(void);

/*
 * A writer has a session (md_connect()) and a connection of its own for its RDMA.
 * That both are of one writer is seen by a token: it is the private data of the
 * session, and the first message of the connection. The server answers with the
 * writer's epoch. Both sides are of one byte order.
 */
struct hello {
	uint64_t token;
};

struct welcome {
	uint64_t epoch;
};

#define GRANT_NAME "log"

/* Exit codes. */
int run_server(const struct options *opt);
int run_client(const struct options *opt);
int run_verify(const struct options *opt);

#endif
