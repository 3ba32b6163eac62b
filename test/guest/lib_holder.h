/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A holder that uses the library: context, map, region and a queue pair. */
#ifndef MD_TEST_GUEST_LIB_HOLDER_H
#define MD_TEST_GUEST_LIB_HOLDER_H

#include <mapdirect/mapdirect.h>

#include "breaker.h"
#include "holder.h"
#include "rdma.h"

#define LIB_PAGE 4096UL

struct lib {
	struct holder file; /* of it, only path and fd */
	struct md_context *ctx;
	enum md_provider provider; /* to ask for */
	struct md_map *map;
	struct md_mr *mr; /* all of the map */
	struct rdma near; /* the other end of */
	struct rdma far;  /* the queue pair that is attached */
	struct md_event *ahead;
};

/* Context settings of flags and milliseconds; 0 is the default of each. */
struct md_context *lib_context(uint32_t flags, uint32_t drain_ms, uint32_t restore_ms);

/* Maps, or NULL and errno. */
struct md_map *lib_try_map(struct md_context *ctx, int fd, off_t offset, size_t length,
			   uint32_t flags);

/* With context and file given: maps all of the range, registers and attaches. */
void lib_take(struct lib *l, off_t offset, size_t length, uint32_t flags);

/* Gives back all of it but the file. */
void lib_drop(struct lib *l);

/* Is there an event within so long? */
bool lib_has_event(struct lib *l, int limit_ms);

/* The next event, which must be of this type; fetched and not acknowledged. */
struct md_event *lib_fetch(struct lib *l, enum md_event_type type);

/* The same, acknowledged. */
struct md_event lib_next(struct lib *l, enum md_event_type type);

/* The next of this type, whatever comes before it. */
struct md_event *lib_await(struct lib *l, enum md_event_type type);

/*
 * Until the breaker ended, or the map is broken again: one that comes too late
 * to the inode's lock finds the next lease. Is it?
 */
bool lib_broken_again(struct lib *l, struct breaker *b);

/* In a use of the map: one page at offset becomes "value" by RDMA. */
void lib_write(struct lib *l, size_t offset, char value);

/* The steps of a break that was carried out, in order and in time. */
void lib_check_timeline(const struct md_timeline *t);

/* For calls of the library: a failure is told with md_errmsg(). */
#define CHECK_MD(expr)                                                                             \
	do {                                                                                       \
		errno = 0;                                                                         \
		if (!(expr))                                                                       \
			suite_fail(__FILE__, __LINE__, "%s: %s", #expr, md_errmsg());              \
	} while (0)

#endif
