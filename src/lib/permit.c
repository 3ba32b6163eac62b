// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "errmsg.h"
#include "permit.h"
#include "proc.h"

static bool has_cap_lease(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	return !syscall(SYS_capget, &head, data) &&
	       data[CAP_TO_INDEX(CAP_LEASE)].effective & CAP_TO_MASK(CAP_LEASE);
}

/* As generic_setlease() in fs/locks.c asks of the caller. */
int md__permit_lease(const struct md__range *range)
{
	uid_t fsuid = (uid_t)setfsuid((uid_t)-1); /* which changes nothing */
	struct stat st;

	if (fstat(range->fd, &st) == 0 && st.st_uid != fsuid && !has_cap_lease())
		return md__fail(EPERM,
				"only the owner of the file (uid %u) or CAP_LEASE may lease: %s",
				(unsigned int)st.st_uid, range->text);
	if (md__proc_number("/proc/sys/fs/leases-enable") == 0)
		return md__fail(
			ENOLCK,
			"leases are switched off: sysctl fs.leases-enable=1: no lease of %s",
			range->text);
	return 0;
}
