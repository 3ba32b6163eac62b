/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_PINGPONG_H
#define BENCH_PINGPONG_H

#include "report.h"

/*
 * Both sides send in turn, by RDMA write or by send. The client begins, and notes when.
 * Whatever is broken meanwhile, each message is seen by the other side.
 */
void pingpong_write(struct perf *p, uint32_t size, struct times *t);
void pingpong_send(struct perf *p, uint32_t size, struct times *t);

#endif
