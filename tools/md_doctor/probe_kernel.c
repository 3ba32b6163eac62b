// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <string.h>

#include "probe.h"
#include "tree.h"

/* Kernels that the module builds for, and those that its tests run on. */
#define VERSION(major, minor) ((major)*1000U + (minor))
#define FIRST VERSION(6, 1)
#define FIRST_NOT VERSION(6, 15)
#define RANGE "6.1 to 6.14"
#define REMEDY "boot one of them: Debian 12 has 6.1, Debian 13 has 6.12"

static const unsigned int tested[] = { VERSION(6, 1), VERSION(6, 12) };

static bool is_tested(unsigned int version, const char *arch)
{
	for (size_t i = 0; i < sizeof(tested) / sizeof(tested[0]); i++)
		if (tested[i] == version)
			return !strcmp(arch, "x86_64");
	return false;
}

static void check_version(struct report *r, enum status lack, const char *release, const char *arch)
{
	unsigned int major = 0, minor = 0, version;

	if (sscanf(release, "%u.%u", &major, &minor) != 2) {
		report_add(r, STATUS_WARN, "kernel", NULL, "its version is not known: \"%s\"",
			   release);
		return;
	}
	version = VERSION(major, minor);
	if (version < FIRST || version >= FIRST_NOT) {
		report_add(r, lack, "kernel", NULL, "%s; the module is for Linux %s", release,
			   RANGE);
		report_remedy(r, "%s", REMEDY);
	} else if (!is_tested(version, arch)) {
		report_add(r, STATUS_WARN, "kernel", NULL,
			   "%s on %s; the module should build, but is not tested there", release,
			   arch[0] ? arch : "an unknown architecture");
	} else {
		report_add(r, STATUS_OK, "kernel", NULL, "%s on %s", release, arch);
	}
}

/* ---- configuration ------------------------------------------------------ */

static bool is_set(const char *path, const char *option)
{
	char value[TREE_LINE], key[64];

	snprintf(key, sizeof(key), "%s=", option);
	return tree_value(value, "", path, key) && (value[0] == 'y' || value[0] == 'm');
}

static bool find_config(char path[PATH_MAX], const char *root, const char *release)
{
	static const char *const places[] = {
		"/boot/config-%s",
		"/lib/modules/%s/config",
		"/lib/modules/%s/build/.config",
	};

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char place[TREE_LINE * 2];
		FILE *f;

		snprintf(place, sizeof(place), places[i], release);
		f = tree_open(root, "%s", place);
		if (!f)
			continue;
		fclose(f);
		return tree_path(path, root, "%s", place);
	}
	return false;
}

static void check_config(struct report *r, const char *root, enum status lack, const char *release)
{
	/* The first is by what XFS breaks layout leases at all. */
	static const char *const options[] = { "CONFIG_EXPORTFS_BLOCK_OPS", "CONFIG_FS_DAX",
					       "CONFIG_INFINIBAND_USER_ACCESS" };
	char path[PATH_MAX], lacking[TREE_LINE] = "";

	if (!find_config(path, root, release)) {
		report_add(r, STATUS_NOTE, "kernel configuration", NULL,
			   "not known: no /boot/config-%s, nor one in /lib/modules/%s", release,
			   release);
		return;
	}
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t n = strlen(lacking);

		if (!is_set(path, options[i]))
			snprintf(lacking + n, sizeof(lacking) - n, "%s%s", n ? ", " : "",
				 options[i]);
	}
	if (!lacking[0]) {
		report_add(r, STATUS_OK, "kernel configuration", NULL,
			   "XFS breaks layout leases, DAX, verbs");
		return;
	}
	report_add(r, lack, "kernel configuration", NULL, "without %s", lacking);
	report_remedy(r, "boot a kernel that has it; those of Debian have");
}

void probe_kernel(struct report *r, const char *root, bool needed)
{
	enum status lack = needed ? STATUS_MISSING : STATUS_NOTE;
	char release[TREE_LINE], arch[TREE_LINE];

	tree_line(release, root, "/proc/sys/kernel/osrelease");
	tree_line(arch, root, "/proc/sys/kernel/arch");
	check_version(r, lack, release, arch);
	check_config(r, root, lack, release);
}
