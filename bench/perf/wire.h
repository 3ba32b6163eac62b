/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * The connection over TCP by which the two sides agree, meet before and after each
 * size, and learn of each other's end. Whatever fails here ends the program.
 */
#ifndef BENCH_WIRE_H
#define BENCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire {
	int fd;
	uint64_t looked; /* cycles() when we looked last whether the other side lives */
};

/* Server: waits for one client. */
void wire_accept(struct wire *w, const char *port);

/* Client: tries for a while, for the server may be starting. */
void wire_connect(struct wire *w, const char *host, const char *port);

void wire_close(struct wire *w);

void wire_send(struct wire *w, const void *data, size_t length);
void wire_recv(struct wire *w, void *data, size_t length);

/* Ends the program if the other side has ended. */
void wire_check(struct wire *w);

/*
 * For loops that wait in vain: the same, but only from time to time. True: something
 * has come meanwhile.
 */
bool wire_idle(struct wire *w);

/* Whether there is something to receive, waiting for it so long at most. */
bool wire_pending(struct wire *w, int timeout_ms);

/* The next byte, without receiving it. */
char wire_peek(struct wire *w);

/* Goes on when both sides have come here. */
void wire_meet(struct wire *w);

#endif
