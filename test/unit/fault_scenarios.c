// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "errmsg.h"
#include "fake_cm.h"
#include "fake_dax.h"
#include "fake_kmod.h"
#include "fault.h"
#include "fault_scenarios.h"
#include "fault_steps.h"

#define BUDGET_MS 2

static enum md_provider provider;
static uint32_t flags;
static size_t length;
static struct md_mr *mr;
static struct md_map *other;
static int other_file;
static int scratch; /* to write to */
static struct fault_balance at_start;

/* ---- calls ------------------------------------------------------------------- */

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
		.flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE | flags,
		.provider = provider,
	};

	steps.map = md_map(ctx, file, 0, length, &attr);
	return steps.map;
}

static bool do_reg(void)
{
	mr = md_reg_mr(&fake_pd, steps.map, 0, PAGE, RW);
	return mr;
}

static bool do_attach(void)
{
	return !md_attach_qp(steps.map, &fake_qp[0], NULL);
}

static bool do_persist(void)
{
	return !md_persist(steps.map, 0, PAGE);
}

static bool do_fence(void)
{
	return !md_fence_qp(steps.map, &fake_qp[0]);
}

static bool do_release(void)
{
	return !md_release(steps.map);
}

static bool do_restore(void)
{
	return !md_restore(steps.map);
}

static bool do_process(void)
{
	return threaded || !md_process(ctx);
}

static bool do_detach(void)
{
	return !md_detach_qp(steps.map, &fake_qp[0]);
}

static bool do_dereg(void)
{
	return !md_dereg_mr(mr);
}

static bool do_unmap(void)
{
	if (md_unmap(steps.map))
		return false;
	steps.map = NULL;
	return true;
}

static bool do_close(void)
{
	if (md_close(ctx))
		return false;
	ctx = NULL;
	return true;
}

/* An answer that says no is a failure here, with its sentence. */
static bool do_query(void)
{
	struct md_query_result result = { .size = sizeof(result) };

	if (md_query(ctx, file, 0, length, &result))
		return false;
	return !result.error || md__fail(result.error, "%s", result.reason) == 0;
}

static bool do_map_other(void)
{
	struct md_map_attr attr = { .size = sizeof(attr),
				    .flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE };

	other = md_map(ctx, other_file, 0, length, &attr);
	return other;
}

static bool do_unmap_other(void)
{
	return !md_unmap(other);
}

static bool do_cancel(void)
{
	static const volatile int yes = 1;
	struct md_map_attr attr = { .size = sizeof(attr), .cancel = &yes };

	return !md_map(ctx, file, 0, length, &attr) && errno == ECANCELED;
}

/* Each page fails, as on a file system without space. */
static bool do_map_on_full(void)
{
	struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };

	return !md_map(ctx, file, 0, length, &attr) && errno == ENOSPC &&
	       strstr(md_errmsg(), "is full");
}

/* ---- a session with itself ---------------------------------------------------- */

/* What a side of the session has sent and the other has not got. */
static struct way {
	struct md_peer *to;
	size_t length;
	uint8_t bytes[256 * MD_MESSAGE_MAX];
} way[2];

static pthread_mutex_t way_lock = PTHREAD_MUTEX_INITIALIZER;
static struct md_peer *side[2];
static struct md_grant *grant;
static struct md_remote *remote;
static bool broken_off;

static int take(void *arg, const void *message, size_t size)
{
	struct way *w = arg;

	pthread_mutex_lock(&way_lock);
	memcpy(w->bytes + w->length, message, size);
	w->length += size;
	pthread_mutex_unlock(&way_lock);
	return 0;
}

static void hang_up(void *arg)
{
	(void)arg;
	broken_off = true;
}

static bool deliver(struct way *w)
{
	static uint8_t bytes[sizeof(w->bytes)];
	size_t size;

	pthread_mutex_lock(&way_lock);
	size = w->length;
	memcpy(bytes, w->bytes, size);
	w->length = 0;
	pthread_mutex_unlock(&way_lock);
	return !size || !md_peer_input(w->to, bytes, size);
}

static bool new_side(int i)
{
	const struct md_peer_ops ops = { .size = sizeof(ops), .send = take, .close = hang_up };

	side[i] = md_peer_new(ctx, &ops, &way[i], NULL);
	way[!i].to = side[i];
	way[i].length = 0;
	return side[i];
}

static bool do_new_holder(void)
{
	return new_side(0);
}

static bool do_new_peer(void)
{
	return new_side(1);
}

static bool do_connect(void)
{
	broken_off = false;
	for (int i = 0; i < 2; i++) {
		if (md_peer_lost(side[i]))
			return false;
		way[i].length = 0;
	}
	return !md_peer_connected(side[0]) && !md_peer_connected(side[1]);
}

/* Messages arrive until what was granted last can be used. */
static bool do_talk(void)
{
	if (broken_off && !do_connect())
		return false;
	for (int ms = 0; ms < 5000; ms++) {
		if (!deliver(&way[0]) || !deliver(&way[1]) || !do_process())
			return false;
		if (!remote)
			remote = md_remote_find(side[1], "data");
		if (remote && remote->rkey == mr->rkey && !md_remote_wait(remote, 0))
			return true;
		usleep(1000);
	}
	return false;
}

static bool do_grant(void)
{
	grant = md_grant(side[0], mr, "data");
	return grant;
}

static bool do_recall(void)
{
	return !md_recall(grant);
}

static bool do_close_holder(void)
{
	return !md_peer_close(side[0]);
}

static bool do_close_peer(void)
{
	return !md_peer_close(side[1]);
}

/* ---- scenarios -------------------------------------------------------------- */

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
	if (steps.lost) {
		step("md_map", do_map);
		step("md_unmap", do_unmap);
	}
	step("md_close", do_close);
}

static void release_and_restore(void)
{
	step("md_release", do_release);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
	step("md_restore", do_restore);
	if (await(MD_EVENT_RESTORED))
		CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
}

void scenario_live(void)
{
	begin();
	step("md_persist", do_persist);
	step("md_fence_qp", do_fence);
	CU_ASSERT(await(MD_EVENT_QP_FENCED));
	step("md_process", do_process);
	end();
}

/* A use stays open, so the queue pair is fenced. */
void scenario_broken(void)
{
	begin();
	CU_ASSERT_EQUAL(md_map_get(steps.map), 0);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_QP_FENCED));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
	md_map_put(steps.map);
	if (await(MD_EVENT_RESTORED)) {
		CU_ASSERT_EQUAL(md_map_state(steps.map), MD_MAP_LIVE);
		CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
		step("md_persist", do_persist);
	}
	end();
}

/* The peer does not hear of the break in time: it is fenced, and granted again later. */
void scenario_granted(void)
{
	remote = NULL;
	begin();
	step("md_peer_new", do_new_holder);
	step("md_peer_new", do_new_peer);
	step("md_peer_connected", do_connect);
	step("md_grant", do_grant);
	step("md_peer_input", do_talk);
	CU_ASSERT_EQUAL(md_remote_get(remote), 0);
	CU_ASSERT(fake_verbs_write(remote->rkey, 0, 1));
	md_remote_put(remote);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	if (await(MD_EVENT_RESTORED)) {
		step("md_peer_input", do_talk);
		CU_ASSERT(fake_verbs_write(remote->rkey, 0, 1));
	}
	step("md_recall", do_recall);
	step("md_peer_close", do_close_holder);
	step("md_peer_close", do_close_peer);
	end();
}

void scenario_released(void)
{
	fake_kmod.shared = false;
	fake_kmod.marked = true;
	begin();
	release_and_restore();
	end();
}

void scenario_revoked(void)
{
	begin();
	CU_ASSERT_EQUAL(md_map_get(steps.map), 0);
	fake_kmod_event(MAPDIRECT_EVENT_REVOKED, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	md_map_put(steps.map);
	if (await(MD_EVENT_RESTORED))
		CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	end();
}

/* Others pin pages when the deadline is there. */
void scenario_late(void)
{
	begin();
	fake_kmod.foreign = 3;
	fault_force("ioctl RELEASE", 2, EBUSY);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, 1);
	CU_ASSERT(await(MD_EVENT_BREAK));
	CU_ASSERT(await(MD_EVENT_LATE));
	CU_ASSERT(await(MD_EVENT_RELEASED));
	await(MD_EVENT_RESTORED);
	end();
}

void scenario_populated(void)
{
	flags = MD_MAP_PROGRESS;
	begin();
	CU_ASSERT(await(MD_EVENT_POPULATE));
	release_and_restore();
	end();
}

void scenario_cancelled(void)
{
	step("md_open", do_open);
	step("md_map", do_cancel);
	step("md_close", do_close);
}

void scenario_full(void)
{
	fake_kmod.space = 0;
	fault_force("madvise POPULATE_WRITE", 1000, EFAULT);
	step("md_open", do_open);
	step("md_map when full", do_map_on_full);
	step("md_close", do_close);
}

/* Each restore gives way to the break of the other. */
void scenario_two(void)
{
	other_file = memfd_create("other", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(other_file, (off_t)length), 0);
	begin();
	step("md_map", do_map_other);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	for (int ended = 0; ended < 2;) {
		enum md_event_type type = next_event();

		ended += type == MD_EVENT_RESTORED || type == MD_EVENT_LOST;
	}
	step("md_unmap", do_unmap_other);
	end();
	close(other_file);
}

/* Memory that can be read; a reservation cannot. */
static bool accessible(const void *addr, size_t size)
{
	const char *first = addr;

	return pwrite(scratch, first, 1, 0) == 1 && pwrite(scratch, first + size - 1, 1, 0) == 1;
}

static void lease_really(int fd, enum md_provider by)
{
	fault_sys = (struct fault_sys){ 0 };
	fake_verbs_covers = accessible;
	provider = by;
	close(file);
	file = fd;
}

/* The kernel takes a memfd for a file that is open elsewhere. */
void scenario_leased_by_fcntl(void)
{
	lease_really(open(P_tmpdir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), MD_PROVIDER_FCNTL);
	CU_ASSERT_EQUAL_FATAL(ftruncate(file, (off_t)length), 0);
	begin();
	step("md_persist", do_persist);
	release_and_restore();
	end();
}

void scenario_leased_by_devdax(void)
{
	lease_really(open("/dev/zero", O_RDWR | O_CLOEXEC), MD_PROVIDER_NONE);
	length = FAKE_DAX_ALIGN;
	begin();
	CU_ASSERT_EQUAL(md_map_provider(steps.map), MD_PROVIDER_DEVDAX);
	step("md_query", do_query);
	step("md_persist", do_persist);
	release_and_restore();
	end();
}

void scenario_asked(void)
{
	char data[FILE_PAGES * PAGE] = { 0 };

	CU_ASSERT_EQUAL(pwrite(file, data, sizeof(data), 0), (ssize_t)sizeof(data));
	step("md_open", do_open);
	step("md_query", do_query);
	step("md_close", do_close);
}

void scenario_forked(void)
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

/* ---- for scenarios elsewhere --------------------------------------------------- */

struct md_mr *scenario_begin(void)
{
	begin();
	return mr;
}

void scenario_end(void)
{
	end();
}

/* ---- around each ------------------------------------------------------------- */

void scenario_prepare(void)
{
	fault_disarm();
	fake_verbs_reset();
	fake_cm_reset();
	fake_kmod_install();
	fake_verbs_covers = fake_kmod_covers;
	fake_kmod.shared = true;
	if (!geteuid())
		fake_kmod.owner = 1; /* so that CAP_LEASE is asked for */
	steps_begin();
	provider = MD_PROVIDER_NONE;
	flags = 0;
	length = FILE_PAGES * PAGE;
	scratch = memfd_create("scratch", MFD_CLOEXEC);
	at_start = fault_balance();
	file = memfd_create("data", MFD_CLOEXEC);
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
}

void scenario_check_rest(void)
{
	struct fault_balance left = fault_balance();
	const char *call = fault_fired() ?: "";

	/* The anchor of a lease that somebody pins is left on purpose. */
	if (!strcmp(call, "ioctl RELEASE") && left.bytes > at_start.bytes)
		left.bytes -= FILE_PAGES * PAGE;
	close(file);
	close(scratch);
	check_served();
	CU_ASSERT_EQUAL(left.blocks, at_start.blocks);
	CU_ASSERT_EQUAL(left.bytes, at_start.bytes);
	CU_ASSERT_EQUAL(left.fds, at_start.fds);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_EQUAL(fake_verbs_strays(), 0);
	CU_ASSERT_EQUAL(fake_cm_live(), 0);
	CU_ASSERT_EQUAL(fake_cm_misuses(), 0);
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
}
