// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <ftw.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fake_tree.h"

char fake_root[64];
struct report report;

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

void fake_tree_setup(void)
{
	strcpy(fake_root, "/tmp/md_doctor.XXXXXX");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(fake_root));
}

void fake_tree_teardown(void)
{
	forget();
	nftw(fake_root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void below_root(char full[PATH_MAX], const char *path)
{
	snprintf(full, PATH_MAX, "%s%s", fake_root, path);
	for (char *p = full + strlen(fake_root) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
}

void fake_file(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	below_root(full, path);
	f = fopen(full, "we");
	CU_ASSERT_PTR_NOT_NULL_FATAL(f);
	fputs(text, f);
	CU_ASSERT_EQUAL(fclose(f), 0);
}

void fake_dir(const char *path)
{
	char full[PATH_MAX];

	below_root(full, path);
	CU_ASSERT_EQUAL(mkdir(full, 0755), 0);
}

void fake_remove(const char *path)
{
	char full[PATH_MAX];

	below_root(full, path);
	CU_ASSERT_EQUAL(nftw(full, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}

void forget(void)
{
	report_free(&report);
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

bool found(enum status status, const char *check, const char *subject, const char *words)
{
	const struct finding *one = NULL;

	for (size_t i = 0; i < report.count; i++) {
		const struct finding *f = &report.findings[i];

		if (strcmp(f->check, check) || !same(f->subject, subject))
			continue;
		if (one)
			return false;
		one = f;
	}
	if (one && one->status == status && strstr(one->found, words))
		return true;
	putchar('\n');
	report_print(&report, stdout);
	return false;
}

const char *remedy_of(const char *check)
{
	for (size_t i = 0; i < report.count; i++) {
		const struct finding *f = &report.findings[i];

		if (!strcmp(f->check, check) && f->remedy)
			return f->remedy;
	}
	return "";
}

void fake_machine(void)
{
	fake_file("/proc/sys/kernel/osrelease", KERNEL "\n");
	fake_file("/proc/sys/kernel/arch", "x86_64\n");
	fake_file("/boot/config-" KERNEL,
		  "CONFIG_FS_DAX=y\n# CONFIG_FS_DAX_LIMITED is not set\n"
		  "CONFIG_INFINIBAND_USER_ACCESS=m\nCONFIG_EXPORTFS_BLOCK_OPS=y\n");
	fake_file("/lib/modules/" KERNEL "/modules.dep",
		  "kernel/fs/xfs/xfs.ko: kernel/lib/libcrc32c.ko\n"
		  "kernel/drivers/infiniband/sw/rxe/rdma_rxe.ko.xz: kernel/net/udp_tunnel.ko.xz\n"
		  "updates/dkms/mapdirect.ko:\n");
	fake_file("/sys/module/mapdirect/parameters/break_cap_ms", "60000\n");
	fake_file("/dev/mapdirect", "");
	fake_file("/sys/bus/nd/devices/namespace0.0/size", "1071644672\n");
	fake_file("/sys/bus/nd/devices/namespace0.0/mode", "memory\n");
	fake_file("/sys/dev/block/259:0/queue/dax", "1\n");
	fake_file("/proc/self/mountinfo",
		  "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda1 rw\n"
		  "39 22 259:0 / /mnt/pmem rw,relatime shared:2 master:3 - xfs /dev/pmem0 "
		  "rw,attr2,dax=always,inode64,noquota\n");
	fake_file("/proc/self/status",
		  "Name:\tmd_doctor\nUid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\n"
		  "CapEff:\t0000000000000000\n");
	fake_file("/etc/group", "root:x:0:\n");
	fake_file(
		"/proc/self/limits",
		"Limit                     Soft Limit           Hard Limit           Units     \n"
		"Max locked memory         1073741824           unlimited            bytes     \n");
	fake_file("/proc/sys/fs/leases-enable", "1\n");
	fake_file("/proc/sys/fs/lease-break-time", "45\n");
}
