// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Which part of a range was never written, on a sparse file. */

#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"
#include "hole.h"

static int sparse;

/* A file whose pages are written where the pattern has an x. */
static void make(const char *pattern)
{
	sparse = memfd_create("sparse", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(sparse, (off_t)strlen(pattern) * PAGE), 0);
	for (int i = 0; pattern[i]; i++) {
		if (pattern[i] == 'x')
			CU_ASSERT_EQUAL(pwrite(sparse, "x", 1, i * PAGE), 1);
	}
}

/* The first hole from page @from on, for @count pages. */
static void expect_hole(unsigned int from, unsigned int count, unsigned int first,
			unsigned int pages)
{
	struct md__range range;
	struct md__hole hole;

	CU_ASSERT_EQUAL_FATAL(md__range_init(&range, sparse, from * PAGE, count * PAGE), 0);
	CU_ASSERT_EQUAL(md__hole_find(&range, &hole), 0);
	CU_ASSERT_EQUAL(hole.length, pages * PAGE);
	if (pages)
		CU_ASSERT_EQUAL(hole.offset, first * PAGE);
}

static void find__all_written__none(void)
{
	make("xxxx");
	expect_hole(0, 4, 0, 0);
	expect_hole(1, 1, 0, 0);
	close(sparse);
}

static void find__nothing_written__the_range(void)
{
	make("....");
	expect_hole(0, 4, 0, 4);
	expect_hole(1, 2, 1, 2);
	close(sparse);
}

static void find__some_written__first_hole_within_the_range(void)
{
	make("..xx..x.");
	expect_hole(0, 8, 0, 2);
	expect_hole(0, 1, 0, 1);
	expect_hole(1, 7, 1, 1);
	expect_hole(2, 2, 0, 0);
	expect_hole(2, 3, 4, 1);
	expect_hole(2, 6, 4, 2);
	expect_hole(6, 1, 0, 0);
	expect_hole(6, 2, 7, 1);
	close(sparse);
}

/* Beyond the end of the file is not a hole: md_map() has ENXIO for it. */
static void find__file_ends_in_the_range__nothing_beyond_it(void)
{
	make("xx");
	expect_hole(0, 4, 0, 0);
	expect_hole(2, 2, 0, 0);
	close(sparse);
	make("x.");
	expect_hole(0, 4, 1, 1);
	close(sparse);
}

static void find__caller_reads_the_file__its_position_stays(void)
{
	make("x.x.");
	CU_ASSERT_EQUAL(lseek(sparse, 123, SEEK_SET), 123);
	expect_hole(0, 4, 1, 1);
	CU_ASSERT_EQUAL(lseek(sparse, 0, SEEK_CUR), 123);
	close(sparse);
}

static void query__hole_in_the_range__told(void)
{
	struct md_query_result result = { .size = sizeof(result) };

	make("xx..x");
	CU_ASSERT_EQUAL(md_query(ctx, sparse, PAGE, 4 * PAGE, &result), 0);
	CU_ASSERT_EQUAL(result.file_size, 5 * PAGE);
	CU_ASSERT_EQUAL(result.unallocated_offset, 2 * PAGE);
	CU_ASSERT_EQUAL(result.unallocated_length, 2 * PAGE);
	CU_ASSERT_EQUAL(md_query(ctx, sparse, 0, 2 * PAGE, &result), 0);
	CU_ASSERT_EQUAL(result.unallocated_length, 0);
	close(sparse);
}

static const struct unit_case cases[] = {
	UNIT_CASE(find__all_written__none),
	UNIT_CASE(find__nothing_written__the_range),
	UNIT_CASE(find__some_written__first_hole_within_the_range),
	UNIT_CASE(find__file_ends_in_the_range__nothing_beyond_it),
	UNIT_CASE(find__caller_reads_the_file__its_position_stays),
	UNIT_CASE(query__hole_in_the_range__told),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("hole", cases, fixture_setup, fixture_teardown, argc, argv);
}
