// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What md_doctor says of persistent memory, mounts and paths. */

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dax_device.h"
#include "fake_tree.h"
#include "probe.h"

static void setup(void)
{
	fake_tree_setup();
	fake_machine();
}

/* ---- persistent memory -------------------------------------------------- */

static void pmem__namespace_in_each_mode__named_as_ndctl_does(void)
{
	fake_file("/sys/bus/nd/devices/namespace1.0/size", "2097152\n");
	fake_file("/sys/bus/nd/devices/namespace1.0/mode", "raw\n");
	fake_file("/sys/bus/nd/devices/namespace2.0/size", "2097152\n");
	fake_file("/sys/bus/nd/devices/namespace2.0/mode", "dax\n");
	fake_file("/sys/bus/nd/devices/namespace3.0/size", "2097152\n");
	fake_file("/sys/bus/nd/devices/namespace3.0/mode", "safe\n");
	fake_file("/sys/bus/nd/devices/namespace4.0/size", "0\n");
	fake_file("/sys/bus/nd/devices/namespace4.0/mode", "raw\n");
	probe_pmem(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "pmem", "namespace0.0", "1022 MiB in mode fsdax"));
	CU_ASSERT(found(STATUS_WARN, "pmem", "namespace1.0", "2 MiB in mode raw"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("pmem"), "-e namespace1.0 -m fsdax"));
	CU_ASSERT(found(STATUS_NOTE, "pmem", "namespace2.0", "devdax"));
	CU_ASSERT(found(STATUS_WARN, "pmem", "namespace3.0", "sector"));
	CU_ASSERT_EQUAL(report.count, 4);
}

static void pmem__none_in_fsdax_mode__missing_if_needed(void)
{
	fake_file("/sys/bus/nd/devices/namespace0.0/mode", "raw\n");
	probe_pmem(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "pmem", NULL, "no persistent memory"));
	forget();
	fake_remove("/sys/bus/nd");
	probe_pmem(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "pmem", NULL, "no persistent memory"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("pmem"), "ndctl"));
	forget();
	probe_pmem(&report, fake_root, false);
	CU_ASSERT(found(STATUS_NOTE, "pmem", NULL, "no persistent memory"));
}

static void pmem__device_dax__note(void)
{
	fake_file("/sys/bus/dax/devices/dax1.0/size", "4194304\n");
	probe_pmem(&report, fake_root, true);
	CU_ASSERT(found(STATUS_NOTE, "device-dax", "dax1.0", "4 MiB without a file system"));
}

/* ---- mounts ------------------------------------------------------------- */

static bool mounted(const char *type_and_options, enum status status, const char *words)
{
	char text[256];

	forget();
	snprintf(text, sizeof(text), "39 22 259:0 / /mnt/a\\040b\\134 rw - %s\n", type_and_options);
	fake_file("/proc/self/mountinfo", text);
	probe_mount(&report, fake_root, true);
	return found(status, "mount", "/mnt/a b\\", words);
}

static void mount__xfs__by_its_dax_option(void)
{
	probe_mount(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "mount", "/mnt/pmem", "dax=always"));
	CU_ASSERT_EQUAL(report.count, 1);
	CU_ASSERT(mounted("xfs /dev/pmem0 rw,dax=always", STATUS_OK, "dax=always"));
	CU_ASSERT_EQUAL(report_missing(&report), 0);
	CU_ASSERT(mounted("xfs /dev/pmem0 rw,dax=never,x", STATUS_WARN, "dax=never"));
	CU_ASSERT(found(STATUS_MISSING, "mount", NULL, "no XFS in DAX mode"));
	CU_ASSERT(mounted("xfs /dev/pmem0 rw,nodax=always", STATUS_WARN, "dax=inode"));
	CU_ASSERT(found(STATUS_MISSING, "mount", NULL, "no XFS in DAX mode"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("mount"), "dax=always"));
}

static void mount__xfs_read_only__warn(void)
{
	CU_ASSERT(mounted("xfs /dev/pmem0 ro,dax=always", STATUS_WARN, "read-only"));
	CU_ASSERT(found(STATUS_MISSING, "mount", NULL, "no XFS in DAX mode"));
	CU_ASSERT_STRING_EQUAL(remedy_of("mount"), "as root: mount -o remount,rw /mnt/a b\\");
	forget();
	/* Only this mount of it is. */
	fake_file("/proc/self/mountinfo",
		  "39 22 259:0 / /mnt ro,relatime - xfs /dev/pmem0 rw,dax=always\n");
	probe_mount(&report, fake_root, true);
	CU_ASSERT(found(STATUS_WARN, "mount", "/mnt", "read-only"));
}

static void mount__ext4__note_and_none_to_lease_on(void)
{
	CU_ASSERT(mounted("ext4 /dev/pmem0 rw,dax=always", STATUS_NOTE, "ext4, dax=always: does"));
	CU_ASSERT(found(STATUS_MISSING, "mount", NULL, "no XFS"));
	CU_ASSERT(mounted("ext4 /dev/pmem0 rw", STATUS_NOTE, "ext4: does"));
}

static void mount__device_without_dax__left_out(void)
{
	fake_file("/sys/dev/block/259:0/queue/dax", "0\n");
	probe_mount(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "mount", NULL, "no XFS"));
	CU_ASSERT_EQUAL(report.count, 1);
	forget();
	probe_mount(&report, fake_root, false);
	CU_ASSERT(found(STATUS_NOTE, "mount", NULL, "no XFS"));
}

static void mount__partition__queue_of_its_disk(void)
{
	char link[PATH_MAX];

	fake_remove("/sys/dev/block/259:0");
	fake_file("/sys/devices/pmem0/queue/dax", "1\n");
	fake_dir("/sys/devices/pmem0/pmem0p1");
	snprintf(link, sizeof(link), "%s/sys/dev/block/259:0", fake_root);
	CU_ASSERT_EQUAL(symlink("../../devices/pmem0/pmem0p1", link), 0);
	probe_mount(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "mount", "/mnt/pmem", "dax=always"));
}

static void mount__lines_that_are_cut_off__left_out(void)
{
	fake_file("/proc/self/mountinfo",
		  "\n39\n39 22 259:0 / /mnt rw\n39 22 259:0 / /mnt rw - xfs\n - xfs a b\n");
	probe_mount(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "mount", NULL, "no XFS"));
	CU_ASSERT_EQUAL(report.count, 1);
}

/* ---- paths -------------------------------------------------------------- */

static void path__no_module__missing_for_a_file_and_a_directory(void)
{
	char file[PATH_MAX];

	fake_remove("/dev/mapdirect");
	snprintf(file, sizeof(file), "%s/etc/group", fake_root);
	probe_path(&report, fake_root, file);
	CU_ASSERT(found(STATUS_MISSING, "path", file, "there is no "));
	CU_ASSERT_STRING_NOT_EQUAL(remedy_of("path"), "");
	forget();
	probe_path(&report, fake_root, fake_root);
	CU_ASSERT(found(STATUS_MISSING, "path", fake_root, "there is no "));
}

static void path__directory__nothing_is_left_in_it(void)
{
	char dir[PATH_MAX];

	fake_dir("/empty");
	snprintf(dir, sizeof(dir), "%s/empty", fake_root);
	probe_path(&report, fake_root, dir);
	CU_ASSERT_EQUAL(report.count, 1);
	CU_ASSERT_EQUAL(rmdir(dir), 0);
}

static void path__file__not_changed(void)
{
	struct stat before, after;
	char file[PATH_MAX];

	snprintf(file, sizeof(file), "%s/dev/mapdirect", fake_root);
	CU_ASSERT_EQUAL(stat(file, &before), 0);
	probe_path(&report, fake_root, file);
	CU_ASSERT_EQUAL(stat(file, &after), 0);
	CU_ASSERT_EQUAL(after.st_size, 0);
	CU_ASSERT_EQUAL(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	CU_ASSERT_EQUAL(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
}

static void path__cannot_be_opened__missing(void)
{
	probe_path(&report, fake_root, "/nowhere/to/be/found");
	CU_ASSERT(found(STATUS_MISSING, "path", "/nowhere/to/be/found", "cannot be opened"));
	forget();
	/* No file can be made there. */
	probe_path(&report, fake_root, "/proc");
	CU_ASSERT(found(STATUS_MISSING, "path", "/proc", "O_TMPFILE"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("path"), "XFS"));
}

static void path__leased_by_fcntl__told_so(void)
{
	char file[PATH_MAX];
	int fd;

	fake_file("/leased", "");
	snprintf(file, sizeof(file), "%s/leased", fake_root);
	fd = open(file, O_RDONLY | O_CLOEXEC);
	signal(SIGIO, SIG_IGN);
	CU_ASSERT_EQUAL(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
	probe_path(&report, fake_root, file);
	CU_ASSERT(found(STATUS_MISSING, "path", file, "lease of fcntl(2)"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("path"), "try again"));
	close(fd);
}

/* /dev/zero is taken for one, by the library as well. */
static void fake_dax(const char *size, const char *kind)
{
	static char sysfs[PATH_MAX];

	fake_file("/sys/region0/uevent", kind);
	fake_file("/sys/region0/dax0.0/size", size);
	fake_file("/sys/region0/dax0.0/align", "2097152\n");
	fake_dir("/sys/bus/dax");
	snprintf(sysfs, sizeof(sysfs), "%s/sys/region0/dax0.0/subsystem", fake_root);
	CU_ASSERT_EQUAL(symlink("../../bus/dax", sysfs), 0);
	fake_file("/sys/dev/char/of", "");
	snprintf(sysfs, sizeof(sysfs), "%s/sys/dev/char/1:5", fake_root);
	CU_ASSERT_EQUAL(symlink("../../region0/dax0.0", sysfs), 0);
	snprintf(sysfs, sizeof(sysfs), "%s/sys", fake_root);
	md__dax_device_sysfs = sysfs;
}

static void path__device_dax__by_its_size_and_memory(void)
{
	fake_dax("16777216\n", "DEVTYPE=nd_pmem\n");
	fake_remove("/dev/mapdirect");
	probe_path(&report, fake_root, "/dev/zero");
	CU_ASSERT(found(STATUS_OK, "path", "/dev/zero", "a device-dax without a file system"));
	CU_ASSERT_STRING_EQUAL(remedy_of("path"), "");
	CU_ASSERT_PTR_NOT_NULL(strstr(report.findings[0].found, "bytes 0 to 16777215 of"));
	forget();
	fake_file("/sys/region0/uevent", "DEVTYPE=nd_volatile\n");
	probe_path(&report, fake_root, "/dev/zero");
	CU_ASSERT(found(STATUS_MISSING, "path", "/dev/zero", "the device's memory is volatile"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("path"), "device-dax of persistent memory"));
	md__dax_device_sysfs = "/sys";
}

static void path__other_device__missing(void)
{
	probe_path(&report, fake_root, "/dev/null");
	CU_ASSERT(found(STATUS_MISSING, "path", "/dev/null", "/dev/null: not a regular file"));
}

static const struct unit_case cases[] = {
	UNIT_CASE(pmem__namespace_in_each_mode__named_as_ndctl_does),
	UNIT_CASE(pmem__none_in_fsdax_mode__missing_if_needed),
	UNIT_CASE(pmem__device_dax__note),
	UNIT_CASE(mount__xfs__by_its_dax_option),
	UNIT_CASE(mount__xfs_read_only__warn),
	UNIT_CASE(mount__ext4__note_and_none_to_lease_on),
	UNIT_CASE(mount__device_without_dax__left_out),
	UNIT_CASE(mount__partition__queue_of_its_disk),
	UNIT_CASE(mount__lines_that_are_cut_off__left_out),
	UNIT_CASE(path__no_module__missing_for_a_file_and_a_directory),
	UNIT_CASE(path__directory__nothing_is_left_in_it),
	UNIT_CASE(path__file__not_changed),
	UNIT_CASE(path__cannot_be_opened__missing),
	UNIT_CASE(path__leased_by_fcntl__told_so),
	UNIT_CASE(path__device_dax__by_its_size_and_memory),
	UNIT_CASE(path__other_device__missing),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("doctor_storage", cases, setup, fake_tree_teardown, argc, argv);
}
