// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>

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

static long find_group(const char *root)
{
	FILE *f = tree_open(root, "/etc/group");
	struct group *g;
	long gid = -1;

	while (f && gid < 0 && (g = fgetgrent(f)))
		if (!strcmp(g->gr_name, GROUP))
			gid = (long)g->gr_gid;
	if (f)
		fclose(f);
	return gid;
}

static bool is_member(const char *root, long gid)
{
	char groups[TREE_LINE];
	long member;

	tree_value(groups, root, STATUS_FILE, "Gid:");
	if (nth(groups, 1) == gid)
		return true;
	tree_value(groups, root, STATUS_FILE, "Groups:");
	for (unsigned int i = 0; (member = nth(groups, i)) >= 0; i++)
		if (member == gid)
			return true;
	return false;
}

/* Whether that is enough is said by the device, which is what counts. */
static void check_user(struct report *r, const char *root)
{
	char uids[TREE_LINE];
	long gid = find_group(root), euid;

	tree_value(uids, root, STATUS_FILE, "Uid:");
	euid = nth(uids, 1);
	if (!euid)
		report_add(r, STATUS_OK, "user", NULL, "root");
	else if (gid < 0)
		report_add(r, STATUS_NOTE, "user", NULL, "uid %ld; there is no group " GROUP, euid);
	else if (is_member(root, gid))
		report_add(r, STATUS_OK, "user", NULL, "uid %ld, in group " GROUP, euid);
	else
		report_add(r, STATUS_NOTE, "user", NULL, "uid %ld, not in group " GROUP, euid);
}

static void check_capability(struct report *r, const char *root, unsigned int cap, const char *name,
			     const char *with, const char *without)
{
	char line[TREE_LINE];
	unsigned long long caps;

	tree_value(line, root, STATUS_FILE, "CapEff:");
	caps = strtoull(line, NULL, 16);
	if (caps >> cap & 1)
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
