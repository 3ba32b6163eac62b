// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Contexts: their settings, their thread, their errors. */

#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fixture.h"

/* ---- md_open ---------------------------------------------------------- */

static struct md_context *try_open(size_t size, uint32_t flags, uint32_t budget, uint32_t limit)
{
	struct md_context_attr attr = {
		.size = size,
		.flags = flags,
		.drain_budget_ms = budget,
		.restore_limit_ms = limit,
	};

	errno = 0;
	return md_open(&attr);
}

static void open__no_settings__works(void)
{
	struct md_context *c = md_open(NULL);

	CU_ASSERT_PTR_NOT_NULL(c);
	CU_ASSERT_EQUAL(md_close(c), 0);
}

static void open__limits_of_each_setting__accepted(void)
{
	const uint32_t budget[] = { 1, 60000 }, limit[] = { 1, 3600000 };

	for (int i = 0; i < 2; i++) {
		struct md_context *c =
			try_open(sizeof(struct md_context_attr), 0, budget[i], limit[i]);

		CU_ASSERT_PTR_NOT_NULL(c);
		CU_ASSERT_EQUAL(md_close(c), 0);
	}
}

static void open__bad_settings__einval(void)
{
	const size_t size = sizeof(struct md_context_attr);

	CU_ASSERT_PTR_NULL(try_open(size, 1U << 31, 0, 0));
	ASSERT_FAILED(EINVAL, "flags");
	CU_ASSERT_PTR_NULL(try_open(size, 0, 60001, 0));
	ASSERT_FAILED(EINVAL, "drain_budget_ms is 60001");
	CU_ASSERT_PTR_NULL(try_open(size, 0, 0, 3600001));
	ASSERT_FAILED(EINVAL, "restore_limit_ms is 3600001");
	CU_ASSERT_PTR_NULL(try_open(0, 0, 0, 0));
	ASSERT_FAILED(EINVAL, "size is 0");
	CU_ASSERT_PTR_NULL(try_open(SIZE_MAX, 0, 0, 0));
	ASSERT_FAILED(EINVAL, "size");
}

/* A caller built with an older or a newer header. */
static void open__other_size__missing_is_zero_and_unknown_must_be(void)
{
	struct {
		struct md_context_attr attr;
		uint64_t later;
	} newer = { .attr.size = sizeof(newer) };
	struct md_context *c;

	c = try_open(offsetof(struct md_context_attr, restore_limit_ms), 0, 0, UINT32_MAX);
	CU_ASSERT_PTR_NOT_NULL(c);
	CU_ASSERT_EQUAL(md_close(c), 0);

	c = md_open(&newer.attr);
	CU_ASSERT_PTR_NOT_NULL(c);
	CU_ASSERT_EQUAL(md_close(c), 0);

	newer.later = 1;
	CU_ASSERT_PTR_NULL(md_open(&newer.attr));
	ASSERT_FAILED(EINVAL, "does not know");
}

/* With room for 0 to 7 descriptors more; teardown sees whether any is left. */
static void open__too_many_files__emfile_and_nothing_left(void)
{
	struct rlimit old, now;
	struct md_context *c = NULL;
	int failed = 0, lowest = dup(0);

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &old);
	for (int room = 0; room < 8 && !c; room++) {
		now = old;
		now.rlim_cur = lowest + room;
		setrlimit(RLIMIT_NOFILE, &now);
		errno = 0;
		c = md_open(NULL);
		setrlimit(RLIMIT_NOFILE, &old);
		if (!c) {
			failed++;
			ASSERT_FAILED(EMFILE, "descriptors");
		}
	}
	CU_ASSERT(failed >= 3);
	CU_ASSERT_EQUAL(md_close(c), 0);
}

/* ---- md_close, md_fd, md_process -------------------------------------- */

static void close__null__nothing_happens(void)
{
	CU_ASSERT_EQUAL(md_close(NULL), 0);
}

static void close__map_left__ebusy_and_usable(void)
{
	struct md_map *map = fixture_map(0);

	CU_ASSERT_EQUAL(md_close(ctx), -1);
	ASSERT_FAILED(EBUSY, "md_unmap");
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	md_map_put(map);
	break_and_release();
	fixture_unmap(map);
}

static bool readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };

	return poll(&pfd, 1, 0) == 1;
}

static void fd__event_to_fetch__readable_until_fetched(void)
{
	struct md_map *map = fixture_map(0);
	struct pollfd pfd = { .fd = md_fd(ctx), .events = POLLIN };
	struct md_event *event;

	CU_ASSERT_FALSE(readable(md_fd(ctx)));
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 10000), 1);
	pump();
	CU_ASSERT(readable(md_fd(ctx)));
	event = expect_event(MD_EVENT_BREAK);
	pump();
	CU_ASSERT_FALSE(readable(md_fd(ctx)));
	md_ack_event(event);
	CU_ASSERT_EQUAL(poll(&pfd, 1, 10000), 1);
	pass_event(MD_EVENT_RELEASED);
	pump();
	CU_ASSERT_FALSE(readable(md_fd(ctx)));
	fixture_unmap(map);
}

static void fd__no_context__einval(void)
{
	CU_ASSERT_EQUAL(md_fd(NULL), -1);
	ASSERT_FAILED(EINVAL, "no context");
}

static void process__service_thread_or_none__einval_or_works(void)
{
	errno = ENXIO;
	if (!threaded) {
		CU_ASSERT_EQUAL(md_process(ctx), 0);
		CU_ASSERT_EQUAL(errno, ENXIO);
	} else {
		CU_ASSERT_EQUAL(md_process(ctx), -1);
		ASSERT_FAILED(EINVAL, "service thread");
	}
	CU_ASSERT_EQUAL(md_process(NULL), -1);
	ASSERT_FAILED(EINVAL, "no context");
}

/* ---- the thread ------------------------------------------------------- */

/* All but KILL, STOP, and the two that are the C library's own. */
#define ALL_SIGNALS UINT64_C(0xfffffffe7ffbfeff)

/* The signals that a task blocks, or 0 if it is not the service's. */
static uint64_t service_blocks(const char *tid)
{
	unsigned long long blocked = 0;
	char path[300], line[256];
	bool service = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%s/status", tid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		service |= !strcmp(line, "Name:\tmapdirect\n");
		sscanf(line, "SigBlk: %llx", &blocked);
	}
	if (f)
		fclose(f);
	return service ? blocked : 0;
}

static void thread__of_a_context__named_and_blocks_signals(void)
{
	struct md_map *map = fixture_map(0);
	struct dirent *entry;
	uint64_t blocked = 0;
	DIR *dir;

	/* A thread that has not begun to run blocks all signals in any case. */
	break_and_release();
	fixture_unmap(map);
	dir = opendir("/proc/self/task");
	while ((entry = readdir(dir)))
		blocked |= service_blocks(entry->d_name);
	closedir(dir);
	CU_ASSERT_EQUAL(blocked & ALL_SIGNALS, threaded ? ALL_SIGNALS : 0);
}

/* ---- sentences and names ---------------------------------------------- */

static void *fail_here(void *arg)
{
	char *before = arg;

	snprintf(before, 64, "%s|", md_errmsg());
	md_fd(NULL);
	return NULL;
}

static void errmsg__other_thread__has_its_own(void)
{
	char before[64] = "?", mine[512];
	pthread_t t;

	CU_ASSERT_EQUAL(md_process(NULL), -1);
	strcpy(mine, md_errmsg());
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, fail_here, before), 0);
	pthread_join(t, NULL);
	CU_ASSERT_STRING_EQUAL(before, "|");
	CU_ASSERT_STRING_EQUAL(md_errmsg(), mine);
}

static void errmsg__calls_that_work__keep_the_last_one(void)
{
	struct md_map *map;
	char kept[512];

	md_fd(NULL);
	strcpy(kept, md_errmsg());
	map = fixture_map(MD_MAP_RESTORE);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	fake_lease_fail(2, EAGAIN);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
	CU_ASSERT_STRING_EQUAL(md_errmsg(), kept);
	errno = ENXIO;
	md_errmsg();
	CU_ASSERT_EQUAL(errno, ENXIO);
}

static void str__each_value__has_a_name(void)
{
	for (int i = MD_EVENT_BREAK; i <= MD_EVENT_POPULATE; i++)
		CU_ASSERT_STRING_NOT_EQUAL(md_event_str(i), "unknown");
	for (int i = MD_REASON_NONE; i <= MD_REASON_OPEN; i++)
		CU_ASSERT_STRING_NOT_EQUAL(md_reason_str(i), "unknown");
	for (int i = MD_MAP_LIVE; i <= MD_MAP_LOST; i++)
		CU_ASSERT_STRING_NOT_EQUAL(md_state_str(i), "unknown");
}

static void str__no_such_value__unknown(void)
{
	const unsigned int none[] = { 0, 1000, -1U };

	for (int i = 0; i < 3; i++) {
		CU_ASSERT_STRING_EQUAL(md_event_str(none[i]), "unknown");
		CU_ASSERT_STRING_EQUAL(md_state_str(none[i]), "unknown");
	}
	CU_ASSERT_STRING_EQUAL(md_event_str(MD_EVENT_PERSISTED + 1), "unknown");
	CU_ASSERT_STRING_EQUAL(md_reason_str(MD_REASON_PROTOCOL + 1), "unknown");
	CU_ASSERT_STRING_EQUAL(md_state_str(MD_MAP_LOST + 1), "unknown");
}

static const struct unit_case cases[] = {
	UNIT_CASE(open__no_settings__works),
	UNIT_CASE(open__limits_of_each_setting__accepted),
	UNIT_CASE(open__bad_settings__einval),
	UNIT_CASE(open__other_size__missing_is_zero_and_unknown_must_be),
	UNIT_CASE(open__too_many_files__emfile_and_nothing_left),
	UNIT_CASE(close__null__nothing_happens),
	UNIT_CASE(close__map_left__ebusy_and_usable),
	UNIT_CASE(fd__event_to_fetch__readable_until_fetched),
	UNIT_CASE(fd__no_context__einval),
	UNIT_CASE(process__service_thread_or_none__einval_or_works),
	UNIT_CASE(thread__of_a_context__named_and_blocks_signals),
	UNIT_CASE(errmsg__other_thread__has_its_own),
	UNIT_CASE(errmsg__calls_that_work__keep_the_last_one),
	UNIT_CASE(str__each_value__has_a_name),
	UNIT_CASE(str__no_such_value__unknown),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("context", cases, argc, argv);
}
