/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Memory to measure RDMA with, by its name on the command line:
 *   anon         anonymous memory, aligned for huge pages
 *   tmpfs        a file without a name on a tmpfs
 *   devdax:DEV   a device-dax, by plain verbs
 *   lease:FILE   a DAX file, by md_map() and md_reg_mr()
 *   bounce:FILE  anonymous memory beside a DAX file: who receives copies it there
 *   odp:FILE     a DAX file without a lease, by on-demand paging
 * All pages are there and have been written when mem_open() returns.
 */
#ifndef BENCH_MEM_H
#define BENCH_MEM_H

#include <stddef.h>

#include <infiniband/verbs.h>
#include <mapdirect/mapdirect.h>

enum mem_kind {
	MEM_ANON,
	MEM_TMPFS,
	MEM_DEVDAX,
	MEM_LEASE,
	MEM_BOUNCE,
	MEM_ODP
};

struct mem_spec {
	enum mem_kind kind;
	const char *path; /* points into the text; NULL if the kind has none */
};

struct mem {
	enum mem_kind kind;
	char *addr; /* what is registered */
	size_t length;
	char *file;	     /* bounce: the file itself; else as addr */
	struct md_map *map;  /* lease, else NULL */
	struct md_mr *md_mr; /* once registered: either of them */
	struct ibv_mr *ibv_mr;
};

/* 0, or -1: not such a name. */
int mem_parse(const char *text, struct mem_spec *spec);

const char *mem_kind_str(enum mem_kind kind);

/* A regular file, made, or grown to @length, if need be. */
int mem_file(const char *path, size_t length);

/*
 * A file is made, or grows to @length, which is at most what a device has. @ctx is
 * for a lease, and may be NULL for the others. Ends the program when that fails.
 */
void mem_open(struct mem *m, const struct mem_spec *spec, size_t length, struct md_context *ctx);

/* All of it, once. 0, or -1 with errno: there is a sentence in mem_error(). */
int mem_reg(struct mem *m, struct ibv_pd *pd, int access);
int mem_dereg(struct mem *m);
const char *mem_error(const struct mem *m);

uint32_t mem_lkey(const struct mem *m);
uint32_t mem_rkey(const struct mem *m);

/*
 * Makes what has arrived in a range durable where it belongs: bounce copies it into its
 * file. There is nothing to do for memory that is volatile anyhow. Of a lease: in an open
 * use. 0, or -1: there is a sentence in mem_error().
 */
int mem_persist(struct mem *m, size_t offset, size_t length);

/* Deregistered before. */
void mem_close(struct mem *m);

#endif
