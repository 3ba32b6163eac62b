// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A device-dax, in use by a peer: mapped without the module, and never broken. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "dax_mode.h"
#include "lib_holder.h"
#include "scratch.h"
#include "suite.h"

#define ALIGN (2 * MIB)
#define OFFSET ALIGN
#define LENGTH (2 * ALIGN)
#define BYTE 0x33

static void open_device(struct holder *file, const char *path)
{
	*file = (struct holder){ .fd = open(path, O_RDWR | O_CLOEXEC) };
	CHECK(file->fd >= 0);
}

static void check_query(struct md_context *ctx, int fd)
{
	struct md_query_result q = { .size = sizeof(q) };

	CHECK_MD(!md_query(ctx, fd, OFFSET, LENGTH, &q));
	CHECK_EQ(q.provider, MD_PROVIDER_DEVDAX);
	CHECK_EQ(q.error, 0);
	CHECK(q.file_size > OFFSET + LENGTH);
	CHECK_MD(!md_query(ctx, fd, q.file_size, LENGTH, &q));
	CHECK_EQ(q.error, ENXIO);
}

static void check_filled(struct lib *l, size_t offset, int value)
{
	const char *p = (char *)md_map_addr(l->map) + offset;

	CHECK_MD(!md_map_get(l->map));
	for (size_t i = 0; i < LIB_PAGE; i++)
		CHECK_EQ(p[i], value);
	md_map_put(l->map);
}

static void use(void *path)
{
	uint64_t generation;
	struct lib l = { .ctx = lib_context(0, 0, 0) };

	open_device(&l.file, path);
	check_query(l.ctx, l.file.fd);
	lib_take(&l, OFFSET, LENGTH, MD_MAP_ALLOCATE | MD_MAP_RESTORE);
	CHECK_EQ(md_map_provider(l.map), MD_PROVIDER_DEVDAX);
	CHECK_EQ((uintptr_t)md_map_addr(l.map) % ALIGN, 0);
	generation = md_map_generation(l.map);
	lib_write(&l, 0, BYTE);
	lib_write(&l, LENGTH - LIB_PAGE, BYTE + 1);
	check_filled(&l, 0, BYTE);
	CHECK_MD(!md_persist(l.map, 0, LENGTH));
	CHECK(!lib_has_event(&l, 100));

	CHECK_MD(!md_release(l.map));
	lib_next(&l, MD_EVENT_BREAK);
	lib_next(&l, MD_EVENT_RELEASED);
	CHECK(!touch(md_map_addr(l.map)));
	CHECK_MD(!md_restore(l.map));
	lib_next(&l, MD_EVENT_RESTORED);
	CHECK(md_map_generation(l.map) > generation);
	check_filled(&l, 0, BYTE);
	lib_write(&l, 0, BYTE + 2);
	CHECK_MD(!md_persist(l.map, 0, LIB_PAGE));
	lib_drop(&l);

	l.ctx = lib_context(0, 0, 0);
	lib_take(&l, OFFSET, LENGTH, 0);
	check_filled(&l, 0, BYTE + 2);
	check_filled(&l, LENGTH - LIB_PAGE, BYTE + 1);
	lib_drop(&l);
}

static void be_refused(void *path)
{
	const struct md_map_attr kmod = { .size = sizeof(kmod), .provider = MD_PROVIDER_KMOD };
	struct md_context *ctx = lib_context(0, 0, 0);
	struct holder file;

	open_device(&file, path);
	CHECK_NULL_ERRNO(lib_try_map(ctx, file.fd, LIB_PAGE, LENGTH, 0), EINVAL);
	CHECK(strstr(md_errmsg(), "alignment, 2097152"));
	CHECK_NULL_ERRNO(lib_try_map(ctx, file.fd, 0, LIB_PAGE, 0), EINVAL);
	CHECK_NULL_ERRNO(lib_try_map(ctx, file.fd, 0, 64UL << 30, 0), ENXIO);
	CHECK(strstr(md_errmsg(), "the device ends at"));
	CHECK_NULL_ERRNO(md_map(ctx, file.fd, 0, LENGTH, &kmod), EOPNOTSUPP);
}

/* In a child, so that the device is a file system again also after a failure. */
static void with_device(const void *fn)
{
	void (*const *run)(void *) = fn;
	const char *path = dax_mode_enter();
	int status = 0;
	bool ended = child_wait(child_start(*run, (void *)path), SUITE_WAIT_MS, &status);

	dax_mode_leave();
	CHECK(ended);
	CHECK_EQ(status, 0);
}

static void (*const uses)(void *) = use;
static void (*const refusals)(void *) = be_refused;

static const struct suite_case cases[] = {
	/* Proves: a peer writes to the device, and what it wrote stays there. */
	{ .name = "lib_devdax__peer_writes__kept_across_release_and_unmap",
	  .run = with_device,
	  .arg = &uses },
	/* Proves: a range that the device cannot map is told before the kernel does. */
	{ .name = "lib_devdax__range_does_not_suit__errno_of_each",
	  .run = with_device,
	  .arg = &refusals },
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
