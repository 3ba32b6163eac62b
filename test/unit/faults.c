// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * Each call of the system, of verbs and of the allocator fails once, in a whole
 * life of a context: the first that can, then the second, until the scenario
 * comes to its end without a failure. A call of the library then fails with
 * errno and sentence, has changed nothing and works when it is repeated; or it
 * can do without, for a reason that is listed; or the map is lost with an event.
 */

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "context.h"
#include "errmsg.h"
#include "fake_kmod.h"
#include "fault.h"
#include "fixture.h"

#define PATIENCE_MS 5000
#define BUDGET_MS 2

/* What a call of the library can do without, and why. */
static struct {
	const char *call;
	const char *in; /* NULL: anywhere */
	const char *why;
	bool seen;
} tolerated[] = {
	{ "close", NULL, "the descriptor is gone all the same", false },
	{ "munmap", NULL, "nothing is done with the addresses, nor could be", false },
	{ "mmap reserve again", NULL, "what was mapped stays until md_unmap()", false },
	{ "madvise DONTFORK", NULL, "the child then sees the file, and has no lease", false },
	{ "epoll_ctl DEL", NULL, "closing the lease takes it out as well", false },
	{ "pthread_setname_np", NULL, "the name is for the eye", false },
	{ "readlink", NULL, "the sentence then tells the file by its number", false },
	{ "open sysctl", NULL, "the module knows, and will say so", false },
	{ "read", NULL, "of a sysctl: the module knows, and will say so", false },
	{ "fsync", "md_map", "the faults that follow will say so", false },
	{ "fstat", "md_map", "the module looks at the owner too", false },
	{ "fstat", "md_query", "the size is then not told", false },
	{ "open file again", "md_query", "the hole is then not told", false },
	{ "lseek", "md_query", "the hole is then not told", false },
	{ "statx", "md_query", "what may be asked for by name is then not told", false },
	{ "fcntl UNLCK", "md_unmap", "the lease goes when the file is closed", false },
	{ "ioctl RELEASE", "md_unmap", "the kernel goes on by itself, with the anchor", false },
};

/* Calls whose errno says too little: what the library makes of it. */
static const struct {
	const char *call;
	int error;
} translated[] = {
	{ "ioctl INFO", EOPNOTSUPP },
	{ "fstat", EBADF },
	{ "fcntl GETFL", EACCES },
};

static enum md_provider provider;
static struct md_map *map;
static struct md_mr *mr;
static bool lost;
static struct fault_balance at_start;

/* ---- steps ------------------------------------------------------------------ */

static bool can_do_without(const char *call, const char *step)
{
	for (size_t i = 0; i < sizeof(tolerated) / sizeof(tolerated[0]); i++) {
		const char *in = tolerated[i].in;

		if (strcmp(tolerated[i].call, call) || (in && strcmp(in, step)))
			continue;
		tolerated[i].seen = true;
		return true;
	}
	return false;
}

static bool right_errno(const char *call, int error)
{
	for (size_t i = 0; i < sizeof(translated) / sizeof(translated[0]); i++) {
		if (!strcmp(translated[i].call, call) && translated[i].error == error)
			return true;
	}
	return error == fault_error();
}

static void check_failure(const char *step)
{
	const char *call = fault_fired() ?: "nothing";
	int error = errno;
	bool good = fault_fired() && right_errno(call, error) && strlen(md_errmsg()) > 10;

	if (!good)
		printf("\n    %s: %s failed (%d): errno %d, \"%s\" ", step, call, fault_error(),
		       error, md_errmsg());
	CU_ASSERT(good);
}

/* One call of the library, once more if it fails. */
static void step(const char *name, bool (*call)(void))
{
	static const char silence[MD__ERRMSG_MAX];
	bool fired_before = fault_fired();
	unsigned int regions = fake_verbs_live(), leases = fake_kmod_held();
	struct fault_balance before = fault_balance(), after;

	md__errmsg_restore(silence);
	errno = 0;
	if (call()) {
		if (fired_before || !fault_fired_here() || fault_error() == EINTR)
			return;
		if (!can_do_without(fault_fired(), name))
			printf("\n    %s: works, though %s failed ", name, fault_fired());
		CU_ASSERT(can_do_without(fault_fired(), name));
		return;
	}
	CU_ASSERT_FALSE(fired_before);
	check_failure(name);
	after = fault_balance();
	CU_ASSERT_EQUAL(fake_verbs_live(), regions);
	CU_ASSERT_EQUAL(fake_kmod_held(), leases);
	CU_ASSERT_EQUAL(after.bytes, before.bytes);
	CU_ASSERT_FATAL(call());
}

/* A call fails but for one event: false if the map is lost instead. */
static bool await(enum md_event_type type)
{
	struct md_event *event;
	enum md_event_type got;

	while (!lost) {
		bool fired_before = fault_fired();

		if (md_get_event(ctx, &event, PATIENCE_MS)) {
			check_failure("md_get_event");
			CU_ASSERT_FALSE_FATAL(fired_before);
			continue;
		}
		CU_ASSERT(fired_before || strcmp(fault_fired() ?: "", "poll"));
		got = event->type;
		if (got == MD_EVENT_LOST) {
			CU_ASSERT_PTR_NOT_NULL(fault_fired());
			CU_ASSERT(right_errno(fault_fired() ?: "", event->error));
			CU_ASSERT(strlen(event->message) > 10);
			CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LOST);
			CU_ASSERT_EQUAL(fake_kmod_held(), 0);
			lost = true;
		}
		md_ack_event(event);
		if (got == type)
			return true;
	}
	return false;
}

static bool do_open(void)
{
	struct md_context_attr attr = {
		.size = sizeof(attr),
		.flags = threaded ? 0 : MD_OPEN_NO_THREAD,
		.drain_budget_ms = BUDGET_MS,
	};

	ctx = md_open(&attr);
	return ctx;
}

static bool do_map(void)
{
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE,
		.provider = provider,
	};

	map = md_map(ctx, file, 0, FILE_PAGES * PAGE, &attr);
	return map;
}

static bool do_reg(void)
{
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	return mr;
}

static bool do_attach(void)
{
	return !md_attach_qp(map, &fake_qp[0], NULL);
}

static bool do_persist(void)
{
	return !md_persist(map, 0, PAGE);
}

static bool do_fence(void)
{
	return !md_fence_qp(map, &fake_qp[0]);
}

static bool do_release(void)
{
	return !md_release(map);
}

static bool do_restore(void)
{
	return !md_restore(map);
}

static bool do_process(void)
{
	return threaded || !md_process(ctx);
}

static bool do_detach(void)
{
	return !md_detach_qp(map, &fake_qp[0]);
}

static bool do_dereg(void)
{
	return !md_dereg_mr(mr);
}

static bool do_unmap(void)
{
	return !md_unmap(map);
}

static bool do_close(void)
{
	return !md_close(ctx);
}

/* An answer that says no is a failure here, with its sentence. */
static bool do_query(void)
{
	struct md_query_result result = { .size = sizeof(result) };

	if (md_query(ctx, file, 0, PAGE, &result))
		return false;
	return !result.error || md__fail(result.error, "%s", result.reason) == 0;
}

/* ---- scenarios -------------------------------------------------------------------- */

static void begin(void)
{
	step("md_open", do_open);
	step("md_map", do_map);
	step("md_reg_mr", do_reg);
	step("md_attach_qp", do_attach);
}

static void end(void)
{
	step("md_detach_qp", do_detach);
	step("md_dereg_mr", do_dereg);
	step("md_unmap", do_unmap);
	if (lost) {
		step("md_map", do_map);
		step("md_unmap", do_unmap);
	}
	step("md_close", do_close);
}

static void live(void)
{
	begin();
	step("md_persist", do_persist);
	step("md_fence_qp", do_fence);
	CU_ASSERT(await(MD_EVENT_QP_FENCED));
	step("md_process", do_process);
	end();
}

/* A use stays open, so the queue pair is fenced. */
static void broken(void)
{
	begin();
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_QP_FENCED));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
	md_map_put(map);
	if (await(MD_EVENT_RESTORED)) {
		CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
		CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
		step("md_persist", do_persist);
	}
	end();
}

static void released(void)
{
	begin();
	step("md_release", do_release);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
	step("md_restore", do_restore);
	if (await(MD_EVENT_RESTORED))
		CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	end();
}

/* A lease of fcntl(2) on the file, which is a real one. */
static bool accessible(const void *addr, size_t length)
{
	const char *first = addr;
	char byte;

	return pread(file, &byte, 1, 0) == 1 && pwrite(file, first, 1, 0) == 1 &&
	       pwrite(file, first + length - 1, 1, 0) == 1 && pwrite(file, &byte, 1, 0) == 1;
}

static void leased_by_fcntl(void)
{
	fault_sys = (struct fault_sys){ 0 };
	fake_verbs_covers = accessible;
	provider = MD_PROVIDER_FCNTL;
	/* The kernel takes a memfd for one that is open elsewhere. */
	close(file);
	file = open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	CU_ASSERT_EQUAL_FATAL(ftruncate(file, FILE_PAGES * PAGE), 0);
	begin();
	step("md_persist", do_persist);
	step("md_release", do_release);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	step("md_restore", do_restore);
	if (await(MD_EVENT_RESTORED))
		CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	end();
	provider = MD_PROVIDER_NONE;
}

static void asked(void)
{
	char data[FILE_PAGES * PAGE] = { 0 };

	CU_ASSERT_EQUAL(pwrite(file, data, sizeof(data), 0), (ssize_t)sizeof(data));
	step("md_open", do_open);
	step("md_query", do_query);
	step("md_close", do_close);
}

static void forked(void)
{
	int status;
	pid_t pid;

	begin();
	fflush(stdout);
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (!pid) {
		bool dead = md_fd(ctx) < 0 && errno == ECHILD && !md_close(ctx);

		unit_exit_child(!dead);
	}
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	end();
}

/* ---- every call ------------------------------------------------------------------- */

static void prepare(void)
{
	fake_verbs_reset();
	fake_kmod_install();
	fake_verbs_covers = fake_kmod_covers;
	fake_kmod.shared = true;
	if (!geteuid())
		fake_kmod.owner = 1; /* so that CAP_LEASE is asked for */
	lost = false;
	at_start = fault_balance();
	file = memfd_create("data", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
}

static void check_rest(void)
{
	struct fault_balance left = fault_balance();
	const char *call = fault_fired() ?: "";

	/* The anchor of a lease that somebody pins is left on purpose. */
	if (!strcmp(call, "ioctl RELEASE") && left.bytes > at_start.bytes)
		left.bytes -= FILE_PAGES * PAGE;
	close(file);
	CU_ASSERT_EQUAL(left.blocks, at_start.blocks);
	CU_ASSERT_EQUAL(left.bytes, at_start.bytes);
	CU_ASSERT_EQUAL(left.fds, at_start.fds);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_verbs_strays(), 0);
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
}

static void each_call(void (*scenario)(void), enum fault_kind kind, unsigned int at_least)
{
	unsigned int failed = CU_get_number_of_failures();
	unsigned int losses = 0;
	bool fired = true;
	int fds = fixture_count_fds();
	unsigned int n = 0;

	while (fired) {
		prepare();
		fault_arm(++n, kind);
		scenario();
		fired = fault_fired();
		check_rest();
		CU_ASSERT_EQUAL(fixture_count_fds(), fds);
		if (CU_get_number_of_failures() > failed)
			printf("\n    call %u, %s ", n, fault_fired() ?: "none");
		failed = CU_get_number_of_failures();
		losses += lost;
	}
	fault_disarm();
	printf("\n    %u failures, %u lost maps ", n - 1, losses);
	CU_ASSERT(n > at_least);
}

/* Once in a process fork(2) is prepared for; tried twice in a call. */
static void open__first_of_process_fails__works_again(void)
{
	prepare();
	fault_force("pthread_atfork", 2, ENOMEM);
	CU_ASSERT_FALSE(do_open());
	ASSERT_FAILED(ENOMEM, "cannot prepare for fork()");
	CU_ASSERT(do_open());
	CU_ASSERT(do_close());
	check_rest();
}

static void open_to_close__each_call_fails__says_so_and_works_again(void)
{
	each_call(live, FAULT_ERROR, 40);
}

static void open_to_close__each_call_interrupted__goes_on(void)
{
	each_call(live, FAULT_EINTR, 10);
}

static void break__each_call_fails__restored_or_lost(void)
{
	each_call(broken, FAULT_ERROR, 60);
}

static void break__each_call_interrupted__restored(void)
{
	each_call(broken, FAULT_EINTR, 10);
}

static void release__each_call_fails__restored_or_lost(void)
{
	each_call(released, FAULT_ERROR, 60);
}

static void fcntl_lease__each_call_fails__restored_or_lost(void)
{
	each_call(leased_by_fcntl, FAULT_ERROR, 60);
}

static void query__each_call_fails__says_so(void)
{
	each_call(asked, FAULT_ERROR, 20);
}

static void fork__each_call_fails__parent_goes_on(void)
{
	each_call(forked, FAULT_ERROR, 40);
}

/* The list says no more than what the cases before have found in both runs. */
static void tolerated__each__was_seen(void)
{
	if (!threaded)
		return;
	for (size_t i = 0; i < sizeof(tolerated) / sizeof(tolerated[0]); i++) {
		if (!tolerated[i].seen)
			printf("\n    not seen: %s ", tolerated[i].call);
		CU_ASSERT(tolerated[i].seen);
	}
}

static const struct unit_case cases[] = {
	UNIT_CASE(open__first_of_process_fails__works_again),
	UNIT_CASE(open_to_close__each_call_fails__says_so_and_works_again),
	UNIT_CASE(open_to_close__each_call_interrupted__goes_on),
	UNIT_CASE(break__each_call_fails__restored_or_lost),
	UNIT_CASE(break__each_call_interrupted__restored),
	UNIT_CASE(release__each_call_fails__restored_or_lost),
	UNIT_CASE(fcntl_lease__each_call_fails__restored_or_lost),
	UNIT_CASE(query__each_call_fails__says_so),
	UNIT_CASE(fork__each_call_fails__parent_goes_on),
	UNIT_CASE(tolerated__each__was_seen),
	{ 0 },
};

int main(int argc, char **argv)
{
	int failed;

	failed = unit_main("faults (md_process)", cases, NULL, NULL, argc, argv);
	threaded = true;
	return unit_main("faults (thread)", cases + 1, NULL, NULL, argc, argv) | failed;
}
