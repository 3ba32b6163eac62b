/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A machine made of files in a temporary directory, and what is found on it. */
#ifndef MD_TEST_FAKE_TREE_H
#define MD_TEST_FAKE_TREE_H

#include <stdbool.h>

#include "report.h"
#include "unit.h"

extern char fake_root[64];   /* for the probes: an empty directory in each case */
extern struct report report; /* what they add to; printed when the case ends */

/* Around each case. */
void fake_tree_setup(void);
void fake_tree_teardown(void);

/* A file with that text, its directories made if need be; replaces. */
void fake_file(const char *path, const char *text);
void fake_dir(const char *path);
void fake_remove(const char *path);

/* Drops all findings. */
void forget(void);

/*
 * Is there exactly one finding of that check and subject (NULL: none), and has
 * it this status and these words in what was found?
 */
bool found(enum status status, const char *check, const char *subject, const char *words);

/* The remedy of the first finding of a check that has one, or "". */
const char *remedy_of(const char *check);

#define KERNEL "6.1.0-50-amd64"

/* A machine that lacks nothing, without RDMA devices. */
void fake_machine(void);

#endif
