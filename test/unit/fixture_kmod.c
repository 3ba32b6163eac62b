// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <unistd.h>

#include "context.h"
#include "fake_kmod.h"
#include "fault.h"
#include "fixture.h"
#include "fixture_kmod.h"
#include "lease_kmod.h"

static void setup(void)
{
	char page[PAGE] = { 1 };

	fixture_setup();
	fake_kmod_install();
	fake_verbs_covers = fake_kmod_covers;
	ctx->ops = &md__lease_kmod;
	for (int i = 0; i < FILE_PAGES; i++)
		CU_ASSERT_EQUAL(pwrite(file, page, PAGE, (off_t)i * PAGE), PAGE);
}

static void teardown(void)
{
	struct fault_balance left;

	fault_disarm();
	fixture_teardown();
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
	left = fault_balance();
	CU_ASSERT_EQUAL(left.blocks, 0);
	CU_ASSERT_EQUAL(left.bytes, 0);
	CU_ASSERT_EQUAL(left.fds, 0);
}

void kmod_expect_refusal(int line, int error, const char *words)
{
	struct fault_balance before = fault_balance(), after;
	struct md_map *map;

	errno = 0;
	map = md_map(ctx, file, 0, FILE_PAGES * PAGE, NULL);
	if (map || errno != error || !strstr(md_errmsg(), words))
		printf("\n    line %d: errno %d, %s ", line, errno, md_errmsg());
	CU_ASSERT_PTR_NULL_FATAL(map);
	CU_ASSERT_EQUAL(errno, error);
	CU_ASSERT_PTR_NOT_NULL(strstr(md_errmsg(), words));
	after = fault_balance();
	CU_ASSERT_EQUAL(after.bytes, before.bytes);
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
}

void kmod_expect_map(void)
{
	fixture_unmap(fixture_map(0));
}

int kmod_main(const char *suite, const struct unit_case *cases, int argc, char **argv)
{
	char name[64];
	int failed;

	snprintf(name, sizeof(name), "%s (md_process)", suite);
	failed = unit_main(name, cases, setup, teardown, argc, argv);
	threaded = true;
	snprintf(name, sizeof(name), "%s (thread)", suite);
	return unit_main(name, cases, setup, teardown, argc, argv) | failed;
}
