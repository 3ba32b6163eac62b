// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The provider for other files, with leases of this machine's kernel. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaker.h"
#include "leased_file.h"

/* ---- what is given ----------------------------------------------------- */

static void map__by_name__leased_and_shared_with_the_file(void)
{
	struct md_map *map = map_leased(0);
	char *addr = md_map_addr(map), text[4];

	CU_ASSERT_EQUAL(md_map_provider(map), MD_PROVIDER_FCNTL);
	CU_ASSERT_NOT_EQUAL(md_map_generation(map), 0);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_EQUAL(count_watches(), 1);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	CU_ASSERT_EQUAL(memcmp(addr + PAGE, "page", 4), 0);
	memcpy(addr + PAGE, "mine", 4);
	md_map_put(map);
	CU_ASSERT_EQUAL(pread(leased, text, 4, PAGE), 4);
	CU_ASSERT_EQUAL(memcmp(text, "mine", 4), 0);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETOWN), 0);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETSIG), 0);
	CU_ASSERT_EQUAL(fake_lease_tries(), 0);
}

/* It promises less than a plain md_map() asks for. */
static void map__without_a_name__never_by_fcntl(void)
{
	struct md_map *map = md_map(ctx, leased, 0, LENGTH, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_map_provider(map), MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
	fixture_unmap(map);
	fake_lease_fail(1, ENODEV);
	CU_ASSERT_PTR_NULL(md_map(ctx, leased, 0, LENGTH, NULL));
	ASSERT_FAILED(ENODEV, "fake");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
}

static void map__holes__enodata_or_filled(void)
{
	struct md_map *map;
	struct stat st;

	CU_ASSERT_EQUAL(ftruncate(leased, PAGE), 0);
	CU_ASSERT_EQUAL(ftruncate(leased, (off_t)LENGTH), 0);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(ENODATA, "bytes 4096 to 16383 were never written");
	map = map_leased(MD_MAP_ALLOCATE);
	CU_ASSERT_EQUAL(fstat(leased, &st), 0);
	CU_ASSERT_EQUAL(st.st_blocks * 512, (off_t)LENGTH);
	fixture_unmap(map);
}

/* Holes are gone through MiB by MiB; the last event tells that all is done. */
static void map__large_hole__tells_progress(void)
{
	const size_t large = (size_t)8 << 20;
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_PROGRESS,
		.provider = MD_PROVIDER_FCNTL,
	};
	struct md_event *event;
	struct md_map *map;

	CU_ASSERT_EQUAL(ftruncate(leased, (off_t)large), 0);
	map = md_map(ctx, leased, 0, large, &attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	event = expect_event(MD_EVENT_POPULATE);
	CU_ASSERT_EQUAL(event->done, large);
	CU_ASSERT_EQUAL(event->total, large);
	md_ack_event(event);
	fixture_unmap(map);
}

/*
 * It takes longer than a restore may go on in one turn; the lease is given back in each
 * pause, and what is filled is not done again.
 */
static void restore__large_hole__comes_to_its_end(void)
{
	const size_t large = (size_t)256 << 20;
	struct md_map *map;

	CU_ASSERT_EQUAL(ftruncate(leased, (off_t)large), 0);
	map = try_map(leased, MD_MAP_ALLOCATE, large);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(ftruncate(leased, 0), 0);
	CU_ASSERT_EQUAL(ftruncate(leased, (off_t)large), 0);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

static void persist__any_part__done(void)
{
	struct md_map *map = map_leased(0);

	CU_ASSERT_EQUAL(md_persist(map, 0, LENGTH), 0);
	CU_ASSERT_EQUAL(md_persist(map, 1, 1), 0);
	CU_ASSERT_EQUAL(md_persist(map, PAGE - 1, 2), 0);
	CU_ASSERT_EQUAL(md_persist(map, LENGTH, 0), 0);
	CU_ASSERT_EQUAL(md_persist(map, LENGTH - 1, 1), 0);
	fixture_unmap(map);
}

/* ---- what is refused --------------------------------------------------- */

static void map__open_elsewhere__eagain(void)
{
	int reader = open_to_read(path);
	struct md_map *map;

	CU_ASSERT_EQUAL(fcntl(leased, F_SETOWN, getpid()), 0);
	CU_ASSERT_PTR_NULL(try_map(leased, MD_MAP_RESTORE, LENGTH));
	ASSERT_FAILED(EAGAIN, "open elsewhere");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETOWN), getpid());
	CU_ASSERT_EQUAL(fcntl(leased, F_GETSIG), 0);
	close(reader);
	map = map_leased(0);
	fixture_unmap(map);
}

static void map__leased_already__eexist(void)
{
	struct md_map *map = map_leased(0);

	CU_ASSERT_PTR_NULL(try_map(leased, 0, PAGE));
	ASSERT_FAILED(EEXIST, "has a lease already");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fcntl(leased, F_SETLEASE, F_WRLCK), 0);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EEXIST, "has a lease already");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_EQUAL(fcntl(leased, F_SETLEASE, F_UNLCK), 0);
}

/* The kernel says of a lease that is to end that there is none. */
static void map__leased_and_being_broken__eexist(void)
{
	struct md_map *map = map_leased(0);
	struct md_event *event;
	struct breaker b;

	breaker_start(&b, open_to_write);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EEXIST, "has a lease already");
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
}

static void map__beyond_the_end__enxio(void)
{
	CU_ASSERT_PTR_NULL(try_map(leased, MD_MAP_ALLOCATE, LENGTH + 1));
	ASSERT_FAILED(ENXIO, "the file ends at 16384");
}

/* ---- md_query ---------------------------------------------------------- */

static void query__other_file__names_fcntl_as_the_lesser(void)
{
	struct md_query_result result = { .size = sizeof(result) };

	CU_ASSERT_EQUAL(md_query(ctx, leased, 0, LENGTH, &result), 0);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_FCNTL);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.by_name_reason, "open and truncate only"));
	CU_ASSERT_EQUAL(md_query(ctx, leased, 0, LENGTH + 1, &result), 0);
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_FCNTL);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.by_name_reason, "the file ends at"));
}

/* To look into the file for holes is to open it. */
static void query__leased_file__lease_stays(void)
{
	struct md_query_result result = { .size = sizeof(result) };
	struct md_map *map = map_leased(0);

	CU_ASSERT_EQUAL(md_query(ctx, leased, 0, LENGTH, &result), 0);
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_FCNTL);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	fixture_unmap(map);
}

/* ---- fork -------------------------------------------------------------- */

static struct md_context *open_quietly(void)
{
	struct md_context_attr attr = { .size = sizeof(attr), .flags = MD_OPEN_NO_THREAD };

	return md_open(&attr);
}

/* In a child, which can take a lease of its own. */
static bool lease_another(void)
{
	struct md_map_attr attr = { .size = sizeof(attr), .provider = MD_PROVIDER_FCNTL };
	struct md_context *c = open_quietly();
	char name[64];
	int fd = new_file(name, sizeof(name));
	struct md_map *map = md_map(c, fd, 0, LENGTH, &attr);
	bool good = map && fcntl(fd, F_GETLEASE) == F_WRLCK && count_watches() == 1;

	unlink(name);
	return !md_unmap(map) && !md_close(c) && good;
}

static void in_child(struct md_map *inherited)
{
	bool good = md_map_get(inherited) == -1 && errno == ECHILD;

	good = !accessible(md_map_addr(inherited), LENGTH) && good;
	good = md_unmap(inherited) == -1 && errno == ECHILD && good;
	/* The race detector knows no thread in a child of several. */
#ifndef __SANITIZE_THREAD__
	good = lease_another() && good;
#else
	(void)lease_another;
#endif
	good = !md_close(ctx) && fcntl(leased, F_GETLEASE) == F_WRLCK && good;
	_exit(!good);
}

static void fork__live_lease__stays_the_parents(void)
{
	struct md_map *map = map_leased(0);
	struct breaker b;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		in_child(map);
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	expect_no_event();
	breaker_start(&b, open_to_read);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__by_name__leased_and_shared_with_the_file),
	UNIT_CASE(map__without_a_name__never_by_fcntl),
	UNIT_CASE(map__holes__enodata_or_filled),
	UNIT_CASE(map__large_hole__tells_progress),
	UNIT_CASE(restore__large_hole__comes_to_its_end),
	UNIT_CASE(persist__any_part__done),
	UNIT_CASE(map__open_elsewhere__eagain),
	UNIT_CASE(map__leased_already__eexist),
	UNIT_CASE(map__leased_and_being_broken__eexist),
	UNIT_CASE(map__beyond_the_end__enxio),
	UNIT_CASE(query__other_file__names_fcntl_as_the_lesser),
	UNIT_CASE(query__leased_file__lease_stays),
	UNIT_CASE(fork__live_lease__stays_the_parents),
	{ 0 },
};

int main(int argc, char **argv)
{
	return leased_file_main("lease_fcntl", cases, argc, argv);
}
