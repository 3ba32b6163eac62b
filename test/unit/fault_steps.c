// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "context.h"
#include "errmsg.h"
#include "fake_kmod.h"
#include "fault.h"
#include "fault_steps.h"
#include "map.h"

#define PATIENCE_MS 5000

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

#define BREAK "a break, a restore or a connection"
#define SHORT "short of something for a moment: tried again"

/* What a call of the library, or a break, can do without, and why. */
static struct {
	const char *call;
	const char *in; /* NULL: anywhere */
	const char *why;
	bool or_lost; /* elsewhere in a restore, where it cannot */
	bool seen;
} tolerated[] = {
	{ "close", NULL, "the descriptor is gone all the same", false, false },
	{ "munmap", NULL, "nothing is done with the addresses, nor could be", false, false },
	{ "mmap reserve again", NULL, "what was mapped stays until md_unmap()", false, false },
	{ "madvise DONTFORK", NULL, "the child then sees the file, and has no lease", false,
	  false },
	{ "epoll_ctl DEL", NULL, "closing the lease takes it out as well", false, false },
	{ "membarrier", NULL, "there is a slower one", false, false },
	{ "pthread_setname_np", NULL, "the name is for the eye", false, false },
	{ "readlink", NULL, "the sentence then tells the file by its number", true, false },
	{ "open sysctl", NULL, "the module knows, and will say so", false, false },
	{ "read", NULL, "of a sysctl: the module knows, and will say so", true, false },
	{ "fsync", "md_map", "the faults that follow will say so", false, false },
	{ "fstat", "md_map", "the module looks at the owner too", false, false },
	{ "fstat", "md_query", "the size is then not told", false, false },
	{ "open file again", "md_query", "the hole is then not told", false, false },
	{ "lseek", "md_query", "the hole is then not told", false, false },
	{ "statx", "md_query", "what may be asked for by name is then not told", false, false },
	{ "realpath", "md_query", "the size is then not told", false, false },
	{ "open sysfs", "md_query", "the size is then not told", false, false },
	{ "fstat", "md_map when full", "the module looks at the owner too", false, false },
	{ "open file again", "md_map when full", "asked again after the next fault", false, false },
	{ "lseek", "md_map when full", "asked again after the next fault", false, false },
	{ "fstatvfs", "md_map when full", "asked again after the next fault", false, false },
	{ "fcntl UNLCK", "md_unmap", "the lease goes when the file is closed", false, false },
	{ "ioctl RELEASE", "md_unmap", "the kernel goes on by itself, with the anchor", false,
	  false },
	{ "poll", "md_recall", "between two looks: looked again", false, false },
	{ "ioctl RELEASE", BREAK, "tried again", false, false },
	{ "fcntl UNLCK", BREAK, "tried again, and told", false, false },
	{ "ibv_dereg_mr", BREAK, "tried again", false, false },
	{ "ibv_reg_mr", BREAK, "tried again", false, false },
	{ "ibv_modify_qp", BREAK, "told; the deregistration does not need it", false, false },
	{ "ioctl STATUS", BREAK, "the number of pages is then not told", false, false },
	{ "preadv2", BREAK, "tried again", false, false },
	{ "pthread_create", BREAK, "tried again", false, false },
	{ "open file again", BREAK, SHORT, false, false },
	{ "mmap SYNC", BREAK, SHORT, false, false },
	{ "mmap file", BREAK, SHORT, false, false },
	{ "madvise POPULATE_WRITE", BREAK, SHORT, false, false },
	{ "ioctl LEASE", BREAK, SHORT, false, false },
	{ "epoll_ctl ADD", BREAK, SHORT, false, false },
	{ "eventfd", BREAK, SHORT, false, false },
	{ "calloc", BREAK, SHORT, false, false },
	{ "fcntl SETLEASE", BREAK, SHORT, false, false },
	{ "realpath", BREAK, SHORT, false, false },
	{ "open sysfs", BREAK, SHORT, false, false },
	{ "fstat", BREAK, "of the owner: the module looks too", true, false },
	{ "rdma_create_id", "md_connect", "tried again, and told", false, false },
	{ "rdma_resolve_addr", "md_connect", "tried again, and told", false, false },
	{ "calloc", "md_connect", "tried again, and told", false, false },
	{ "rdma_create_id", BREAK, "tried again, and told", false, false },
	{ "rdma_resolve_addr", BREAK, "tried again, and told", false, false },
	{ "rdma_resolve_route", BREAK, "tried again, and told", false, false },
	{ "ibv_create_comp_channel", BREAK, "tried again, and told", false, false },
	{ "fcntl SETFL", BREAK, "tried again, and told", true, false },
	{ "aligned_alloc", BREAK, "the peer is told, and grants again", false, false },
	{ "poll", BREAK, "of md_recall(): looked at again soon", false, false },
	{ "ibv_create_cq", BREAK, "tried again, and told", false, false },
	{ "rdma_create_qp", BREAK, "tried again, and told", false, false },
	{ "rdma_connect", BREAK, "tried again, and told", false, false },
	{ "rdma_accept", BREAK, "tried again, and told", false, false },
	{ "rdma_reject", BREAK, "the other side asks again", false, false },
	{ "rdma_disconnect", NULL, "the end of the id tells the other side, too", false, false },
	{ "getnameinfo", BREAK, "the address is then not told", false, false },
};

/* Calls whose errno says too little: what the library makes of it. */
static const struct {
	const char *call;
	int error;
} translated[] = {
	{ "ioctl INFO", EOPNOTSUPP },
	{ "fstat", EBADF },
	{ "fcntl GETFL", EACCES },
	{ "aligned_alloc", EPROTO }, /* a range that is granted: the connection is closed */
};

struct steps steps;

/* The failure was found to be told, or to be one that a call can do without. */
static bool accounted;

/* ---- steps ------------------------------------------------------------------ */

static size_t find(const char *call, const char *in)
{
	size_t i = 0;

	while (i < LENGTH(tolerated) && (strcmp(tolerated[i].call, call) ||
					 (tolerated[i].in && strcmp(tolerated[i].in, in))))
		i++;
	return i;
}

static bool can_do_without(const char *call, const char *in)
{
	size_t i = find(call, in);

	if (i == LENGTH(tolerated))
		return false;
	tolerated[i].seen = true;
	return true;
}

/* Calls that never fail here, and why. */
static const struct {
	const char *call;
	const char *why;
} untried[] = {
	{ "pthread_atfork", "once in a process, by the first case" },
	{ "mincore", "of whole huge pages; lease_kmod.c has some" },
};

static bool right_errno(const char *call, int error)
{
	for (size_t i = 0; i < LENGTH(translated); i++) {
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

/* What a call that fails leaves as it was. */
struct view {
	unsigned int regions;
	unsigned int leases;
	long bytes;
	long fds; /* without what a context opens once, when it needs it */
	enum md_map_state state;
	uint64_t generation;
	uint64_t uses;
};

static int opened_once(const struct md_context *c)
{
	return c ? (c->fd[MD__FD_DEV] >= 0) + (c->fd[MD__FD_NET] >= 0) : 0;
}

static struct view look(void)
{
	struct fault_balance balance = fault_balance();
	struct view view = {
		.regions = fake_verbs_live(),
		.leases = fake_kmod_held() + (fcntl(file, F_GETLEASE) == F_WRLCK),
		.bytes = balance.bytes,
		.fds = balance.fds - opened_once(ctx) - opened_once(steps.other),
	};

	if (steps.map) {
		view.state = md_map_state(steps.map);
		view.generation = md_map_generation(steps.map);
		view.uses = md__guard_uses(&steps.map->guard);
	}
	return view;
}

static void check_unchanged(const struct view *before, const struct view *after)
{
	CU_ASSERT_EQUAL(after->regions, before->regions);
	CU_ASSERT_EQUAL(after->leases, before->leases);
	CU_ASSERT_EQUAL(after->bytes, before->bytes);
	CU_ASSERT_EQUAL(after->fds, before->fds);
	CU_ASSERT_EQUAL(after->state, before->state);
	CU_ASSERT_EQUAL(after->generation, before->generation);
	CU_ASSERT_EQUAL(after->uses, before->uses);
}

static void check_success(const char *name)
{
	accounted = true;
	if (fault_error() == EINTR || can_do_without(fault_fired(), name))
		return;
	printf("\n    %s: works, though %s failed ", name, fault_fired());
	CU_FAIL("a failure was swallowed");
}

void step(const char *name, bool (*call)(void))
{
	static const char silence[MD__ERRMSG_MAX];
	bool fired_before = fault_fired();
	struct view before = look(), after;

	md__errmsg_restore(silence);
	errno = 0;
	if (call()) {
		if (!fired_before && fault_fired_here())
			check_success(name);
		return;
	}
	CU_ASSERT_FALSE(fired_before);
	CU_ASSERT_NOT_EQUAL(fault_error(), EINTR);
	check_failure(name);
	accounted = true;
	after = look();
	check_unchanged(&before, &after);
	CU_ASSERT_FATAL(call());
}

/* ---- events ------------------------------------------------------------------- */

static bool served(const char *call)
{
	return fault_fired() && !accounted && !strcmp(fault_fired(), call);
}

static void check_event(const struct md_event *event)
{
	switch (event->type) {
	case MD_EVENT_QP_FENCED:
		CU_ASSERT_EQUAL(event->error, served("ibv_modify_qp") ? fault_error() : 0);
		break;
	case MD_EVENT_LATE:
		CU_ASSERT_EQUAL(event->error, served("fcntl UNLCK") ? EPERM : EBUSY);
		CU_ASSERT(strlen(event->message) > 10);
		CU_ASSERT_PTR_NULL(strstr(event->message, " 0 pages"));
		break;
	case MD_EVENT_LOST:
		CU_ASSERT_PTR_NOT_NULL(fault_fired());
		CU_ASSERT(right_errno(fault_fired() ?: "", event->error));
		CU_ASSERT(strlen(event->message) > 10);
		CU_ASSERT_EQUAL(md_map_state(event->map), MD_MAP_LOST);
		steps.lost = true;
		break;
	default:
		break;
	}
}

enum md_event_type next_event(void)
{
	struct md_event *event;
	enum md_event_type type;
	bool fired_before;

	for (;;) {
		fired_before = fault_fired();
		if (!md_get_event(ctx, &event, PATIENCE_MS))
			break;
		check_failure("md_get_event");
		accounted = true;
		CU_ASSERT_FALSE_FATAL(fired_before);
	}
	CU_ASSERT(fired_before || strcmp(fault_fired() ?: "", "poll"));
	check_event(event);
	type = event->type;
	md_ack_event(event);
	return type;
}

bool await(enum md_event_type type)
{
	while (!steps.lost) {
		if (next_event() == type)
			return true;
	}
	return false;
}

/* ---- the whole ------------------------------------------------------------------ */

static bool may_lose(const char *call)
{
	size_t i = find(call, BREAK);

	return i == LENGTH(tolerated) || tolerated[i].or_lost;
}

void check_served(void)
{
	const char *call = fault_fired();
	bool good;

	if (!call || accounted || fault_error() == EINTR) {
		CU_ASSERT_FALSE(steps.lost);
		return;
	}
	good = steps.lost ? may_lose(call) : can_do_without(call, BREAK);
	if (!good)
		printf("\n    %s failed in a break or restore: %s ", call,
		       steps.lost ? "lost" : "not told");
	CU_ASSERT(good);
}

static bool is_excused(const char *call)
{
	for (size_t i = 0; i < LENGTH(untried); i++) {
		if (!strcmp(untried[i].call, call))
			return true;
	}
	return false;
}

static void check_all_tried(enum fault_kind kind)
{
	const char *call;
	size_t at = 0;

	while ((call = fault_untried(kind, &at))) {
		if (!is_excused(call))
			printf("\n    never failed (%d): %s ", kind, call);
		CU_ASSERT(is_excused(call));
	}
}

void check_lists(void)
{
	for (size_t i = 0; i < LENGTH(tolerated); i++) {
		if (!tolerated[i].seen)
			printf("\n    not seen: %s in %s ", tolerated[i].call, tolerated[i].in);
		CU_ASSERT(tolerated[i].seen);
	}
	check_all_tried(FAULT_ERROR);
	check_all_tried(FAULT_EINTR);
}

void steps_begin(void)
{
	steps = (struct steps){ 0 };
	ctx = NULL;
	accounted = false;
}
