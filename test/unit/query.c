// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_query(), and the module's provider where there is no module. */

#include <fcntl.h>
#include <unistd.h>

#include "fixture.h"

static struct md_query_result result;

static int query(struct md_context *c, int fd, off_t offset, size_t length)
{
	result = (struct md_query_result){ .size = sizeof(result) };
	errno = 0;
	return md_query(c, fd, offset, length, &result);
}

static void query__provider_serves__says_so(void)
{
	CU_ASSERT_EQUAL(query(ctx, file, 0, PAGE), 0);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL(result.error, 0);
	CU_ASSERT_EQUAL(result.file_size, FILE_PAGES * PAGE);
	CU_ASSERT_STRING_NOT_EQUAL(result.reason, "");
	CU_ASSERT_EQUAL(fake_lease_tries(), 0);
}

/* What md_map() would refuse is an answer, not a failure. */
static void query__range_or_file_is_wrong__answered_with_errno(void)
{
	int dir = open("/", O_RDONLY | O_CLOEXEC);

	CU_ASSERT_EQUAL(query(ctx, file, 1, PAGE), 0);
	CU_ASSERT_EQUAL(result.error, EINVAL);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_NONE);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.reason, "page size"));
	CU_ASSERT_EQUAL(query(ctx, dir, 0, PAGE), 0);
	CU_ASSERT_EQUAL(result.error, EBADFD);
	CU_ASSERT_EQUAL(query(ctx, file, 0, SIZE_MAX), 0);
	CU_ASSERT_EQUAL(result.error, EOVERFLOW);
	close(dir);
}

static void query__answered__errmsg_stays(void)
{
	char kept[512];

	CU_ASSERT_EQUAL(md_fd(NULL), -1);
	strcpy(kept, md_errmsg());
	CU_ASSERT_EQUAL(query(ctx, file, 1, PAGE), 0);
	CU_ASSERT_STRING_EQUAL(md_errmsg(), kept);
}

static void query__bad_arguments__errno_of_each(void)
{
	CU_ASSERT_EQUAL(query(ctx, -1, 0, PAGE), -1);
	ASSERT_FAILED(EBADF, "-1 is not an open file descriptor");
	CU_ASSERT_EQUAL(query(NULL, file, 0, PAGE), -1);
	ASSERT_FAILED(EINVAL, "no context");
	CU_ASSERT_EQUAL(md_query(ctx, file, 0, PAGE, NULL), -1);
	ASSERT_FAILED(EINVAL, "no place");
	result.size = 4097;
	CU_ASSERT_EQUAL(md_query(ctx, file, 0, PAGE, &result), -1);
	ASSERT_FAILED(EINVAL, "size is 4097");
	result.size = 0;
	CU_ASSERT_EQUAL(md_query(ctx, file, 0, PAGE, &result), -1);
	ASSERT_FAILED(EINVAL, "size is 0");
}

/* Built with an older or a newer header than the library. */
static void query__result_of_another_size__filled_as_far_as_known(void)
{
	const size_t shorter = offsetof(struct md_query_result, file_size);
	struct {
		struct md_query_result known;
		char newer[64];
	} longer;

	memset(&result, 0x5a, sizeof(result));
	result.size = shorter;
	CU_ASSERT_EQUAL(md_query(ctx, file, 0, PAGE, &result), 0);
	CU_ASSERT_EQUAL(result.size, shorter);
	CU_ASSERT_EQUAL(result.error, 0);
	CU_ASSERT_EQUAL(result.file_size, 0x5a5a5a5a5a5a5a5a);

	memset(&longer, 0x5a, sizeof(longer));
	longer.known.size = sizeof(longer);
	CU_ASSERT_EQUAL(md_query(ctx, file, 0, PAGE, &longer.known), 0);
	CU_ASSERT_EQUAL(longer.known.size, sizeof(longer));
	CU_ASSERT_EQUAL(longer.known.file_size, FILE_PAGES * PAGE);
	for (size_t i = 0; i < sizeof(longer.newer); i++)
		CU_ASSERT_EQUAL(longer.newer[i], 0);
}

/* ---- without the module -------------------------------------------------- */

static struct md_context *open_device(const char *device)
{
	struct md_context_attr attr = { .size = sizeof(attr), .device = device };
	struct md_context *c = md_open(&attr);

	CU_ASSERT_PTR_NOT_NULL_FATAL(c);
	return c;
}

static void module__not_there__enoent_says_how_to_load_it(void)
{
	struct md_context *c = open_device("/dev/mapdirect-that-is-not-there");

	CU_ASSERT_EQUAL(query(c, file, 0, PAGE), 0);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_NONE);
	CU_ASSERT_EQUAL(result.error, ENOENT);
	CU_ASSERT_EQUAL(result.file_size, FILE_PAGES * PAGE);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.reason, "modprobe mapdirect"));
	CU_ASSERT_PTR_NULL(md_map(c, file, 0, PAGE, NULL));
	ASSERT_FAILED(ENOENT, "modprobe mapdirect");
	CU_ASSERT_EQUAL(md_close(c), 0);
}

static void module__device_is_another__eopnotsupp(void)
{
	struct md_context *c = open_device("/dev/null");

	CU_ASSERT_PTR_NULL(md_map(c, file, 0, PAGE, NULL));
	ASSERT_FAILED(EOPNOTSUPP, "/dev/null is not a device of the module");
	CU_ASSERT_EQUAL(md_close(c), 0);
}

static const struct unit_case cases[] = {
	UNIT_CASE(query__provider_serves__says_so),
	UNIT_CASE(query__range_or_file_is_wrong__answered_with_errno),
	UNIT_CASE(query__answered__errmsg_stays),
	UNIT_CASE(query__bad_arguments__errno_of_each),
	UNIT_CASE(query__result_of_another_size__filled_as_far_as_known),
	UNIT_CASE(module__not_there__enoent_says_how_to_load_it),
	UNIT_CASE(module__device_is_another__eopnotsupp),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("query", cases, argc, argv);
}
