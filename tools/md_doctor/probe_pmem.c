// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <string.h>

#include "probe.h"
#include "tree.h"

#define MIB (1LL << 20)

/* Names are those of ndctl, for what the kernel calls them in sysfs. */
static const struct {
	const char *sysfs;
	const char *name;
	enum status status;
} modes[] = {
	{ "memory", "fsdax", STATUS_OK },
	{ "dax", "devdax", STATUS_NOTE },
	{ "raw", "raw", STATUS_WARN },
	{ "safe", "sector", STATUS_WARN },
};

/* Relative to the directory of the namespace itself, not to the root. */
static void check_namespace(struct report *r, const char *dir)
{
	long long size = tree_number(dir, "/size");
	const char *name = tree_base(dir), *mode;
	enum status status = STATUS_WARN;
	char line[TREE_LINE];

	/* One that nobody has created yet, of which the kernel keeps a spare. */
	if (size <= 0 || !tree_line(line, dir, "/mode"))
		return;
	mode = line;
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		if (strcmp(line, modes[i].sysfs))
			continue;
		mode = modes[i].name;
		status = modes[i].status;
	}
	report_add(r, status, "pmem", name, "%lld MiB in mode %s", size / MIB, mode);
	if (status == STATUS_WARN)
		report_remedy(
			r,
			"if nothing on it is needed, as root: apt install ndctl; ndctl create-namespace -f -e %s -m fsdax",
			name);
}

static void check_devdax(struct report *r, const char *dir)
{
	long long size = tree_number(dir, "/size");

	if (size > 0)
		report_add(
			r, STATUS_NOTE, "device-dax", tree_base(dir),
			"%lld MiB without a file system: usable without the module (MD_PROVIDER_DEVDAX)",
			size / MIB);
}

void probe_pmem(struct report *r, const char *root, bool needed)
{
	glob_t found;

	tree_glob(&found, root, "/sys/bus/nd/devices/namespace*");
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_namespace(r, found.gl_pathv[i]);
	globfree(&found);
	tree_glob(&found, root, "/sys/bus/dax/devices/dax*");
	for (size_t i = 0; i < found.gl_pathc; i++)
		check_devdax(r, found.gl_pathv[i]);
	globfree(&found);
	if (report_has(r, "pmem", STATUS_OK))
		return;
	report_add(r, needed ? STATUS_MISSING : STATUS_NOTE, "pmem", NULL,
		   "no persistent memory in mode fsdax");
	report_remedy(
		r,
		"as root: apt install ndctl; ndctl create-namespace -m fsdax; without such memory, boot with memmap=SIZE!START");
}
