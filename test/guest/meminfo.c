// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "meminfo.h"
#include "suite.h"

/* The sum of those lines of a file of "name: number unit" that are named. */
static long sum_of(const char *path, const char *const *names)
{
	FILE *f = fopen(path, "re");
	char line[128], name[32];
	long sum = 0, value;

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%31s %ld", name, &value) == 2)
			for (const char *const *n = names; *n; n++)
				sum += strcmp(name, *n) ? 0 : value;
	fclose(f);
	CHECK(sum);
	return sum;
}

long meminfo_kernel(void)
{
	static const char *const names[] = { "SUnreclaim:", "PageTables:",  "KernelStack:",
					     "Percpu:",	    "VmallocUsed:", NULL };
	FILE *f = fopen("/proc/sys/vm/drop_caches", "we");

	CHECK(f && fputs("3", f) >= 0 && !fclose(f));
	/* What RCU still holds comes back meanwhile. */
	usleep(1000000);
	return sum_of("/proc/meminfo", names);
}

long meminfo_reclaimable(void)
{
	static const char *const names[] = { "SReclaimable:", NULL };

	return sum_of("/proc/meminfo", names);
}

long meminfo_page_tables(void)
{
	static const char *const names[] = { "VmPTE:", NULL };

	return sum_of("/proc/self/status", names);
}

long meminfo_anonymous(pid_t pid)
{
	static const char *const names[] = { "RssAnon:", NULL };
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return sum_of(path, names);
}

long meminfo_virtual(void)
{
	static const char *const names[] = { "VmSize:", NULL };

	return sum_of("/proc/self/status", names);
}

long meminfo_faults(void)
{
	struct rusage usage;

	CHECK(!getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt;
}
