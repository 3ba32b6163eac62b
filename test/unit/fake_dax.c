// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dax_device.h"
#include "fake_dax.h"
#include "unit.h"

static char sysfs[] = "/tmp/mapdirect-unit-XXXXXX";

void fake_dax_file(const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", sysfs, name);
	f = fopen(path, "w");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	fclose(f);
}

void fake_dax_link(const char *name, const char *target)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", sysfs, name);
	unlink(path);
	CU_ASSERT_EQUAL(symlink(target, path), 0);
}

void fake_dax_setup(void)
{
	static const char *const dirs[] = {
		"dev",
		"dev/char",
		"bus",
		"bus/dax",
		"bus/mem",
		"devices",
		"devices/ndbus0",
		FAKE_DAX_REGION,
		FAKE_DAX_REGION "/dax0.0",
		FAKE_DAX,
	};
	char path[128];

	strcpy(sysfs + strlen(sysfs) - 6, "XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(sysfs));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", sysfs, dirs[i]);
		CU_ASSERT_EQUAL_FATAL(mkdir(path, 0700), 0);
	}
	fake_dax_link("dev/char/1:5", "../../" FAKE_DAX);
	fake_dax_link(FAKE_DAX "/subsystem", "../../../../../bus/dax");
	fake_dax_file(FAKE_DAX "/size", "16777216\n");
	fake_dax_file(FAKE_DAX "/align", "4194304\n");
	fake_dax_file(FAKE_DAX_REGION "/uevent", "DEVTYPE=nd_pmem\nMODALIAS=nd:t2\n");
	md__dax_device_sysfs = sysfs;
}

void fake_dax_teardown(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", sysfs);
	CU_ASSERT_EQUAL(system(command), 0);
	md__dax_device_sysfs = "/sys";
}
