// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Maps: what md_map() refuses, what md_unmap() waits for. No break here. */

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fixture.h"

static struct md_map *try_map(int fd, off_t offset, size_t length)
{
	errno = 0;
	return md_map(ctx, fd, offset, length, NULL);
}

static struct md_map *try_attr(size_t size, uint32_t flags, enum md_provider provider)
{
	struct md_map_attr attr = { .size = size, .flags = flags, .provider = provider };

	errno = 0;
	return md_map(ctx, file, 0, PAGE, &attr);
}

/* ---- what is refused -------------------------------------------------- */

static void map__bad_range__einval_or_eoverflow(void)
{
	CU_ASSERT_PTR_NULL(try_map(file, 1, PAGE));
	ASSERT_FAILED(EINVAL, "offset 1 is not a multiple of the page size");
	ASSERT_FAILED(EINVAL, "data");
	CU_ASSERT_PTR_NULL(try_map(file, -PAGE, PAGE));
	ASSERT_FAILED(EINVAL, "offset -4096");
	CU_ASSERT_PTR_NULL(try_map(file, 0, 0));
	ASSERT_FAILED(EINVAL, "length");
	ASSERT_FAILED(EINVAL, "data");
	CU_ASSERT_PTR_NULL(try_map(file, 0, SIZE_MAX));
	ASSERT_FAILED(EOVERFLOW, "beyond");
	CU_ASSERT_PTR_NULL(try_map(file, INT64_MAX / PAGE * PAGE, PAGE));
	ASSERT_FAILED(EOVERFLOW, "beyond");
	CU_ASSERT_PTR_NULL(md_map(NULL, file, 0, PAGE, NULL));
	ASSERT_FAILED(EINVAL, "no context");
}

static void map__bad_settings__einval_or_eopnotsupp(void)
{
	const size_t size = sizeof(struct md_map_attr);

	CU_ASSERT_PTR_NULL(try_attr(size, 1U << 30, 0));
	ASSERT_FAILED(EINVAL, "flags");
	CU_ASSERT_PTR_NULL(try_attr(size, 0, 99));
	ASSERT_FAILED(EOPNOTSUPP, "provider");
	CU_ASSERT_PTR_NULL(try_attr(0, 0, 0));
	ASSERT_FAILED(EINVAL, "size is 0");
}

static void map__wrong_kind_of_descriptor__errno_of_each(void)
{
	char path[64];
	int dir = open("/", O_RDONLY | O_CLOEXEC), path_fd, reader, writer;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	reader = open(path, O_RDONLY | O_CLOEXEC);
	writer = open(path, O_WRONLY | O_CLOEXEC);
	path_fd = open(path, O_PATH | O_CLOEXEC);

	CU_ASSERT_PTR_NULL(try_map(-1, 0, PAGE));
	ASSERT_FAILED(EBADF, "-1 is not an open file descriptor");
	CU_ASSERT_PTR_NULL(try_map(100000, 0, PAGE));
	ASSERT_FAILED(EBADF, "100000");
	CU_ASSERT_PTR_NULL(try_map(dir, 0, PAGE));
	ASSERT_FAILED(EBADFD, "not a regular file");
	CU_ASSERT_PTR_NULL(try_map(reader, 0, PAGE));
	ASSERT_FAILED(EACCES, "O_RDWR");
	CU_ASSERT_PTR_NULL(try_map(writer, 0, PAGE));
	ASSERT_FAILED(EACCES, "O_RDWR");
	CU_ASSERT_PTR_NULL(try_map(path_fd, 0, PAGE));
	ASSERT_FAILED(EACCES, "O_RDWR");
	close(dir);
	close(reader);
	close(writer);
	close(path_fd);
}

/* Teardown sees that no descriptor is left. */
/* The end tells files apart. */
static void map__long_name__its_end_is_shown(void)
{
	int fd = memfd_create("a name of more than what fits into the sentence, and its end",
			      MFD_CLOEXEC);

	CU_ASSERT_PTR_NULL(md_map(ctx, fd, 1, PAGE, NULL));
	ASSERT_FAILED(EINVAL, "...");
	ASSERT_FAILED(EINVAL, "fits into the sentence, and its end (deleted)");
	close(fd);
}

static void map__no_lease__errno_of_the_provider_at_once(void)
{
	const int error[] = { EAGAIN, EBUSY, EEXIST, ENXIO,  ENODATA, EPERM,
			      ENODEV, EIO,   ENOMEM, ENOLCK, EMFILE };

	for (size_t i = 0; i < sizeof(error) / sizeof(error[0]); i++) {
		struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_RESTORE };

		fake_lease_fail(FAKE_FOR_EVER, error[i]);
		CU_ASSERT_PTR_NULL(md_map(ctx, file, PAGE, 2 * PAGE, &attr));
		ASSERT_FAILED(error[i], "bytes 4096 to 12287 of /memfd:data");
	}
	CU_ASSERT_EQUAL(fake_lease_tries(), sizeof(error) / sizeof(error[0]));
	fake_lease_fail(0, 0);
	fixture_unmap(fixture_map(0));
	expect_no_event();
}

static void map__break_during_the_call__eagain(void)
{
	fake_lease_break_next(1);
	CU_ASSERT_PTR_NULL(try_map(file, 0, PAGE));
	ASSERT_FAILED(EAGAIN, "broken");
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	expect_no_event();
}

/* ---- what is given ---------------------------------------------------- */

static void map__whole_file__looks_as_asked_for(void)
{
	struct md_map *map = fixture_map(0);
	uint64_t generation = md_map_generation(map);

	CU_ASSERT_EQUAL(md_map_length(map), FILE_PAGES * PAGE);
	CU_ASSERT_EQUAL(md_map_offset(map), 0);
	CU_ASSERT_EQUAL(md_map_provider(map), MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL((uintptr_t)md_map_addr(map) % (2 << 20), 0);
	CU_ASSERT(generation > 0);
	fixture_unmap(map);
	map = fixture_map(0);
	CU_ASSERT(md_map_generation(map) > generation);
	fixture_unmap(map);
}

/* Huge pages need the address and the offset to agree modulo 2 MiB. */
static void map__part_of_a_page__whole_pages_at_a_fitting_address(void)
{
	struct md_map *map = try_map(file, PAGE, PAGE + 1);
	char byte;

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_map_length(map), 2 * PAGE);
	CU_ASSERT_EQUAL(md_map_offset(map), PAGE);
	CU_ASSERT_EQUAL((uintptr_t)md_map_addr(map) % (2 << 20), PAGE);
	((char *)md_map_addr(map))[PAGE] = 'x';
	CU_ASSERT_EQUAL(pread(file, &byte, 1, 2 * PAGE), 1);
	CU_ASSERT_EQUAL(byte, 'x');
	fixture_unmap(map);
}

static void map__descriptor_closed_by_the_caller__works_and_restores(void)
{
	struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_RESTORE };
	int fd = dup(file);
	struct md_map *map = md_map(ctx, fd, 0, PAGE, &attr);

	close(fd);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

static void map__several__independent(void)
{
	struct md_map *map[4];

	for (int i = 0; i < 4; i++) {
		map[i] = try_map(file, i * PAGE, PAGE);
		CU_ASSERT_PTR_NOT_NULL_FATAL(map[i]);
		((char *)md_map_addr(map[i]))[0] = (char)i;
	}
	CU_ASSERT_EQUAL(md_release(map[2]), 0);
	CU_ASSERT_EQUAL(md_map_state(map[2]), MD_MAP_BREAKING);
	for (int i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(md_map_get(map[i]), i == 2 ? -1 : 0);
		if (i != 2)
			md_map_put(map[i]);
	}
	for (int i = 0; i < 4; i++)
		fixture_unmap(map[i]);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
}

static int count_mappings(void)
{
	FILE *f = fopen("/proc/self/maps", "r");
	int c, n = 0;

	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

static void map__again_and_again__nothing_is_used_up(void)
{
	int mappings = count_mappings();

	for (int i = 0; i < 200; i++) {
		fixture_unmap(fixture_map(0));
		fake_lease_fail(1, EAGAIN);
		CU_ASSERT_PTR_NULL(try_map(file, 0, PAGE));
	}
	/* Memory allocators may take some. */
	CU_ASSERT(count_mappings() < mappings + 50);
}

/* ---- uses ------------------------------------------------------------- */

static void get__live__nests(void)
{
	struct md_map *map = fixture_map(0);

	CU_ASSERT_EQUAL(md_map_get(map), 0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	errno = ENXIO;
	md_map_put(map);
	md_map_put(map);
	CU_ASSERT_EQUAL(errno, ENXIO);
	CU_ASSERT_EQUAL(md_map_get(NULL), -1);
	ASSERT_FAILED(EINVAL, "no map");
	fixture_unmap(map);
}

/* ---- md_unmap --------------------------------------------------------- */

static void unmap__null__nothing_happens(void)
{
	CU_ASSERT_EQUAL(md_unmap(NULL), 0);
}

static bool mapped(void *addr)
{
	return !msync(addr, PAGE, MS_ASYNC);
}

static void unmap__done__lease_and_addresses_are_back(void)
{
	struct md_map *map = fixture_map(0);
	char *addr = md_map_addr(map);

	CU_ASSERT_EQUAL(fake_lease_held(), 1);
	CU_ASSERT(mapped(addr));
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	CU_ASSERT_FALSE(mapped(addr));
}

static void expect_busy(struct md_map *map, const char *words)
{
	errno = 0;
	CU_ASSERT_EQUAL(md_unmap(map), -1);
	ASSERT_FAILED(EBUSY, words);
	CU_ASSERT_EQUAL(fake_lease_held(), 1);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	md_map_put(map);
}

static void unmap__something_left__ebusy_says_what(void)
{
	struct md_map *map = fixture_map(0);
	struct md_mr *mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	struct md_event *event;

	expect_busy(map, "md_dereg_mr");
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);

	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	expect_busy(map, "md_detach_qp");
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);

	CU_ASSERT_EQUAL(md_map_get(map), 0);
	expect_busy(map, "md_map_put");
	md_map_put(map);

	break_and_release();
	CU_ASSERT_EQUAL(md_restore(map), 0);
	event = expect_event(MD_EVENT_RESTORED);
	expect_busy(map, "md_ack_event");
	md_ack_event(event);

	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_unmap(map), -1);
	ASSERT_FAILED(EBUSY, "md_ack_event");
	md_ack_event(event);
	fixture_unmap(map);
}

static atomic_uint used, refused;

static void *use_again_and_again(void *arg)
{
	for (int i = 0; i < 200000; i++) {
		if (md_map_get(arg)) {
			atomic_fetch_add(&refused, 1);
		} else {
			atomic_fetch_add(&used, 1);
			md_map_put(arg);
		}
	}
	return NULL;
}

/* Who is refused waits for MD_EVENT_RESTORED, and none would come. */
static void unmap__busy__does_not_disturb_others(void)
{
	struct md_map *map = fixture_map(0);
	struct md_mr *mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	int failed = 0, tries = 0;
	pthread_t t;

	atomic_store(&used, 0);
	atomic_store(&refused, 0);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, use_again_and_again, map), 0);
	while (atomic_load(&used) + atomic_load(&refused) < 200000) {
		failed += md_unmap(map) == -1;
		tries++;
	}
	pthread_join(t, NULL);
	CU_ASSERT_EQUAL(failed, tries);
	CU_ASSERT_EQUAL(refused, 0);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void unmap__events_not_fetched__are_dropped(void)
{
	struct md_map *map = fixture_map(0);

	CU_ASSERT_EQUAL(md_release(map), 0);
	fixture_unmap(map);
	expect_no_event();
}

static void unmap__in_a_break__finishes_it(void)
{
	struct md_map *map = fixture_map(0);

	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pump();
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fake_lease_held(), 0);
	expect_no_event();
}

static void unmap__pages_pinned_by_others__does_not_wait(void)
{
	struct md_map *map = fixture_map(0);
	char *addr = md_map_addr(map);

	fake_lease_pin(FAKE_FOR_EVER);
	fixture_unmap(map);
	CU_ASSERT_FALSE(mapped(addr));
	fake_lease_pin(0);
}

static void unmap__released_backing_off_or_lost__works(void)
{
	struct md_map *map = fixture_map(0);

	break_and_release();
	fixture_unmap(map);

	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_fail(FAKE_FOR_EVER, EAGAIN);
	break_and_release();
	fixture_unmap(map);

	fake_lease_fail(0, 0);
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_fail(1, EIO);
	break_and_release();
	pass_event(MD_EVENT_LOST);
	fixture_unmap(map);
	expect_no_event();
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__bad_range__einval_or_eoverflow),
	UNIT_CASE(map__bad_settings__einval_or_eopnotsupp),
	UNIT_CASE(map__wrong_kind_of_descriptor__errno_of_each),
	UNIT_CASE(map__long_name__its_end_is_shown),
	UNIT_CASE(map__no_lease__errno_of_the_provider_at_once),
	UNIT_CASE(map__break_during_the_call__eagain),
	UNIT_CASE(map__whole_file__looks_as_asked_for),
	UNIT_CASE(map__part_of_a_page__whole_pages_at_a_fitting_address),
	UNIT_CASE(map__descriptor_closed_by_the_caller__works_and_restores),
	UNIT_CASE(map__several__independent),
	UNIT_CASE(map__again_and_again__nothing_is_used_up),
	UNIT_CASE(get__live__nests),
	UNIT_CASE(unmap__null__nothing_happens),
	UNIT_CASE(unmap__done__lease_and_addresses_are_back),
	UNIT_CASE(unmap__something_left__ebusy_says_what),
	UNIT_CASE(unmap__busy__does_not_disturb_others),
	UNIT_CASE(unmap__events_not_fetched__are_dropped),
	UNIT_CASE(unmap__in_a_break__finishes_it),
	UNIT_CASE(unmap__pages_pinned_by_others__does_not_wait),
	UNIT_CASE(unmap__released_backing_off_or_lost__works),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("map", cases, argc, argv);
}
