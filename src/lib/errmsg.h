/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* The sentence of the last failure in this thread, see md_errmsg(). */
#ifndef MD_LIB_ERRMSG_H
#define MD_LIB_ERRMSG_H

#define MD__ERRMSG_MAX 512

/**
 * md__fail - set errno and the sentence of this thread
 * @error: an errno
 * @fmt:   what failed, why, and what to do about it; no newline
 *
 * Returns -1, so that a call can end with "return md__fail(...)".
 */
int md__fail(int error, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/**
 * md__errmsg_keep, md__errmsg_restore - bracket work whose failures are not
 * the caller's own
 * @kept: MD__ERRMSG_MAX bytes
 */
void md__errmsg_keep(char *kept);
void md__errmsg_restore(const char *kept);

#endif
