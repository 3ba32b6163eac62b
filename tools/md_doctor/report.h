/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Findings, and how they are shown. Knows nothing of the machine. */
#ifndef MD_DOCTOR_REPORT_H
#define MD_DOCTOR_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum status {
	STATUS_OK,
	STATUS_MISSING, /* without it nothing works: the machine is not ready */
	STATUS_WARN,	/* works, with a drawback or for some files only */
	STATUS_NOTE,	/* good to know */
};

/*
 * @check:   what was looked at, a constant; "mount"
 * @subject: which one of several; "/mnt/pmem", or NULL if there is only one
 * @found:   a phrase
 * @remedy:  what to do about it, or NULL
 */
struct finding {
	enum status status;
	const char *check;
	char *subject;
	char *found;
	char *remedy;
};

/* Begins as all zeroes. */
struct report {
	struct finding *findings;
	size_t count;
	bool no_memory; /* a finding was lost: never ready */
};

/* Adds a finding; subject may be NULL and is copied. */
void report_add(struct report *r, enum status status, const char *check, const char *subject,
		const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* What to do about the finding that was added last. */
void report_remedy(struct report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Is there a finding of that check with that status? */
bool report_has(const struct report *r, const char *check, enum status status);

/* How many things are missing. */
unsigned int report_missing(const struct report *r);

/*
 * Text: a line for each finding and one for each remedy, then one that sums
 * up. Control characters are shown as "?".
 */
void report_print(const struct report *r, FILE *to);

/*
 * One JSON object. Bytes that are not UTF-8, as file names may have them,
 * become U+FFFD.
 */
void report_print_json(const struct report *r, const char *version, FILE *to);

void report_free(struct report *r);

#endif
