// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "dax_device.h"
#include "errmsg.h"
#include "fork.h"
#include "lease_devdax.h"
#include "reserve.h"

int md__devdax_lasts(const struct md__range *range)
{
	struct md__dax_device dax;
	struct stat st;

	if (fstat(range->fd, &st) || md__dax_device_look(st.st_rdev, &dax))
		return md__fail(errno, "cannot ask what memory it is: %s: %s", strerror(errno),
				range->text);
	if (!dax.persistent)
		return md__fail(
			EOPNOTSUPP,
			"the device's memory is volatile, md_persist() could not keep its word: ask for MD_PROVIDER_DEVDAX by name: %s",
			range->text);
	return 0;
}

static void check(struct md_context *ctx, const struct md__range *range,
		  struct md_query_result *result)
{
	bool inside = !md__range_inside(range);

	(void)ctx;
	if (inside && md__devdax_lasts(range)) {
		result->by_name = MD_PROVIDER_DEVDAX;
		snprintf(result->by_name_reason, sizeof(result->by_name_reason),
			 "nobody breaks a map of volatile memory, nor does it last: %s",
			 range->text);
	} else {
		result->provider = MD_PROVIDER_DEVDAX;
	}
	if (!inside || result->by_name) {
		result->error = errno;
		snprintf(result->reason, sizeof(result->reason), "%.255s", md_errmsg());
		return;
	}
	snprintf(result->reason, sizeof(result->reason),
		 "a device-dax without a file system: nobody breaks a map of %s", range->text);
}

/* A descriptor that never has anything to say. */
static int open_silence(struct md__lease *lease)
{
	md__fork_hold();
	lease->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	md__fork_let();
	return lease->fd;
}

static int acquire(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	(void)ctx;
	if (md__range_inside(range))
		return -1;
	lease->fits = true;
	if (open_silence(lease) < 0)
		return md__fail(errno, "cannot make a descriptor for the map: %s: %s",
				strerror(errno), range->text);
	/* MAP_SYNC would say nothing: there are no metadata. */
	if (md__reserve_fill(lease->addr, lease->length, MAP_SHARED, range->fd,
			     (off_t)range->offset))
		return md__fail(errno, "cannot map the device: %s: %s", strerror(errno),
				range->text);
	lease->generation = md__lease_number();
	return 0;
}

static int read_notice(struct md__lease *lease, struct md__notice *notice)
{
	(void)lease;
	(void)notice;
	return 0;
}

static int release(struct md__lease *lease)
{
	md__reserve_again(lease->addr, lease->length);
	return 0;
}

const struct md__lease_ops md__lease_devdax = {
	.provider = MD_PROVIDER_DEVDAX,
	.check = check,
	.acquire = acquire,
	.read = read_notice,
	.release = release,
};
