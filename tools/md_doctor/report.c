// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"

static const char *const names[] = {
	[STATUS_OK] = "ok",
	[STATUS_MISSING] = "missing",
	[STATUS_WARN] = "warn",
	[STATUS_NOTE] = "note",
};

/* ---- collecting --------------------------------------------------------- */

static char *format(struct report *r, const char *fmt, va_list ap)
{
	char *text;

	if (vasprintf(&text, fmt, ap) < 0) {
		r->no_memory = true;
		return NULL;
	}
	return text;
}

static struct finding *one_more(struct report *r)
{
	struct finding *more = realloc(r->findings, (r->count + 1) * sizeof(*more));

	if (!more) {
		r->no_memory = true;
		return NULL;
	}
	r->findings = more;
	more[r->count] = (struct finding){};
	return &more[r->count++];
}

void report_add(struct report *r, enum status status, const char *check, const char *subject,
		const char *fmt, ...)
{
	struct finding *f = one_more(r);
	va_list ap;

	if (!f)
		return;
	f->status = status;
	f->check = check;
	if (subject) {
		f->subject = strdup(subject);
		r->no_memory |= !f->subject;
	}
	va_start(ap, fmt);
	f->found = format(r, fmt, ap);
	va_end(ap);
}

void report_remedy(struct report *r, const char *fmt, ...)
{
	struct finding *f = r->count ? &r->findings[r->count - 1] : NULL;
	va_list ap;

	if (!f || r->no_memory)
		return;
	free(f->remedy);
	va_start(ap, fmt);
	f->remedy = format(r, fmt, ap);
	va_end(ap);
}

void report_free(struct report *r)
{
	for (size_t i = 0; i < r->count; i++) {
		free(r->findings[i].subject);
		free(r->findings[i].found);
		free(r->findings[i].remedy);
	}
	free(r->findings);
	*r = (struct report){};
}

/* ---- asking ------------------------------------------------------------- */

static unsigned int count(const struct report *r, enum status status)
{
	unsigned int n = 0;

	for (size_t i = 0; i < r->count; i++)
		n += r->findings[i].status == status;
	return n;
}

bool report_has(const struct report *r, const char *check, enum status status)
{
	for (size_t i = 0; i < r->count; i++) {
		const struct finding *f = &r->findings[i];

		if (f->status == status && !strcmp(f->check, check))
			return true;
	}
	return false;
}

unsigned int report_missing(const struct report *r)
{
	return count(r, STATUS_MISSING) + r->no_memory;
}

/* ---- text --------------------------------------------------------------- */

/* A finding is one line, whatever a file name has in it. */
static void print_plain(const char *text, FILE *to)
{
	for (; text && *text; text++) {
		unsigned char c = (unsigned char)*text;

		putc(c < 0x20 || c == 0x7f ? '?' : c, to);
	}
}

static void print_finding(const struct finding *f, FILE *to)
{
	fprintf(to, "%-8s %s", names[f->status], f->check);
	if (f->subject)
		putc(' ', to);
	print_plain(f->subject, to);
	fputs(": ", to);
	print_plain(f->found, to);
	if (f->remedy) {
		fputs("\n         -> ", to);
		print_plain(f->remedy, to);
	}
	putc('\n', to);
}

static void print_summary(const struct report *r, FILE *to)
{
	unsigned int missing = report_missing(r), warnings = count(r, STATUS_WARN);

	if (r->no_memory)
		fputs("md_doctor: out of memory, this is not all\n", to);
	if (missing)
		fprintf(to, "not ready: %u %s missing\n", missing,
			missing == 1 ? "thing is" : "things are");
	else if (warnings)
		fprintf(to, "ready: nothing is missing, %u %s\n", warnings,
			warnings == 1 ? "warning" : "warnings");
	else
		fputs("ready: nothing is missing\n", to);
}

void report_print(const struct report *r, FILE *to)
{
	for (size_t i = 0; i < r->count; i++)
		print_finding(&r->findings[i], to);
	print_summary(r, to);
}

/* ---- JSON --------------------------------------------------------------- */

/*
 * Bytes in the UTF-8 character that begins at s, 0 if none does (RFC 3629: not
 * longer than needed, no surrogates, nothing beyond U+10FFFF).
 */
static unsigned int utf8_length(const unsigned char *s)
{
	static const uint32_t lowest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	unsigned int n = *s < 0xc0 ? 0 : *s < 0xe0 ? 2 : *s < 0xf0 ? 3 : *s < 0xf8 ? 4 : 0;
	uint32_t code;

	if (*s < 0x80)
		return 1;
	if (!n)
		return 0;
	code = *s & (0x7fU >> n);
	for (unsigned int i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < lowest[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	return n;
}

static void print_string(const char *text, FILE *to)
{
	const unsigned char *s = (const unsigned char *)(text ? text : "");

	putc('"', to);
	while (*s) {
		unsigned int n = utf8_length(s);

		if (!n)
			fputs("\\ufffd", to);
		else if (*s == '"' || *s == '\\')
			fprintf(to, "\\%c", *s);
		else if (*s < 0x20 || *s == 0x7f)
			fprintf(to, "\\u%04x", *s);
		else
			fwrite(s, n, 1, to);
		s += n ? n : 1;
	}
	putc('"', to);
}

static void print_member(const char *name, const char *text, FILE *to)
{
	fprintf(to, ", \"%s\": ", name);
	if (text)
		print_string(text, to);
	else
		fputs("null", to);
}

static void print_json_finding(const struct finding *f, FILE *to)
{
	fputs("\n    {\"status\": ", to);
	print_string(names[f->status], to);
	print_member("check", f->check, to);
	print_member("subject", f->subject, to);
	print_member("found", f->found, to);
	print_member("remedy", f->remedy, to);
	putc('}', to);
}

void report_print_json(const struct report *r, const char *version, FILE *to)
{
	fputs("{\n  \"version\": ", to);
	print_string(version, to);
	fprintf(to, ",\n  \"ready\": %s,\n  \"missing\": %u,\n  \"findings\": [",
		report_missing(r) ? "false" : "true", report_missing(r));
	for (size_t i = 0; i < r->count; i++) {
		if (i)
			putc(',', to);
		print_json_finding(&r->findings[i], to);
	}
	fputs("\n  ]\n}\n", to);
}
