// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <dirent.h>
#include <sys/mman.h>
#include <unistd.h>

#include "context.h"
#include "fixture.h"

#define PATIENCE_MS 10000

struct md_context *ctx;
int file;
bool threaded;

static int fds_before;

int fixture_count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void open_context(uint32_t budget_ms, uint32_t limit_ms)
{
	struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
		.drain_budget_ms = budget_ms,
		.restore_limit_ms = limit_ms,
	};

	ctx = md_open(&attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(ctx);
	ctx->ops = &fake_lease;
}

void fixture_setup(void)
{
	fds_before = fixture_count_fds();
	fake_verbs_reset();
	fake_lease_reset();
	file = memfd_create("data", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
	open_context(PATIENT_MS, 0);
}

void fixture_teardown(void)
{
	CU_ASSERT_EQUAL(md_close(ctx), 0);
	close(file);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_verbs_strays(), 0);
	CU_ASSERT_EQUAL(fake_lease_strays(), 0);
	CU_ASSERT_EQUAL(fixture_count_fds(), fds_before);
}

void fixture_reopen(uint32_t budget_ms, uint32_t limit_ms)
{
	CU_ASSERT_EQUAL(md_close(ctx), 0);
	open_context(budget_ms, limit_ms);
}

struct md_map *fixture_map(uint32_t flags)
{
	struct md_map_attr attr = { .size = sizeof(attr), .flags = flags };
	struct md_map *map = md_map(ctx, file, 0, FILE_PAGES * PAGE, &attr);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	return map;
}

void fixture_unmap(struct md_map *map)
{
	int err = md_unmap(map);

	if (err)
		printf("\n    md_unmap: %s ", md_errmsg());
	CU_ASSERT_EQUAL(err, 0);
}

void pump(void)
{
	if (!threaded)
		CU_ASSERT_EQUAL(md_process(ctx), 0);
}

struct md_event *expect_event(enum md_event_type type)
{
	struct md_event *event = NULL;

	CU_ASSERT_EQUAL_FATAL(md_get_event(ctx, &event, PATIENCE_MS), 0);
	if (event->type != type)
		printf("\n    expected %s, got %s: %s ", md_event_str(type),
		       md_event_str(event->type), event->message);
	CU_ASSERT_EQUAL_FATAL(event->type, type);
	CU_ASSERT_NOT_EQUAL(strlen(event->message), 0);
	return event;
}

void pass_event(enum md_event_type type)
{
	md_ack_event(expect_event(type));
}

void expect_no_event(void)
{
	struct md_event *event;

	CU_ASSERT_EQUAL(md_get_event(ctx, &event, 30), -1);
	CU_ASSERT_EQUAL(errno, EAGAIN);
}

void expect_state(struct md_map *map, enum md_map_state state)
{
	for (int ms = 0; ms < PATIENCE_MS && md_map_state(map) != state; ms++) {
		pump();
		usleep(1000);
	}
	CU_ASSERT_EQUAL(md_map_state(map), state);
}

void break_and_release(void)
{
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
}

int fixture_main(const char *suite, const struct unit_case *cases, int argc, char **argv)
{
	char name[64];
	int failed;

	snprintf(name, sizeof(name), "%s (md_process)", suite);
	failed = unit_main(name, cases, fixture_setup, fixture_teardown, argc, argv);
	threaded = true;
	snprintf(name, sizeof(name), "%s (thread)", suite);
	return unit_main(name, cases, fixture_setup, fixture_teardown, argc, argv) | failed;
}
