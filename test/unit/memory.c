// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Out of memory, threads or descriptors at each place that needs one. */

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "fixture.h"

/* The linker sends the library's calls here (--wrap). */
void *__real_calloc(size_t n, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
char *__real_strdup(const char *text);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
char *__wrap_strdup(const char *text);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg);

/* Calls until one fails; 0: none does. */
static unsigned int countdown;

static bool fails(void)
{
	return countdown && !--countdown;
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return fails() ? NULL : __real_aligned_alloc(alignment, size);
}

char *__wrap_strdup(const char *text)
{
	return fails() ? NULL : __real_strdup(text);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			  void *arg)
{
	return fails() ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

/* Teardown sees to it that what was made before the failure is gone. */
static void open__each_step_fails__enomem_or_eagain(void)
{
	const int expected[] = { ENOMEM, ENOMEM, EAGAIN };
	struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
	};
	const unsigned int steps = threaded ? 3 : 2;
	struct md_context *c;

	for (unsigned int i = 0; i < steps; i++) {
		countdown = i + 1;
		errno = 0;
		CU_ASSERT_PTR_NULL(md_open(&attr));
		ASSERT_FAILED(expected[i], i < 2 ? "no memory" : "service thread");
	}
	countdown = steps + 1;
	c = md_open(&attr);
	countdown = 0;
	CU_ASSERT_PTR_NOT_NULL(c);
	CU_ASSERT_EQUAL(md_close(c), 0);
}

static void map__no_memory__enomem(void)
{
	countdown = 1;
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, PAGE, NULL));
	ASSERT_FAILED(ENOMEM, "no memory for a map");
	fixture_unmap(fixture_map(0));
}

static void map__too_many_files__emfile(void)
{
	struct rlimit old, low;
	int lowest = dup(file);

	close(lowest);
	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = lowest;
	setrlimit(RLIMIT_NOFILE, &low);
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, PAGE, NULL));
	setrlimit(RLIMIT_NOFILE, &old);
	ASSERT_FAILED(EMFILE, "/memfd:data");
	fixture_unmap(fixture_map(0));
}

static void map__no_address_space__enomem(void)
{
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, (size_t)1 << 62, NULL));
	ASSERT_FAILED(ENOMEM, "address space");
}

static void reg__no_memory__enomem(void)
{
	struct md_map *map = fixture_map(0);

	countdown = 1;
	CU_ASSERT_PTR_NULL(md_reg_mr(&fake_pd, map, 0, PAGE, RW));
	ASSERT_FAILED(ENOMEM, "no memory for a region");
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	fixture_unmap(map);
}

static void attach__no_memory__enomem(void)
{
	struct md_map *map = fixture_map(0);

	countdown = 1;
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), -1);
	ASSERT_FAILED(ENOMEM, "no memory for an attachment");
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), -1);
	CU_ASSERT_EQUAL(errno, ENOENT);
	fixture_unmap(map);
}

/* From the first step of a break to the last of the restore. */
static void break__no_memory__does_not_need_any(void)
{
	struct md_map *map = fixture_map(MD_MAP_RESTORE);
	unsigned int before;

	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	countdown = before = 1000000;
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(countdown, before);
	countdown = 0;
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(open__each_step_fails__enomem_or_eagain),
	UNIT_CASE(map__no_memory__enomem),
	UNIT_CASE(map__too_many_files__emfile),
	UNIT_CASE(map__no_address_space__enomem),
	UNIT_CASE(reg__no_memory__enomem),
	UNIT_CASE(attach__no_memory__enomem),
	UNIT_CASE(break__no_memory__does_not_need_any),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("memory", cases, argc, argv);
}
