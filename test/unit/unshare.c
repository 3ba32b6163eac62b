// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Files that share blocks: they are copied before a lease, and no lease is in the way. */

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include <mapdirect/uapi.h>

#include "fake_kmod.h"
#include "fault.h"
#include "fixture.h"
#include "fixture_kmod.h"

static void map__blocks_are_shared__copied_first(void)
{
	fake_kmod.shared = true;
	kmod_expect_map();
	CU_ASSERT_EQUAL(fake_kmod.unshared, 1);
	fake_kmod.shared = true;
	fault_force("fsync", 1, EIO);
	REFUSED(EIO, "cannot copy what the file shares");
	fault_force("fallocate", 1, ENOSPC);
	REFUSED(ENOSPC, "cannot copy what the file shares");
	fault_force("ioctl FIEMAP", 1, EIO);
	REFUSED(EIO, "cannot copy what the file shares");
	CU_ASSERT_EQUAL(fake_kmod.unshared, 1);
	CU_ASSERT(fake_kmod.shared);
}

/* Nothing is shared any more, but the module cannot know that. */
static void map__file_is_marked_as_shared__mark_is_taken_off(void)
{
	fake_kmod.marked = true;
	kmod_expect_map();
	CU_ASSERT_EQUAL(fake_kmod.unshared, 1);
	fake_kmod.marked = true;
	fault_force("syncfs", 1, EIO);
	REFUSED(EIO, "cannot copy what the file shares");
	CU_ASSERT_EQUAL(fake_kmod.unshared, 1);
	fault_force("ioctl LEASE", 2, EMLINK);
	REFUSED(EMLINK, "could not be given its own");
}

/* Our own lease would be broken by the copying. */
static void map__own_lease_on_the_file__blocks_not_copied(void)
{
	struct md_map *first = md_map(ctx, file, 0, PAGE, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(first);
	fake_kmod.shared = true;
	CU_ASSERT_PTR_NULL(md_map(ctx, file, PAGE, PAGE, NULL));
	ASSERT_FAILED(EMLINK, "shares blocks");
	CU_ASSERT(fake_kmod.shared);
	fixture_unmap(first);
}

static struct md_map *other;

static void *map_other(void *arg)
{
	(void)arg;
	other = md_map(ctx, file, PAGE, PAGE, NULL);
	return NULL;
}

static int (*copy)(int fd, int mode, off_t offset, off_t length);
static pthread_t other_thread;
static unsigned int held_in_copy;

static int copy_while_another_maps(int fd, int mode, off_t offset, off_t length)
{
	fault_sys.fallocate = copy; /* the other one copies, too */
	CU_ASSERT_EQUAL_FATAL(pthread_create(&other_thread, NULL, map_other, NULL), 0);
	usleep(50000);
	held_in_copy = fake_kmod_held();
	return copy(fd, mode, offset, length);
}

static int copy_while_another_restores(int fd, int mode, off_t offset, off_t length)
{
	CU_ASSERT_EQUAL(md_restore(other), 0);
	for (int i = 0; i < 50; i++) {
		pump();
		usleep(1000);
	}
	held_in_copy = fake_kmod_held();
	return copy(fd, mode, offset, length);
}

static struct md_map *map_and_copy(int (*hook)(int, int, off_t, off_t))
{
	struct md_map *map;

	fake_kmod.shared = true;
	copy = fault_sys.fallocate;
	fault_sys.fallocate = hook;
	map = md_map(ctx, file, 0, PAGE, NULL);
	fault_sys.fallocate = copy;
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_FALSE(fake_kmod.shared);
	CU_ASSERT_EQUAL(held_in_copy, 0);
	return map;
}

/* The copying would wait for the lease, in the thread that is to give it back. */
static void map__another_copies_blocks__waits_with_its_lease(void)
{
	struct md_map *map = map_and_copy(copy_while_another_maps);

	pthread_join(other_thread, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	fixture_unmap(other);
	fixture_unmap(map);
}

static void restore__another_copies_blocks__tried_later(void)
{
	struct md_map *map;

	other = md_map(ctx, file, PAGE, PAGE, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	CU_ASSERT_EQUAL(md_release(other), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	map = map_and_copy(copy_while_another_restores);
	pass_event(MD_EVENT_RESTORED);
	fixture_unmap(other);
	fixture_unmap(map);
}

#define PIECE ((off_t)16 << 20) /* that a restore copies before it looks up */
#define LARGE (2 * PIECE + PAGE)
#define PIECE_US 15000 /* longer than it may go on in one turn */

static off_t copied; /* so far, without a gap and without a piece twice */

static int copy_slowly(int fd, int mode, off_t offset, off_t length)
{
	CU_ASSERT_EQUAL(offset, copied);
	copied += length;
	usleep(PIECE_US);
	return copy(fd, mode, offset, length);
}

static void restore_slowly(struct md_map *map)
{
	const unsigned int before = fake_kmod.unshared;
	unsigned int turns;

	copied = 0;
	fault_sys.fallocate = copy_slowly;
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(md_restore(map), 0);
	for (turns = 0; md_map_state(map) != MD_MAP_LIVE && turns < 1000; turns++) {
		pump();
		usleep(threaded ? 1000 : 0);
	}
	pass_event(MD_EVENT_RESTORED);
	fault_sys.fallocate = copy;
	CU_ASSERT_EQUAL(copied, LARGE);
	CU_ASSERT_EQUAL(fake_kmod.unshared, before + 3);
	if (!threaded)
		CU_ASSERT(turns >= 3);
}

/* Whoever else the thread serves is not to wait for all of it. */
static void restore__much_to_copy__in_pieces(void)
{
	const struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };
	struct md_map *map;

	CU_ASSERT_EQUAL_FATAL(ftruncate(file, LARGE), 0);
	copy = fault_sys.fallocate;
	map = md_map(ctx, file, 0, LARGE, &attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	fake_kmod.marked = true;
	restore_slowly(map);
	fixture_unmap(map);
}

static _Atomic off_t own;	 /* so much of the file is not shared */
static atomic_uint stored_early; /* mappings for stores to blocks that were */
static int (*ask)(int fd, unsigned long request, void *arg);
static void *(*map_pages)(void *, size_t, int, int, int, off_t);

static int own_more(int fd, int mode, off_t offset, off_t length)
{
	(void)fd;
	(void)mode;
	usleep(PIECE_US);
	if (offset <= own && offset + length > own)
		own = offset + length;
	return 0;
}

static int tell_extent(struct fiemap *map)
{
	const uint64_t start = map->fm_start > (uint64_t)own ? map->fm_start : (uint64_t)own;

	map->fm_mapped_extents = start < (uint64_t)LARGE;
	map->fm_extents[0] = (struct fiemap_extent){
		.fe_logical = start,
		.fe_length = (uint64_t)LARGE - start,
		.fe_flags = FIEMAP_EXTENT_LAST | FIEMAP_EXTENT_SHARED,
	};
	return 0;
}

static int answer(int fd, unsigned long request, void *arg)
{
	if (request == FS_IOC_FIEMAP)
		return tell_extent(arg);
	if (request != MAPDIRECT_IOC_LEASE || own == LARGE)
		return ask(fd, request, arg);
	errno = EMLINK;
	return -1;
}

static void *map_for_stores(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	stored_early += flags & MAP_SYNC && own < LARGE;
	return map_pages(addr, length, prot, flags, fd, offset);
}

static void share_all(void)
{
	own = 0;
	stored_early = 0;
	ask = fault_sys.ioctl;
	map_pages = fault_sys.mmap;
	copy = fault_sys.fallocate;
	fault_sys.ioctl = answer;
	fault_sys.mmap = map_for_stores;
	fault_sys.fallocate = own_more;
}

static void share_none(void)
{
	fault_sys.ioctl = ask;
	fault_sys.mmap = map_pages;
	fault_sys.fallocate = copy;
}

/*
 * It would wait for ever, if the copy goes on in its own thread only; and none of them
 * stores to what is shared (unshare.h).
 */
static void map__a_restore_copies_in_pieces__copies_the_rest(void)
{
	const struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };
	struct md_map *map;

	CU_ASSERT_EQUAL_FATAL(ftruncate(file, LARGE), 0);
	map = md_map(ctx, file, 0, PAGE, &attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_release(map), 0);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	share_all();
	CU_ASSERT_EQUAL(md_restore(map), 0);
	for (int ms = 0; !own && ms < 10000; ms++) {
		pump();
		usleep(1000);
	}
	CU_ASSERT(own && own < LARGE);
	other = md_map(ctx, file, PAGE, PAGE, &attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	CU_ASSERT_EQUAL(own, LARGE);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT_EQUAL(stored_early, 0);
	share_none();
	fixture_unmap(other);
	fixture_unmap(map);
}

static atomic_uint refused; /* leases, because of the mark */

/* The first two wait for each other, so that both maps know of the mark. */
static int refuse_both(int fd, unsigned long request, void *arg)
{
	int err = ask(fd, request, arg), saved = errno;

	if (request == MAPDIRECT_IOC_LEASE && err < 0) {
		refused++;
		for (int ms = 0; ms < 1000 && refused < 2; ms++)
			usleep(1000);
	}
	errno = saved;
	return err;
}

static void map__two_at_once_of_a_marked_file__both_have_a_lease(void)
{
	struct md_map *map;

	fake_kmod.marked = true;
	refused = 0;
	ask = fault_sys.ioctl;
	fault_sys.ioctl = refuse_both;
	CU_ASSERT_EQUAL_FATAL(pthread_create(&other_thread, NULL, map_other, NULL), 0);
	map = md_map(ctx, file, 0, PAGE, NULL);
	pthread_join(other_thread, NULL);
	fault_sys.ioctl = ask;
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_PTR_NOT_NULL_FATAL(other);
	fixture_unmap(other);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__blocks_are_shared__copied_first),
	UNIT_CASE(map__file_is_marked_as_shared__mark_is_taken_off),
	UNIT_CASE(map__own_lease_on_the_file__blocks_not_copied),
	UNIT_CASE(map__another_copies_blocks__waits_with_its_lease),
	UNIT_CASE(restore__another_copies_blocks__tried_later),
	UNIT_CASE(restore__much_to_copy__in_pieces),
	UNIT_CASE(map__a_restore_copies_in_pieces__copies_the_rest),
	UNIT_CASE(map__two_at_once_of_a_marked_file__both_have_a_lease),
	{ 0 },
};

int main(int argc, char **argv)
{
	return kmod_main("unshare", cases, argc, argv);
}
