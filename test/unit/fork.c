// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* After fork(): the child's copy is dead, the parent's is as it was. */

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"
#include "fixture.h"
#include "map.h"

static struct md_map *map;
static struct md_mr *mr;
static struct md_peer *peer;
static struct md_grant *grant;

static int send_nothing(void *arg, const void *message, size_t length)
{
	(void)arg;
	(void)message;
	(void)length;
	return 0;
}

/*
 * A child cannot unlock a rwlock that its parent locked for fork(2): the lock
 * knows its owner by thread id. The library makes the lock anew instead, which
 * the race detector does not understand. Only children are affected.
 */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
	return "mutex:md__fork_hold\ndeadlock:md__fork_hold\n";
}

/* CUnit's counts are lost in a child: it says by its exit status who failed. */
static int check_line;

#define CHILD_CHECK(good)                                                                          \
	do {                                                                                       \
		if (!(good) && !check_line)                                                        \
			check_line = __LINE__;                                                     \
	} while (0)

static void in_child(void (*run)(void))
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (!pid) {
		run();
		if (check_line)
			printf("\n    child: line %d: errno %d, %s ", check_line, errno,
			       md_errmsg());
		fflush(stdout);
		unit_exit_child(!!check_line);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT(WIFEXITED(status));
	CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static void map_all(uint32_t flags)
{
	const struct md_peer_ops ops = { .size = sizeof(ops), .send = send_nothing };

	map = fixture_map(flags);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], NULL), 0);
	peer = md_peer_new(ctx, &ops, NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(peer);
	grant = md_grant(peer, mr, "data");
	CU_ASSERT_PTR_NOT_NULL_FATAL(grant);
}

static void unmap_all(void)
{
	CU_ASSERT_EQUAL(md_recall(grant), 0);
	CU_ASSERT_EQUAL(md_peer_close(peer), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static bool echild(bool failed)
{
	bool right = failed && errno == ECHILD && strstr(md_errmsg(), "fork");

	errno = 0;
	return right;
}

/* The number that wakes the parent's service can be any file of the child's by now. */
static void check_last_put(void)
{
	int mine = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	uint64_t n;

	CHILD_CHECK(dup2(mine, map->guard.wake_fd) >= 0);
	errno = 0;
	md_map_put(map);
	CHILD_CHECK(errno == 0);
	CHILD_CHECK(read(mine, &n, sizeof(n)) < 0 && errno == EAGAIN);
}

static void call_everything(void)
{
	struct md_query_result result = { .size = sizeof(result) };
	struct md_event *event;

	CHILD_CHECK(echild(md_fd(ctx) == -1));
	CHILD_CHECK(echild(md_process(ctx) == -1));
	CHILD_CHECK(echild(md_query(ctx, file, 0, PAGE, &result) == -1));
	CHILD_CHECK(echild(!md_map(ctx, file, 0, PAGE, NULL)));
	CHILD_CHECK(echild(md_unmap(map) == -1));
	CHILD_CHECK(echild(md_map_get(map) == -1));
	CHILD_CHECK(echild(md_persist(map, 0, PAGE) == -1));
	CHILD_CHECK(echild(md_release(map) == -1));
	CHILD_CHECK(echild(md_restore(map) == -1));
	CHILD_CHECK(echild(!md_reg_mr(&fake_pd, map, 0, PAGE, RW)));
	CHILD_CHECK(echild(md_dereg_mr(mr) == -1));
	CHILD_CHECK(echild(md_attach_qp(map, &fake_qp[1], NULL) == -1));
	CHILD_CHECK(echild(md_detach_qp(map, &fake_qp[0]) == -1));
	CHILD_CHECK(echild(md_fence_qp(map, &fake_qp[0]) == -1));
	CHILD_CHECK(echild(md_get_event(ctx, &event, 0) == -1));
	CHILD_CHECK(echild(!md_peer_new(ctx, NULL, NULL, NULL)));
	CHILD_CHECK(echild(md_peer_connected(peer) == -1));
	CHILD_CHECK(echild(md_peer_lost(peer) == -1));
	CHILD_CHECK(echild(md_peer_close(peer) == -1));
	CHILD_CHECK(echild(!md_grant(peer, mr, "more")));
	CHILD_CHECK(echild(md_recall(grant) == -1));
	CHILD_CHECK(echild(!md_remote_find(peer, "data")));
	check_last_put();
	CHILD_CHECK(md_close(ctx) == 0);
}

static void child__every_call__echild(void)
{
	map_all(0);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	in_child(call_everything);
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	expect_no_event();
	md_map_put(map);
	pass_event(MD_EVENT_RELEASED);
	unmap_all();
}

/* The numbers of the library's descriptors belong to the child from then on. */
static void check_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char target[256];
	int others = 0;

	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		if (n < 0)
			continue;
		target[n] = '\0';
		CHILD_CHECK(!strstr(target, "anon_inode:"));
		others += !!strstr(target, "memfd:data");
	}
	closedir(dir);
	/* The test's own, not the duplicate of the map. */
	CHILD_CHECK(others == 1);
	CHILD_CHECK(md_close(ctx) == 0);
}

static void child__descriptors_of_the_library__are_closed(void)
{
	map_all(0);
	in_child(check_descriptors);
	unmap_all();
}

/* Whether a mapping has the flag "dc", do not copy on fork (proc(5), VmFlags). */
static bool stays_behind(const void *addr)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	unsigned long long start, end;
	bool here = false, stays = false;
	char line[1024];

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx ", &start, &end) == 2)
			here = start <= (uintptr_t)addr && (uintptr_t)addr < end;
		if (here && !strncmp(line, "VmFlags:", 8))
			stays = strstr(line, " dc");
	}
	fclose(f);
	return stays;
}

/* Looked up here, because in the child anything may have taken the place. */
static void child__addresses_of_a_map__are_not_there(void)
{
	map_all(0);
	break_and_release();
	CU_ASSERT(stays_behind(md_map_addr(map)));
	CU_ASSERT_FALSE(stays_behind(&map));
	unmap_all();
}

static struct md_event *held;

static void ack_held_event(void)
{
	errno = 0;
	md_ack_event(held);
	CHILD_CHECK(errno == 0);
}

static void child__acknowledges__parents_break_does_not_go_on(void)
{
	map_all(0);
	fake_lease_break(MD_REASON_LAYOUT, FAR_MS);
	held = expect_event(MD_EVENT_BREAK);
	in_child(ack_held_event);
	expect_no_event();
	md_ack_event(held);
	pass_event(MD_EVENT_RELEASED);
	unmap_all();
}

/* The race detector has no threads in children. */
#ifdef __SANITIZE_THREAD__
#define CHILD_FLAGS MD_OPEN_NO_THREAD
#else
#define CHILD_FLAGS 0
#endif

static void open_a_new_one(void)
{
	struct md_context_attr attr = { .size = sizeof(attr), .flags = CHILD_FLAGS };
	struct md_context *c = md_open(&attr);

	CHILD_CHECK(c);
	CHILD_CHECK(md_close(c) == 0);
	CHILD_CHECK(md_close(ctx) == 0);
}

static void child__new_context__works(void)
{
	map_all(0);
	in_child(open_a_new_one);
	unmap_all();
}

/* ---- fork while others work --------------------------------------------- */

static atomic_bool stop;

static void *open_again_and_again(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop))
		md_close(md_open(NULL));
	return NULL;
}

static void just_close(void)
{
	CHILD_CHECK(md_close(ctx) == 0);
}

static void fork__while_another_thread_opens_and_closes__no_deadlock(void)
{
	pthread_t t;

	map_all(0);
	atomic_store(&stop, false);
	CU_ASSERT_EQUAL_FATAL(pthread_create(&t, NULL, open_again_and_again, NULL), 0);
	for (int i = 0; i < 50; i++)
		in_child(just_close);
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	unmap_all();
}

static const struct unit_case cases[] = {
	UNIT_CASE(child__every_call__echild),
	UNIT_CASE(child__descriptors_of_the_library__are_closed),
	UNIT_CASE(child__addresses_of_a_map__are_not_there),
	UNIT_CASE(child__acknowledges__parents_break_does_not_go_on),
	UNIT_CASE(child__new_context__works),
	UNIT_CASE(fork__while_another_thread_opens_and_closes__no_deadlock),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("fork", cases, argc, argv);
}
