/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Reading /proc, /sys, /dev, /boot, /lib and /etc below a root directory: ""
 * for this machine; tests give another. Paths begin with a slash.
 */
#ifndef MD_DOCTOR_TREE_H
#define MD_DOCTOR_TREE_H

#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>

/* Large enough for what is read by lines: a version, a state, a number. */
#define TREE_LINE 256

/* The path below the root; false if it is too long. */
bool tree_path(char path[PATH_MAX], const char *root, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* For reading, or NULL and errno. */
FILE *tree_open(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

bool tree_exists(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* First line of a file without its end; "" and false if it cannot be read. */
bool tree_line(char line[TREE_LINE], const char *root, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The number in a file, or -1. */
long long tree_number(const char *root, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What matches a pattern, in order; always followed by globfree(). */
void tree_glob(glob_t *found, const char *root, const char *pattern);

/* Value of a line "key<blank>value" of a file, as in /proc/self/status; or "" and false. */
bool tree_value(char value[TREE_LINE], const char *root, const char *path, const char *key);

/*
 * Has this process a capability that counts for the module, which asks in the
 * initial user namespace? In another one it has all of them, and they do not.
 */
bool tree_capable(const char *root, unsigned int cap);

/*
 * The file of a module of that kernel, by modules.dep: depmod has it there as
 * "kernel/fs/xfs/xfs.ko: ...", possibly compressed.
 */
bool tree_has_module(const char *root, const char *release, const char *module);

/* The part of a path behind its last slash. */
const char *tree_base(const char *path);

#endif
