// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_persist(): its range, its states, and that a release waits for it. */

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include <libpmem.h>

#include "fixture.h"

static struct md_map *map;

/* Stands in for libpmem's: notes the range, and can be held up. */
static const void *flushed;
static size_t flushed_length;
static bool hold;
static sem_t holding, go_on;

void pmem_persist(const void *addr, size_t length)
{
	flushed = addr;
	flushed_length = length;
	if (!hold)
		return;
	sem_post(&holding);
	sem_wait(&go_on);
}

static void persist__in_the_map__flushes_that_range(void)
{
	const size_t all = FILE_PAGES * PAGE;

	map = fixture_map(0);
	CU_ASSERT_EQUAL(md_persist(map, 100, 300), 0);
	CU_ASSERT_PTR_EQUAL(flushed, (char *)md_map_addr(map) + 100);
	CU_ASSERT_EQUAL(flushed_length, 300);
	CU_ASSERT_EQUAL(md_persist(map, 0, all), 0);
	CU_ASSERT_EQUAL(flushed_length, all);
	CU_ASSERT_EQUAL(md_persist(map, all, 0), 0);
	fixture_unmap(map);
}

static void persist__beyond_the_map__einval(void)
{
	const size_t all = FILE_PAGES * PAGE;

	map = fixture_map(0);
	flushed = NULL;
	CU_ASSERT_EQUAL(md_persist(map, 0, all + 1), -1);
	ASSERT_FAILED(EINVAL, "not inside the 16384 bytes");
	ASSERT_FAILED(EINVAL, "bytes 0 to 16383 of ");
	CU_ASSERT_EQUAL(md_persist(map, all + 1, 0), -1);
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_EQUAL(md_persist(map, 1, SIZE_MAX), -1);
	ASSERT_FAILED(EINVAL, "not inside");
	CU_ASSERT_EQUAL(md_persist(NULL, 0, 1), -1);
	ASSERT_FAILED(EINVAL, "no map");
	CU_ASSERT_PTR_NULL(flushed);
	fixture_unmap(map);
}

static void persist__breaking__works_until_the_lease_goes(void)
{
	map = fixture_map(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	CU_ASSERT_EQUAL(md_persist(map, 0, PAGE), 0);
	fake_lease_pin(FAKE_FOR_EVER);
	md_map_put(map);
	expect_no_event();
	/* The mapping is shut by the first try to release. */
	CU_ASSERT_EQUAL(md_persist(map, 0, PAGE), -1);
	ASSERT_FAILED(EAGAIN, "no lease now");
	fake_lease_pin(0);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(md_persist(map, 0, PAGE), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	fixture_unmap(map);
}

static void persist__restored_or_lost__works_or_estale(void)
{
	map = fixture_map(MD_MAP_RESTORE);
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(md_persist(map, 0, PAGE), 0);
	fake_lease_fail(1, EIO);
	break_and_release();
	pass_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(md_persist(map, 0, PAGE), -1);
	ASSERT_FAILED(ESTALE, "lost for good");
	fixture_unmap(map);
}

static void persist__revoked__no_flush_any_more(void)
{
	map = fixture_map(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_lease_pin(FAKE_FOR_EVER);
	fake_lease_revoke();
	pass_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(md_persist(map, 0, PAGE), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
	md_map_put(map);
	fake_lease_pin(0);
	pass_event(MD_EVENT_LOST);
	fixture_unmap(map);
}

static void *persist_held_up(void *arg)
{
	*(int *)arg = md_persist(map, 0, PAGE);
	return NULL;
}

static void *process_until_released(void *arg)
{
	(void)arg;
	while (md_map_state(map) != MD_MAP_RELEASED) {
		if (!threaded)
			md_process(ctx);
		usleep(1000);
	}
	return NULL;
}

/* The lease must not go, and the mapping with it, under a flush. */
static void persist__still_flushing__release_waits(void)
{
	pthread_t flusher, driver;
	int result = -1;

	map = fixture_map(0);
	sem_init(&holding, 0, 0);
	sem_init(&go_on, 0, 0);
	hold = true;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&flusher, NULL, persist_held_up, &result), 0);
	sem_wait(&holding);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&driver, NULL, process_until_released, NULL), 0);
	usleep(30000);
	CU_ASSERT_EQUAL(fake_lease_held(), 1);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	sem_post(&go_on);
	pthread_join(flusher, NULL);
	pthread_join(driver, NULL);
	hold = false;
	CU_ASSERT_EQUAL(result, 0);
	pass_event(MD_EVENT_RELEASED);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(persist__in_the_map__flushes_that_range),
	UNIT_CASE(persist__beyond_the_map__einval),
	UNIT_CASE(persist__breaking__works_until_the_lease_goes),
	UNIT_CASE(persist__restored_or_lost__works_or_estale),
	UNIT_CASE(persist__revoked__no_flush_any_more),
	UNIT_CASE(persist__still_flushing__release_waits),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("persist", cases, argc, argv);
}
