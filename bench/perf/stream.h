/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include "report.h"

/* The client posts messages of @size, as many as fit; the server receives what is sent. */
void stream_client(struct perf *p, uint32_t size, struct times *t);
void stream_server(struct perf *p, uint32_t size);

#endif
