// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_doctor's findings: counted, as text, as JSON. */

#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "unit.h"

static struct report report;

static void teardown(void)
{
	report_free(&report);
}

static char *printed(bool json)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	if (json)
		report_print_json(&report, "1.2.3", f);
	else
		report_print(&report, f);
	fclose(f);
	return text;
}

static void expect_printed(bool json, const char *expected)
{
	char *text = printed(json);

	if (strcmp(text, expected))
		printf("\n%s", text);
	CU_ASSERT_STRING_EQUAL(text, expected);
	free(text);
}

static void print__a_finding_of_each_status__lines_and_remedies(void)
{
	report_add(&report, STATUS_OK, "kernel", NULL, "%d.%d", 6, 1);
	report_add(&report, STATUS_MISSING, "module", NULL, "not there");
	report_remedy(&report, "modprobe %s", "mapdirect");
	report_add(&report, STATUS_WARN, "mount", "/mnt", "hm");
	report_add(&report, STATUS_NOTE, "user", NULL, "joe");
	expect_printed(false, "ok       kernel: 6.1\n"
			      "missing  module: not there\n"
			      "         -> modprobe mapdirect\n"
			      "warn     mount /mnt: hm\n"
			      "note     user: joe\n"
			      "not ready: 1 thing is missing\n");
}

static void print__something_missing__counted_in_the_last_line(void)
{
	report_add(&report, STATUS_MISSING, "module", NULL, "a");
	report_add(&report, STATUS_MISSING, "mount", NULL, "b");
	CU_ASSERT_EQUAL(report_missing(&report), 2);
	expect_printed(false, "missing  module: a\nmissing  mount: b\n"
			      "not ready: 2 things are missing\n");
}

static void print__nothing_missing__ready(void)
{
	report_add(&report, STATUS_NOTE, "user", NULL, "joe");
	CU_ASSERT_EQUAL(report_missing(&report), 0);
	expect_printed(false, "note     user: joe\nready: nothing is missing\n");
	report_add(&report, STATUS_WARN, "user", NULL, "joe");
	CU_ASSERT_EQUAL(report_missing(&report), 0);
	expect_printed(false, "note     user: joe\nwarn     user: joe\n"
			      "ready: nothing is missing, 1 warning\n");
}

static void print__control_characters_in_a_name__one_line(void)
{
	report_add(&report, STATUS_OK, "path", "/a\nok\x1b\x7f\tb", "c\rd");
	report_remedy(&report, "e\nf");
	expect_printed(false, "ok       path /a?ok???b: c?d\n         -> e?f\n"
			      "ready: nothing is missing\n");
}

static void print__a_finding_was_lost__not_ready(void)
{
	char *text;

	report.no_memory = true;
	CU_ASSERT_EQUAL(report_missing(&report), 1);
	text = printed(false);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "out of memory"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "not ready: 1 thing"));
	free(text);
}

static void json__findings__one_object(void)
{
	report_add(&report, STATUS_OK, "kernel", NULL, "6.1");
	report_add(&report, STATUS_MISSING, "mount", "/mnt", "none");
	report_remedy(&report, "mount it");
	expect_printed(true,
		       "{\n  \"version\": \"1.2.3\",\n  \"ready\": false,\n  \"missing\": 1,\n"
		       "  \"findings\": [\n"
		       "    {\"status\": \"ok\", \"check\": \"kernel\", \"subject\": null, "
		       "\"found\": \"6.1\", \"remedy\": null},\n"
		       "    {\"status\": \"missing\", \"check\": \"mount\", \"subject\": \"/mnt\", "
		       "\"found\": \"none\", \"remedy\": \"mount it\"}\n"
		       "  ]\n}\n");
}

static void json__nothing_found__ready_and_empty(void)
{
	expect_printed(true, "{\n  \"version\": \"1.2.3\",\n  \"ready\": true,\n  \"missing\": 0,\n"
			     "  \"findings\": [\n  ]\n}\n");
}

static void expect_string(const char *raw, const char *escaped)
{
	char expected[256], *text;

	report_add(&report, STATUS_OK, "path", raw, "x");
	text = printed(true);
	snprintf(expected, sizeof(expected), "\"subject\": \"%s\", \"found\"", escaped);
	if (!strstr(text, expected))
		printf("\n%s", text);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, expected));
	free(text);
	report_free(&report);
}

static void json__special_characters__escaped(void)
{
	expect_string("a\"b\\c", "a\\\"b\\\\c");
	expect_string("a\nb\tc\x01\x1f", "a\\u000ab\\u0009c\\u0001\\u001f");
	expect_string("\x7f", "\\u007f");
	expect_string("50% /", "50% /");
}

static void json__utf8__as_it_is(void)
{
	expect_string("\u00fc\u20ac", "\u00fc\u20ac");
	expect_string("\xf0\x9f\x98\x80.", "\xf0\x9f\x98\x80.");
	expect_string("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

/* Continuation alone, cut off, too long for its code, surrogate, too large. */
static void json__not_utf8__replaced_byte_by_byte(void)
{
	expect_string("a\x80z", "a\\ufffdz");
	expect_string("\xc3", "\\ufffd");
	expect_string("\xe2\x82z", "\\ufffd\\ufffdz");
	expect_string("\xc0\xaf", "\\ufffd\\ufffd");
	expect_string("\xe0\x80\x80", "\\ufffd\\ufffd\\ufffd");
	expect_string("\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd");
	expect_string("\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd");
	expect_string("\xff\"", "\\ufffd\\\"");
}

static void has__status_and_check__both_count(void)
{
	report_add(&report, STATUS_WARN, "mount", "/mnt", "x");
	CU_ASSERT(report_has(&report, "mount", STATUS_WARN));
	CU_ASSERT_FALSE(report_has(&report, "mount", STATUS_OK));
	CU_ASSERT_FALSE(report_has(&report, "pmem", STATUS_WARN));
}

static const struct unit_case cases[] = {
	UNIT_CASE(print__a_finding_of_each_status__lines_and_remedies),
	UNIT_CASE(print__something_missing__counted_in_the_last_line),
	UNIT_CASE(print__nothing_missing__ready),
	UNIT_CASE(print__control_characters_in_a_name__one_line),
	UNIT_CASE(print__a_finding_was_lost__not_ready),
	UNIT_CASE(json__findings__one_object),
	UNIT_CASE(json__nothing_found__ready_and_empty),
	UNIT_CASE(json__special_characters__escaped),
	UNIT_CASE(json__utf8__as_it_is),
	UNIT_CASE(json__not_utf8__replaced_byte_by_byte),
	UNIT_CASE(has__status_and_check__both_count),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("doctor_report", cases, NULL, teardown, argc, argv);
}
