/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#ifndef BENCH_REFUSED_DEVICE_H
#define BENCH_REFUSED_DEVICE_H

#include <infiniband/verbs.h>

#define PROBE_ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE | IBV_ACCESS_REMOTE_READ)

/* A protection domain on the device of that name. Ends the program when that fails. */
struct ibv_pd *device_pd(const char *name);

#endif
