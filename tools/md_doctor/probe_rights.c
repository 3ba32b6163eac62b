// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <unistd.h>

#include "probe.h"
#include "tree.h"

#define STATUS_FILE "/proc/self/status"
#define GROUP "mapdirect"

/* A number of the list in a line of /proc/self/status, or -1. */
static long nth(const char *list, unsigned int n)
{
	char *end;

	for (;; n--) {
		long number = strtol(list, &end, 10);

		if (end == list)
			return -1;
		if (!n)
			return number;
		list = end;
	}
}

static long find_group(void)
{
	struct group *g = getgrnam(GROUP);

	return g ? (long)g->gr_gid : -1;
}

/* In the status file the list is one line, but may have thousands of them. */
static bool is_member(const char *root, long gid)
{
	int count = getgroups(0, NULL);
	gid_t *groups = count > 0 ? calloc(count, sizeof(*groups)) : NULL;
	char gids[TREE_LINE];
	bool member;

	tree_value(gids, root, STATUS_FILE, "Gid:");
	member = nth(gids, 1) == gid;
	if (groups)
		count = getgroups(count, groups);
	for (int i = 0; groups && i < count; i++)
		member |= (long)groups[i] == gid;
	free(groups);
	return member;
}

static void no_group(struct report *r, long euid)
{
	report_add(r, STATUS_NOTE, "user", NULL, "uid %ld; there is no group " GROUP, euid);
	report_remedy(r, "as root: groupadd --system " GROUP
			 "; udevadm control --reload; udevadm trigger");
}

/* Whether that is enough is said by the device, which is what counts. */
static void check_user(struct report *r, const char *root)
{
	char uids[TREE_LINE];
	long gid = find_group(), euid;

	tree_value(uids, root, STATUS_FILE, "Uid:");
	euid = nth(uids, 1);
	if (!euid)
		report_add(r, STATUS_OK, "user", NULL, "root");
	else if (gid < 0)
		no_group(r, euid);
	else if (is_member(root, gid))
		report_add(r, STATUS_OK, "user", NULL, "uid %ld, in group " GROUP, euid);
	else
		report_add(r, STATUS_NOTE, "user", NULL, "uid %ld, not in group " GROUP, euid);
}

static void check_capability(struct report *r, const char *root, unsigned int cap, const char *name,
			     const char *with, const char *without)
{
	if (tree_capable(root, cap))
		report_add(r, STATUS_OK, name, NULL, "there: %s", with);
	else
		report_add(r, STATUS_NOTE, name, NULL, "not there: %s", without);
}

void probe_rights(struct report *r, const char *root)
{
	check_user(r, root);
	check_capability(r, root, CAP_LEASE, "CAP_LEASE", "can lease the files of any user",
			 "can lease only files that this user owns");
	check_capability(r, root, CAP_IPC_LOCK, "CAP_IPC_LOCK", "RLIMIT_MEMLOCK does not matter",
			 "RLIMIT_MEMLOCK is kept");
}
