// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_doctor: what this machine can do with mapdirect, and what is missing. */

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "probe.h"

#define EXIT_USAGE 2

static const char usage_text[] =
	"usage: md_doctor [--json] [FILE | DIRECTORY]...\n"
	"Says what this machine can do with mapdirect, and what is missing.\n"
	"  FILE, DIRECTORY  say also whether it, or files in it, can be leased; FILE may\n"
	"                   be a device-dax\n"
	"  --json           print one JSON object\n"
	"  --help           print this\n"
	"  --version        print the version\n"
	"Changes nothing, but opens FILE, which breaks leases of fcntl(2) on it. In a\n"
	"directory it makes a file without a name for a moment.\n"
	"Exit status: 0 ready, 1 something is missing, 2 usage.\n";

/* Is one of them something else than a device, or is nothing named? */
static bool for_files(char *const *paths)
{
	bool found = !*paths;
	struct stat st;

	for (; *paths; paths++)
		found |= stat(*paths, &st) || !S_ISCHR(st.st_mode);
	return found;
}

static void examine(struct report *r, char *const *paths)
{
	static const char root[] = "";
	bool named = *paths, leases = for_files(paths);

	probe_kernel(r, root, leases);
	probe_module(r, root, leases);
	probe_pmem(r, root, !named);
	probe_mount(r, root, !named);
	for (; *paths; paths++)
		probe_path(r, root, *paths);
	probe_rdma(r, root);
	probe_rights(r, root);
	probe_limits(r, root, leases);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{},
	};
	struct report report = {};
	bool json = false;
	int c, status;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(usage_text, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("md_doctor " VERSION);
			return EXIT_SUCCESS;
		default:
			fputs(usage_text, stderr);
			return EXIT_USAGE;
		}
	}
	examine(&report, argv + optind);
	if (json)
		report_print_json(&report, VERSION, stdout);
	else
		report_print(&report, stdout);
	status = report_missing(&report) ? EXIT_FAILURE : EXIT_SUCCESS;
	report_free(&report);
	if (fflush(stdout) || ferror(stdout)) {
		perror("md_doctor: cannot print");
		return EXIT_FAILURE;
	}
	return status;
}
