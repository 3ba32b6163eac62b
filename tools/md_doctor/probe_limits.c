// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "probe.h"
#include "tree.h"

#define MIB (1ULL << 20)

/* Less is hardly more than a try. */
#define MEMLOCK_LOW (64 * MIB)

/* Half of it is for the drain, which takes 250 ms unless set. */
#define CAP_LOW_MS 1000

static void check_memlock(struct report *r, const char *root)
{
	/* A page that is leased, and the same in one region. */
	unsigned long long least = 2 * (unsigned long long)sysconf(_SC_PAGESIZE), limit;
	const char *remedy = "raise it: ulimit -l, /etc/security/limits.conf, LimitMEMLOCK=";
	char line[TREE_LINE];

	if (!tree_value(line, root, "/proc/self/limits", "Max locked memory")) {
		report_add(r, STATUS_NOTE, "RLIMIT_MEMLOCK", NULL, "not known");
		return;
	}
	if (!strncmp(line, "unlimited", strlen("unlimited"))) {
		report_add(r, STATUS_OK, "RLIMIT_MEMLOCK", NULL, "unlimited");
		return;
	}
	limit = strtoull(line, NULL, 10);
	if (tree_capable(root, CAP_IPC_LOCK)) {
		report_add(r, STATUS_OK, "RLIMIT_MEMLOCK", NULL,
			   "%llu KiB, which CAP_IPC_LOCK overrides", limit >> 10);
		return;
	}
	report_add(r,
		   limit < least       ? STATUS_MISSING :
		   limit < MEMLOCK_LOW ? STATUS_WARN :
					 STATUS_OK,
		   "RLIMIT_MEMLOCK", NULL,
		   "%llu KiB; a range counts once for its lease and once for each region",
		   limit >> 10);
	if (limit < MEMLOCK_LOW)
		report_remedy(r, "%s", remedy);
}

static void check_leases(struct report *r, const char *root, bool needed)
{
	long long enabled = tree_number(root, "/proc/sys/fs/leases-enable");

	if (enabled < 0) {
		report_add(r, STATUS_NOTE, "leases", NULL, "not known whether they are on");
	} else if (!enabled) {
		report_add(r, needed ? STATUS_MISSING : STATUS_NOTE, "leases", NULL,
			   "switched off");
		report_remedy(r, "as root: sysctl fs.leases-enable=1");
	} else {
		report_add(r, STATUS_OK, "leases", NULL, "switched on");
	}
}

/* As the module takes it: the smaller of the two, the cap if there is no time. */
static void check_deadline(struct report *r, const char *root)
{
	long long seconds = tree_number(root, "/proc/sys/fs/lease-break-time");
	long long cap = tree_number(root, "/sys/module/mapdirect/parameters/break_cap_ms");
	char capped[64] = "the module's cap applies too";

	if (cap >= 0)
		snprintf(capped, sizeof(capped), "the module's cap is %lld ms", cap);
	if (cap >= 0 && cap < CAP_LOW_MS) {
		report_add(r, STATUS_WARN, "deadline of a break", NULL,
			   "%s: too short to give way, and who does not is killed", capped);
		report_remedy(r,
			      "as root: echo 60000 >/sys/module/mapdirect/parameters/break_cap_ms");
	} else if (seconds > 0) {
		report_add(r, STATUS_OK, "deadline of a break", NULL,
			   "lease-break-time is %lld s, %s", seconds, capped);
	} else {
		report_add(r, STATUS_NOTE, "deadline of a break", NULL,
			   "lease-break-time is %s, %s", seconds ? "not known" : "0", capped);
	}
}

void probe_limits(struct report *r, const char *root, bool needed)
{
	check_memlock(r, root);
	check_leases(r, root, needed);
	check_deadline(r, root);
}
