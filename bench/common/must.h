/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A benchmark that cannot go on says why and ends. */
#ifndef BENCH_MUST_H
#define BENCH_MUST_H

#include <err.h>
#include <errno.h>

#include <mapdirect/mapdirect.h>

#define EXIT_USAGE 2
#define EXIT_CANNOT 77 /* what was asked for does not exist on this machine */

#define MUST(ok) ((ok) ? (void)0 : err(1, "%s:%d: %s", __FILE__, __LINE__, #ok))
#define MD_MUST(ok) ((ok) ? (void)0 : errx(1, "%s:%d: %s", __FILE__, __LINE__, md_errmsg()))
/* Of calls that return the errno: ibv_modify_qp(), pthread_create(). */
#define ERRNO_MUST(call) (errno = (call), MUST(!errno && #call))

#endif
