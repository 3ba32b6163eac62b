// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Out of memory, threads or descriptors at each place that needs one. */

#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "peer.h"
#include "session.h"

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

static bool no_threads; /* whatever the countdown says */

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
	return no_threads || fails() ? EAGAIN : __real_pthread_create(thread, attr, run, arg);
}

static int send_nothing(void *arg, const void *message, size_t length)
{
	(void)arg;
	(void)message;
	(void)length;
	return 0;
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

static void peer__no_memory__enomem(void)
{
	const struct md_peer_ops ops = { .size = sizeof(ops), .send = send_nothing };
	struct md_peer *peer;

	countdown = 1;
	CU_ASSERT_PTR_NULL(md_peer_new(ctx, &ops, NULL, NULL));
	ASSERT_FAILED(ENOMEM, "no memory for a peer");
	peer = md_peer_new(ctx, &ops, NULL, NULL);
	CU_ASSERT_PTR_NOT_NULL(peer);
	CU_ASSERT_EQUAL(md_peer_close(peer), 0);
}

static struct session s;
static struct md_map *map;
static struct md_mr *mr;

static void open_session(void)
{
	sessions_open(&s, 1);
	map = fixture_map(MD_MAP_RESTORE);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[0], s.peer[HOLDER]), 0);
}

static void close_session(struct md_grant *grant)
{
	CU_ASSERT_EQUAL(session_recall(grant), 0);
	CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[0]), 0);
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
	sessions_run();
	sessions_close(&s, 1);
}

/* The grant, then the place for its times in events. */
static void grant__no_memory__enomem(void)
{
	struct md_grant *grant;

	open_session();
	for (countdown = 1; countdown <= 2; countdown++) {
		unsigned int nth = countdown;

		CU_ASSERT_PTR_NULL(md_grant(s.peer[HOLDER], mr, "data"));
		ASSERT_FAILED(ENOMEM, "no memory for a grant");
		CU_ASSERT_EQUAL(countdown, 0);
		countdown = nth;
	}
	countdown = 0;
	grant = md_grant(s.peer[HOLDER], mr, "data");
	CU_ASSERT_PTR_NOT_NULL(grant);
	session_granted(&s);
	close_session(grant);
}

/* A message of the other side, made by hand. */
static int arrive(struct md__msg *msg)
{
	uint8_t bytes[MD_MESSAGE_MAX];

	msg->number = s.way[PEER].sent + 1;
	msg->seen = s.way[HOLDER].sent;
	msg->session = s.peer[PEER]->link.self;
	return md_peer_input(s.peer[HOLDER], bytes, md__wire_encode(msg, bytes));
}

/* It is our fault: the connection has to be made anew, and that is all. */
static void remote__no_memory__peer_is_not_punished(void)
{
	struct md__msg msg = {
		.type = MD__MSG_GRANT,
		.grant = { .region = 1, .generation = 1, .length = PAGE, .name = "theirs" },
	};
	struct md_grant *grant;

	open_session();
	grant = md_grant(s.peer[HOLDER], mr, "data");
	session_granted(&s);
	sessions_run();
	countdown = 1;
	CU_ASSERT_EQUAL(arrive(&msg), -1);
	countdown = 0;
	ASSERT_FAILED(EPROTO, "no memory");
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s, MD_EVENT_PEER_DOWN);
	sessions_run();
	CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[0]));
	s.way[HOLDER].sent = s.way[PEER].sent = 0;
	session_mend(&s);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(&s, MD_EVENT_PEER_UP);
	CU_ASSERT_EQUAL(arrive(&msg), 0);
	holder_pass(MD_EVENT_GRANTED);
	CU_ASSERT_EQUAL(md_remote_release(md_remote_find(s.peer[HOLDER], "theirs")), 0);
	session_drop(&s, HOLDER); /* the other side knows nothing of it */
	session_cut(&s);
	holder_pass(MD_EVENT_PEER_DOWN);
	session_pass(&s, MD_EVENT_PEER_DOWN);
	session_mend(&s);
	holder_pass(MD_EVENT_PEER_UP);
	session_pass(&s, MD_EVENT_PEER_UP);
	close_session(grant);
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

#define MANY 1500 /* more than one thread is to deregister */

static void break__no_threads__one_does_it_all(void)
{
	struct md_map *map = fixture_map(MD_MAP_RESTORE);
	struct md_mr *mr[MANY];

	for (unsigned int i = 0; i < MANY; i++)
		mr[i] = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_EQUAL_FATAL(fake_verbs_live(), MANY);
	no_threads = true;
	break_and_release();
	pass_event(MD_EVENT_RESTORED);
	no_threads = false;
	CU_ASSERT_EQUAL(fake_verbs_live(), MANY);
	for (unsigned int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL(md_dereg_mr(mr[i]), 0);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(open__each_step_fails__enomem_or_eagain),
	UNIT_CASE(map__no_memory__enomem),
	UNIT_CASE(map__too_many_files__emfile),
	UNIT_CASE(map__no_address_space__enomem),
	UNIT_CASE(reg__no_memory__enomem),
	UNIT_CASE(attach__no_memory__enomem),
	UNIT_CASE(peer__no_memory__enomem),
	UNIT_CASE(grant__no_memory__enomem),
	UNIT_CASE(remote__no_memory__peer_is_not_punished),
	UNIT_CASE(break__no_memory__does_not_need_any),
	UNIT_CASE(break__no_threads__one_does_it_all),
	{ 0 },
};

int main(int argc, char **argv)
{
	return fixture_main("memory", cases, argc, argv);
}
