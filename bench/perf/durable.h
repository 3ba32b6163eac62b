/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * A message counts when the server has acknowledged it. It goes into a slot of a ring,
 * by RDMA write with immediate data or by send, so that its completion tells the
 * server: it makes the slot durable, and acknowledges. A read from bounce memory is
 * asked for by a word; the server copies from the file into the slot, and says so.
 *
 * Words are sends without bytes. The server's says in its immediate data how many
 * messages of the queue pair it has settled altogether; it sends one after each poll,
 * for all that the poll has found.
 */
#ifndef BENCH_DURABLE_H
#define BENCH_DURABLE_H

#include "report.h"

void durable_client(struct perf *p, uint32_t size, struct times *t);
void durable_server(struct perf *p, uint32_t size);

#endif
