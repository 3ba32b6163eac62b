// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The provider for a device-dax, on a sysfs that takes /dev/zero for one. Its
 * mapping has zeroes each time, and offset 0 only.
 */

#include <fcntl.h>
#include <unistd.h>

#include "fake_dax.h"
#include "fixture.h"

#define ALIGN FAKE_DAX_ALIGN
#define SIZE (4 * ALIGN)

static int zero;

static void set_up(void)
{
	fixture_setup();
	fake_dax_setup();
	zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static void tear_down(void)
{
	close(zero);
	fake_dax_teardown();
	fixture_teardown();
}

/* Memory that can be read; a reservation cannot. */
static bool accessible(const void *addr, size_t length)
{
	const char *first = addr;

	return write(file, first, 1) == 1 && write(file, first + length - 1, 1) == 1;
}

static struct md_map *try_map(off_t offset, size_t length, enum md_provider provider)
{
	struct md_map_attr attr = { .size = sizeof(attr), .provider = provider };

	errno = 0;
	return md_map(ctx, zero, offset, length, &attr);
}

static struct md_map *map_device(enum md_provider provider)
{
	struct md_map *map = try_map(0, 2 * ALIGN, provider);

	if (!map)
		printf("\n    md_map: %s ", md_errmsg());
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	return map;
}

/* ---- what is given ----------------------------------------------------- */

static void map__device_dax__served_unasked(void)
{
	struct md_map *map = map_device(MD_PROVIDER_NONE);
	char *addr = md_map_addr(map);

	CU_ASSERT_EQUAL(md_map_provider(map), MD_PROVIDER_DEVDAX);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	CU_ASSERT_EQUAL((uintptr_t)addr % ALIGN, 0);
	CU_ASSERT_EQUAL(md_map_length(map), 2 * ALIGN);
	CU_ASSERT_NOT_EQUAL(md_map_generation(map), 0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	addr[0] = 1;
	addr[2 * ALIGN - 1] = 2;
	CU_ASSERT_EQUAL(md_persist(map, 0, 2 * ALIGN), 0);
	md_map_put(map);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fake_lease_tries(), 0);
}

static void map__region_released_and_restored__new_keys_and_generation(void)
{
	struct md_map *map = map_device(MD_PROVIDER_DEVDAX);
	uint64_t generation = md_map_generation(map);
	char *addr = md_map_addr(map);
	struct md_mr *mr;
	uint32_t rkey;

	fake_verbs_covers = accessible;
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	rkey = mr->rkey;
	CU_ASSERT(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT_EQUAL(addr[0], 1);
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_FALSE(accessible(addr, 2 * ALIGN));
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT(md_map_generation(map) > generation);
	CU_ASSERT(accessible(addr, 2 * ALIGN));
	CU_ASSERT_NOT_EQUAL(mr->rkey, rkey);
	CU_ASSERT_FALSE(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void map__allocate_and_restore__nothing_to_do(void)
{
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE,
	};
	struct md_map *map = md_map(ctx, zero, 0, ALIGN, &attr);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	expect_no_event();
	fixture_unmap(map);
}

static void map__two_of_one_range__both_live(void)
{
	struct md_map *a = map_device(MD_PROVIDER_NONE), *b = map_device(MD_PROVIDER_NONE);

	CU_ASSERT_NOT_EQUAL(md_map_generation(a), md_map_generation(b));
	CU_ASSERT_EQUAL(md_map_state(a), MD_MAP_LIVE);
	CU_ASSERT_EQUAL(md_map_state(b), MD_MAP_LIVE);
	fixture_unmap(a);
	fixture_unmap(b);
}

/* ---- what is refused --------------------------------------------------- */

static void map__range_does_not_suit_the_device__errno_of_each(void)
{
	CU_ASSERT_PTR_NULL(try_map(PAGE, ALIGN, 0));
	ASSERT_FAILED(EINVAL, "offset 4096 is not a multiple of the device's alignment, 4194304");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN + PAGE, 0));
	ASSERT_FAILED(EINVAL, "length 4198400 is not a multiple of the device's alignment");
	CU_ASSERT_PTR_NULL(try_map(ALIGN, SIZE, 0));
	ASSERT_FAILED(ENXIO, "the device ends at 16777216");
	ASSERT_FAILED(ENXIO, "bytes 4194304 to 20971519 of /dev/zero");
}

static void map__provider_does_not_fit__eopnotsupp(void)
{
	struct md_map_attr attr = { .size = sizeof(attr), .provider = MD_PROVIDER_DEVDAX };

	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, MD_PROVIDER_KMOD));
	ASSERT_FAILED(EOPNOTSUPP, "MD_PROVIDER_DEVDAX");
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, PAGE, &attr));
	ASSERT_FAILED(EOPNOTSUPP, "not for files");
	CU_ASSERT_EQUAL(fake_lease_tries(), 0);
}

static void map__other_device__ebadfd(void)
{
	fake_dax_link(FAKE_DAX "/subsystem", "../../../../../bus/mem");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, 0));
	ASSERT_FAILED(EBADFD, "not a device-dax");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, MD_PROVIDER_DEVDAX));
	ASSERT_FAILED(EBADFD, "not a device-dax");
	fake_dax_link("dev/char/1:5", "nowhere");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, 0));
	ASSERT_FAILED(EBADFD, "not a device-dax");
}

static void map__sysfs_makes_no_sense__eio(void)
{
	static const char *const align[] = { "0\n", "", "4194305\n" };

	for (int i = 0; i < 3; i++) {
		fake_dax_file(FAKE_DAX "/align", align[i]);
		CU_ASSERT_PTR_NULL(try_map(0, ALIGN, 0));
		ASSERT_FAILED(EIO, "sysfs");
	}
}

/* What cannot be read is not taken for an answer. */
static void map__sysfs_cannot_be_read__says_so(void)
{
	fake_dax_link(FAKE_DAX_REGION "/uevent", ".");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, 0));
	ASSERT_FAILED(EISDIR, "sysfs does not tell");
	fake_dax_link("dev/char/1:5", "1:5");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, 0));
	ASSERT_FAILED(ELOOP, "sysfs does not tell");
}

/* Less than md_persist() promises is not chosen unasked. */
static void map__memory_is_volatile__only_by_name(void)
{
	fake_dax_file(FAKE_DAX_REGION "/uevent", "DEVTYPE=nd_volatile\n");
	CU_ASSERT_PTR_NULL(try_map(0, ALIGN, 0));
	ASSERT_FAILED(EOPNOTSUPP, "volatile");
	fixture_unmap(map_device(MD_PROVIDER_DEVDAX));
}

/* ---- md_query ---------------------------------------------------------- */

static struct md_query_result query(off_t offset, size_t length)
{
	struct md_query_result result = { .size = sizeof(result) };

	CU_ASSERT_EQUAL(md_query(ctx, zero, offset, length, &result), 0);
	return result;
}

static void query__device_dax__answers_as_map_would(void)
{
	struct md_query_result result = query(0, SIZE);

	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_DEVDAX);
	CU_ASSERT_EQUAL(result.error, 0);
	CU_ASSERT_EQUAL(result.file_size, SIZE);
	CU_ASSERT_EQUAL(result.unallocated_length, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.reason, "without a file system"));
	result = query(ALIGN, SIZE);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_DEVDAX);
	CU_ASSERT_EQUAL(result.error, ENXIO);
	fake_dax_file(FAKE_DAX_REGION "/uevent", "DEVTYPE=nd_volatile\n");
	result = query(0, SIZE);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_NONE);
	CU_ASSERT_EQUAL(result.error, EOPNOTSUPP);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.reason, "by name"));
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_DEVDAX);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.by_name_reason, "volatile"));
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__device_dax__served_unasked),
	UNIT_CASE(map__region_released_and_restored__new_keys_and_generation),
	UNIT_CASE(map__allocate_and_restore__nothing_to_do),
	UNIT_CASE(map__two_of_one_range__both_live),
	UNIT_CASE(map__range_does_not_suit_the_device__errno_of_each),
	UNIT_CASE(map__provider_does_not_fit__eopnotsupp),
	UNIT_CASE(map__other_device__ebadfd),
	UNIT_CASE(map__sysfs_makes_no_sense__eio),
	UNIT_CASE(map__sysfs_cannot_be_read__says_so),
	UNIT_CASE(map__memory_is_volatile__only_by_name),
	UNIT_CASE(query__device_dax__answers_as_map_would),
	{ 0 },
};

int main(int argc, char **argv)
{
	int failed = unit_main("lease_devdax (md_process)", cases, set_up, tear_down, argc, argv);

	threaded = true;
	return unit_main("lease_devdax (thread)", cases, set_up, tear_down, argc, argv) | failed;
}
