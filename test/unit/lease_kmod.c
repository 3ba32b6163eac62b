// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The module's provider, over a module that answers as it is told: each refusal
 * has its errno and a sentence that says what to do.
 */

#include <unistd.h>

#include "context.h"
#include "fake_kmod.h"
#include "fault.h"
#include "fixture.h"
#include "fixture_kmod.h"
#include "lease_kmod.h"

#define HUGE ((off_t)2 << 20)

/* ---- the device ---------------------------------------------------------- */

static void device__cannot_be_opened__says_why(void)
{
	const struct {
		int error, told;
		const char *words;
	} cases[] = {
		{ ENOENT, ENOENT, "modprobe mapdirect" }, { ENODEV, ENOENT, "modprobe mapdirect" },
		{ ENXIO, ENOENT, "modprobe mapdirect" },  { EACCES, EACCES, "its group may" },
		{ EPERM, EACCES, "its group may" },	  { EMFILE, EMFILE, "cannot open" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fault_force("open device", 1, cases[i].error);
		REFUSED(cases[i].told, cases[i].words);
	}
	kmod_expect_map();
}

static void device__open_interrupted__tried_again(void)
{
	fault_force("open device", 3, EINTR);
	kmod_expect_map();
}

static void device__of_another_module__eopnotsupp(void)
{
	fault_force("ioctl INFO", 1, ENOTTY);
	REFUSED(EOPNOTSUPP, "is not a device of the module");
	fake_kmod.info.abi++;
	REFUSED(EOPNOTSUPP, "install both from one release");
	fake_kmod.info.abi--;
	fake_kmod.info.mode++;
	REFUSED(EOPNOTSUPP, "mode 2");
	fake_kmod.info.mode--;
	kmod_expect_map();
}

/* ---- the file ------------------------------------------------------------ */

static void map__file_is_not_for_it__says_what_to_do(void)
{
	fake_kmod.dax = false;
	REFUSED(ENODEV, "mount its file system with dax=always");
	fake_kmod.dax = true;
	fault_force("statx", 1, EIO);
	REFUSED(EIO, "cannot ask whether the file is DAX");
	fake_kmod.xfs = false;
	REFUSED(EOPNOTSUPP, "use XFS");
	fake_kmod.xfs = true;
	fault_force("fstatfs", 1, EIO);
	REFUSED(EIO, "cannot ask for the file system");
	CU_ASSERT_EQUAL(ftruncate(file, PAGE), 0);
	REFUSED(ENXIO, "make it longer (ftruncate)");
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
	REFUSED(ENODATA, "bytes 4096 to 16383 were never written");
}

static void map__file_of_somebody_else__needs_cap_lease(void)
{
	fake_kmod.owner = geteuid() + 1;
	fault_force("capget", 1, EPERM);
	REFUSED(EPERM, "only the owner of the file");
	fake_kmod.owner = geteuid();
	kmod_expect_map();
}

static void map__leases_switched_off__enolck(void)
{
	fake_kmod.leases_enable = false;
	REFUSED(ENOLCK, "sysctl fs.leases-enable=1");
	fake_kmod.leases_enable = true;
	/* What cannot be read is left for the module to say. */
	fault_force("read", 1, EIO);
	kmod_expect_map();
}

static void map__holes_may_be_filled__filled(void)
{
	struct md_map *map;

	CU_ASSERT_EQUAL(ftruncate(file, 0), 0);
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
	map = fixture_map(MD_MAP_ALLOCATE);
	CU_ASSERT_EQUAL(lseek(file, 0, SEEK_HOLE), FILE_PAGES * PAGE);
	fixture_unmap(map);
}

/* ---- the pages ------------------------------------------------------------- */

static void fault_in__page_refused__says_why(void)
{
	fault_force("madvise POPULATE_WRITE", 1, EHWPOISON);
	REFUSED(EHWPOISON, "cannot fault in the pages");
	fault_force("madvise POPULATE_WRITE", 3, EFAULT);
	REFUSED(EIO, "see the kernel log");
	fault_force("madvise POPULATE_WRITE", 2, EFAULT);
	kmod_expect_map();
}

static void fault_in__no_space__enospc(void)
{
	struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };

	CU_ASSERT_EQUAL(ftruncate(file, PAGE), 0);
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
	fake_kmod.space = 0;
	fault_force("madvise POPULATE_WRITE", 1, EFAULT);
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, FILE_PAGES * PAGE, &attr));
	ASSERT_FAILED(ENOSPC, "free some space");
	/* Not known to be full. */
	fault_force("madvise POPULATE_WRITE", 3, EFAULT);
	fault_force("fstatvfs", 3, EIO);
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, FILE_PAGES * PAGE, &attr));
	ASSERT_FAILED(EIO, "see the kernel log");
}

static unsigned char there;

static int answer_mincore(void *addr, size_t length, unsigned char *answer)
{
	(void)addr;
	CU_ASSERT_EQUAL(length, PAGE);
	*answer = there;
	return 0;
}

/* How many of its pages a map of two huge pages that are holes has had faulted in. */
static off_t pages_faulted_in(void)
{
	const off_t length = 2 * HUGE;
	struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };
	off_t pages = 0;

	CU_ASSERT_EQUAL(ftruncate(file, 0), 0);
	CU_ASSERT_EQUAL(ftruncate(file, length), 0);
	fixture_unmap(md_map(ctx, file, 0, (size_t)length, &attr));
	for (off_t at = 0; at < length; at += PAGE)
		pages += lseek(file, at, SEEK_DATA) == at;
	return pages;
}

static void fault_in__huge_page__one_fault_for_it(void)
{
	fault_sys.mincore = answer_mincore;
	there = 1;
	CU_ASSERT_EQUAL(pages_faulted_in(), 2);
	there = 0;
	CU_ASSERT_EQUAL(pages_faulted_in(), 2 * HUGE / PAGE);
	there = 1;
	fault_force("mincore", 4, EAGAIN); /* of both huge pages, to allocate and of the anchor */
	CU_ASSERT_EQUAL(pages_faulted_in(), 2 * HUGE / PAGE);
	fault_force("madvise POPULATE_WRITE", 1, EHWPOISON);
	CU_ASSERT_PTR_NULL(md_map(ctx, file, 0, HUGE, NULL));
	ASSERT_FAILED(EHWPOISON, "cannot fault in the pages");
}

static void anchor__cannot_be_mapped__says_why(void)
{
	fault_force("mmap SYNC", 1, EOPNOTSUPP);
	REFUSED(EOPNOTSUPP, "cannot map the file with MAP_SYNC");
	fault_force("mmap SYNC", 1, ENOMEM);
	REFUSED(ENOMEM, "cannot map the file with MAP_SYNC");
	kmod_expect_map();
}

/* ---- the lease -------------------------------------------------------------- */

static void lease__refused__sentence_for_each_errno(void)
{
	const struct {
		int error;
		const char *words;
	} cases[] = {
		{ ENODEV, "mount with dax=always" },
		{ EOPNOTSUPP, "use XFS" },
		{ ENXIO, "became shorter" },
		{ ENODATA, "pass MD_MAP_ALLOCATE" },
		{ EADDRNOTAVAIL, "over the library's own mapping" },
		{ EPERM, "only the owner of the file or CAP_LEASE" },
		{ ENOLCK, "sysctl fs.leases-enable=1" },
		{ EEXIST, "overlaps a lease" },
		{ EAGAIN, "try again" },
		{ EBUSY, "did not hold still" },
		{ ENOMEM, "ulimit -l" },
		{ EMFILE, "ulimit -n" },
		{ ENFILE, "in the system" },
		{ EIO, "Input/output error" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fault_force("ioctl LEASE", 1, cases[i].error);
		REFUSED(cases[i].error, cases[i].words);
		CU_ASSERT_PTR_NOT_NULL(strstr(md_errmsg(), "bytes 0 to 16383 of /memfd:data"));
	}
	/* The pages were there a moment ago. */
	fault_force("ioctl LEASE", 1, EFAULT);
	REFUSED(EAGAIN, "try again");
	kmod_expect_map();
}

static void lease__taken_and_unusable__given_back(void)
{
	fault_force("fcntl SETFL", 1, EPERM);
	REFUSED(EPERM, "cannot make the lease non-blocking");
	fault_force("mmap file", 1, ENOMEM);
	REFUSED(ENOMEM, "cannot map the lease");
	fault_force("epoll_ctl ADD", 1, ENOSPC);
	REFUSED(ENOSPC, "cannot wait for breaks");
	kmod_expect_map();
}

/* ---- breaks -------------------------------------------------------------------- */

/* The use that stays open holds the restore back. */
static void expect_break(struct md_map *map, enum mapdirect_reason reason, enum md_reason told,
			 const char *words)
{
	struct md_event *event;

	CU_ASSERT_EQUAL(md_map_get(map), 0);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, reason, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->reason, told);
	CU_ASSERT_EQUAL(event->breaker_pid, FAKE_BREAKER_PID);
	CU_ASSERT_STRING_EQUAL(event->breaker_comm, "breaker");
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, words));
	CU_ASSERT_EQUAL(event->timeline.deadline - event->timeline.broken,
			(uint64_t)FAR_MS * 1000000);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
	md_map_put(map);
	pass_event(MD_EVENT_RESTORED);
}

static void break__each_reason__told(void)
{
	struct md_map *map;

	ctx->budget_ns = 1000000;
	map = fixture_map(MD_MAP_RESTORE);

	expect_break(map, MAPDIRECT_REASON_LAYOUT, MD_REASON_LAYOUT, "changes the file's layout");
	expect_break(map, MAPDIRECT_REASON_TRUNCATE, MD_REASON_TRUNCATE, "takes blocks");
	expect_break(map, MAPDIRECT_REASON_UNMAP, MD_REASON_UNMAP, "behind the library's back");
	/* Of a newer module. */
	expect_break(map, 99, MD_REASON_NONE, "breaks the lease");
	CU_ASSERT(md_map_generation(map) > 4);
	fixture_unmap(map);
}

static void break__revoked__lost(void)
{
	struct md_map *map = fixture_map(0);
	struct md_event *event;

	fake_kmod_event(MAPDIRECT_EVENT_REVOKED, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(event->reason, MD_REASON_REVOKED);
	md_ack_event(event);
	expect_state(map, MD_MAP_LOST);
	event = expect_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(event->error, ETIMEDOUT);
	md_ack_event(event);
	fixture_unmap(map);
}

static void break__others_pin_pages__late_with_their_number(void)
{
	struct md_map *map = fixture_map(0);
	struct md_event *event;

	fake_kmod.foreign = 321;
	fault_force("ioctl RELEASE", 1000, EBUSY);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, 20);
	pass_event(MD_EVENT_BREAK);
	event = expect_event(MD_EVENT_LATE);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "others still pin 321 pages"));
	md_ack_event(event);
	fault_disarm();
	pass_event(MD_EVENT_RELEASED);
	fixture_unmap(map);
}

/* The kernel goes on by itself, and needs the anchor for that. */
static void unmap__others_pin_pages__anchor_stays(void)
{
	struct fault_balance before = fault_balance(), after;
	struct md_map *map = fixture_map(0);
	size_t length = md_map_length(map);

	fault_force("ioctl RELEASE", 1, EBUSY);
	fixture_unmap(map);
	after = fault_balance();
	CU_ASSERT_EQUAL(after.bytes - before.bytes, (long)length);
	fault_forget_bytes((long)length);
}

/* Teardown sees that no anchor stays. */
static void unmap__release_interrupted__tried_again(void)
{
	struct md_map *map = fixture_map(0);

	fault_force("ioctl RELEASE", 3, EINTR);
	fixture_unmap(map);
}

/* ---- restore --------------------------------------------------------------------- */

static void restore__file_locked__waits_no_longer_than_a_look(void)
{
	struct md_map *map = fixture_map(MD_MAP_RESTORE);

	fault_force("preadv2", 3, EAGAIN);
	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(map);
}

static void restore__refused__lost_with_the_sentence(void)
{
	struct md_map *map = fixture_map(MD_MAP_RESTORE);
	struct md_event *event;

	fake_kmod_event(MAPDIRECT_EVENT_BREAK, MAPDIRECT_REASON_LAYOUT, FAR_MS);
	event = expect_event(MD_EVENT_BREAK);
	fault_force("ioctl LEASE", 1, EPERM);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	event = expect_event(MD_EVENT_LOST);
	CU_ASSERT_EQUAL(event->error, EPERM);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "only the owner"));
	md_ack_event(event);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LOST);
	fixture_unmap(map);
}

/* ---- md_query() -------------------------------------------------------------------- */

static struct md_query_result ask(void)
{
	struct md_query_result result = { .size = sizeof(result) };

	CU_ASSERT_EQUAL(md_query(ctx, file, 0, FILE_PAGES * PAGE, &result), 0);
	CU_ASSERT_NOT_EQUAL(strlen(result.reason), 0);
	return result;
}

static void query__module_serves__says_for_how_long(void)
{
	struct md_query_result result = ask();

	CU_ASSERT_EQUAL(result.error, 0);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL(result.break_cap_ms, 60000);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.reason, "would lease bytes 0 to 16383"));
	fake_kmod.info.break_cap_ms = 3000;
	fixture_reopen(PATIENT_MS, 0);
	ctx->ops = &md__lease_kmod;
	CU_ASSERT_PTR_NOT_NULL(strstr(ask().reason, "within 3000 ms"));
	CU_ASSERT_EQUAL(fake_kmod_held(), 0);
}

static void query__module_would_refuse__says_who_could_serve(void)
{
	fault_force("open device", 1, ENOENT);
	CU_ASSERT_EQUAL(ask().error, ENOENT);
	fake_kmod.dax = false;
	CU_ASSERT_EQUAL(ask().error, ENODEV);
	CU_ASSERT_EQUAL(ask().provider, MD_PROVIDER_NONE);
	fake_kmod.dax = true;
	fake_kmod.xfs = false;
	CU_ASSERT_EQUAL(ask().error, EOPNOTSUPP);
	CU_ASSERT_EQUAL(ask().provider, MD_PROVIDER_NONE);
	fake_kmod.xfs = true;
	fake_kmod.leases_enable = false;
	CU_ASSERT_EQUAL(ask().error, ENOLCK);
	CU_ASSERT_EQUAL(ask().provider, MD_PROVIDER_KMOD);
	fake_kmod.leases_enable = true;
	CU_ASSERT_EQUAL(ftruncate(file, PAGE), 0);
	CU_ASSERT_EQUAL(ask().error, ENXIO);
	CU_ASSERT_EQUAL(ftruncate(file, FILE_PAGES * PAGE), 0);
	CU_ASSERT_EQUAL(ask().error, ENODATA);
	CU_ASSERT_EQUAL(ask().unallocated_offset, PAGE);
	CU_ASSERT_EQUAL(ask().unallocated_length, (FILE_PAGES - 1) * PAGE);
}

static const struct unit_case cases[] = {
	UNIT_CASE(device__cannot_be_opened__says_why),
	UNIT_CASE(device__open_interrupted__tried_again),
	UNIT_CASE(device__of_another_module__eopnotsupp),
	UNIT_CASE(map__file_is_not_for_it__says_what_to_do),
	UNIT_CASE(map__file_of_somebody_else__needs_cap_lease),
	UNIT_CASE(map__leases_switched_off__enolck),
	UNIT_CASE(map__holes_may_be_filled__filled),
	UNIT_CASE(fault_in__page_refused__says_why),
	UNIT_CASE(fault_in__no_space__enospc),
	UNIT_CASE(fault_in__huge_page__one_fault_for_it),
	UNIT_CASE(anchor__cannot_be_mapped__says_why),
	UNIT_CASE(lease__refused__sentence_for_each_errno),
	UNIT_CASE(lease__taken_and_unusable__given_back),
	UNIT_CASE(break__each_reason__told),
	UNIT_CASE(break__revoked__lost),
	UNIT_CASE(break__others_pin_pages__late_with_their_number),
	UNIT_CASE(unmap__others_pin_pages__anchor_stays),
	UNIT_CASE(unmap__release_interrupted__tried_again),
	UNIT_CASE(restore__file_locked__waits_no_longer_than_a_look),
	UNIT_CASE(restore__refused__lost_with_the_sentence),
	UNIT_CASE(query__module_serves__says_for_how_long),
	UNIT_CASE(query__module_would_refuse__says_who_could_serve),
	{ 0 },
};

int main(int argc, char **argv)
{
	return kmod_main("lease_kmod", cases, argc, argv);
}
