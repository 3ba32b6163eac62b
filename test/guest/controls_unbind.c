// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What keeps the memory of a device where it is. A program of its own: it takes
 * the scratch device away, and when it fails, the kernel may crash.
 */
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#include "breaker.h"
#include "control.h"
#include "driver.h"
#include "knob.h"
#include "scratch.h"
#include "suite.h"

#define LENGTH CONTROL_LENGTH

/*
 * Damage: the driver is unbound, and its memory gone, while a region is on it.
 * Then nothing may look at the pages, least of all who deregisters, until there
 * are such again.
 */
static void play_unbind(bool *damage)
{
	const char *device = driver_device();
	struct ibv_mr *mr;
	struct breaker b;
	struct holder h;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, suite_fs[1], "leased", LENGTH);
	holder_take(&h, 0, LENGTH);
	mr = rdma_reg(&r, h.map, LENGTH);
	CHECK(mr);
	driver_forget_pages(&h);
	sync();
	breaker_start(&b, driver_unbind, device);
	*damage = !breaker_waits(&b, NEVER_MS);
	if (*damage)
		driver_bind(device);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	if (*damage) /* what was pinned were other pages: no look at the counts of these */
		knob_set(KNOB_UNPROTECTED, PGMAP | DEFER);
	CHECK(!munmap(h.map, LENGTH) && !close(h.lease) && !close(h.fd));
	breaker_finish(&b, SUITE_WAIT_MS);
	scratch_unmount();
	if (*damage)
		CHECK_EQ(driver_unbind(device), 0);
	driver_bind(device);
	scratch_restore();
}

static void control_on_scratch(const void *arg)
{
	driver_device();
	scratch_restore();
	control(arg);
}

static const struct suite_case cases[] = {
	{
		.name = "PGMAP__driver_unbound__damage_only_when_off",
		.run = control_on_scratch,
		.arg = &(const struct scene){ PGMAP, play_unbind, 0 },
	},
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
