// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* md_doctor on a machine that has everything, and with one thing taken away. */
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "dax_mode.h"
#include "holder.h"
#include "knob.h"
#include "scratch.h"
#include "suite.h"

#define NOBODY 65534

struct run {
	const char *path; /* its argument, or NULL */
	uid_t uid;
	int out;
};

static char page[16384]; /* what it printed last */

/* By descriptors: the path to the build may be its owner's alone. */
static void run_program(void *arg)
{
	const struct run *run = arg;
	const char *const argv[] = { MD_DOCTOR, run->path, NULL };
	char libraries[64];
	int program, dir;

	dup2(run->out, STDOUT_FILENO);
	suite_close_files();
	program = open(MD_DOCTOR, O_PATH | O_CLOEXEC);
	dir = open(MD_LIBRARY_DIR, O_PATH);
	CHECK(program >= 0 && dir >= 0);
	snprintf(libraries, sizeof(libraries), "LD_LIBRARY_PATH=/proc/self/fd/%d", dir);
	CHECK(!putenv(libraries));
	if (run->uid)
		CHECK(!setgid(run->uid) && !setuid(run->uid));
	fexecve(program, (char *const *)argv, environ);
	CHECK(false);
}

/* Runs it; its output, which fits into a pipe, is in page. Returns its exit status. */
static int doctor_as(uid_t uid, const char *path)
{
	struct run run = { .path = path, .uid = uid };
	int ends[2], status;
	ssize_t n;

	CHECK(!pipe2(ends, O_CLOEXEC));
	run.out = ends[1];
	CHECK(child_wait(child_start_with_files(run_program, &run), SUITE_WAIT_MS, &status));
	n = read(ends[0], page, sizeof(page) - 1);
	CHECK(n > 0);
	page[n] = '\0';
	close(ends[0]);
	close(ends[1]);
	CHECK(WIFEXITED(status));
	fprintf(stderr, "%s", page);
	return WEXITSTATUS(status);
}

static int doctor(const char *path)
{
	return doctor_as(0, path);
}

/* Is there a line that begins with "STATUS CHECK SUBJECT: FOUND"? */
static bool says(const char *status, const char *beginning)
{
	char line[256] = "\n";

	snprintf(line, sizeof(line), "\n%-8s %s", status, beginning);
	return strstr(page, line) || !strncmp(page, line + 1, strlen(line + 1));
}

static bool says_path(const char *status, const char *path, const char *words)
{
	char line[256];

	snprintf(line, sizeof(line), "path %s: %s", path, words);
	return says(status, line);
}

/* Does the last line say so? */
static bool sums_up(const char *words)
{
	const char *last = page;

	for (const char *p = page; (p = strchr(p, '\n')) && p[1];)
		last = ++p;
	return !strncmp(last, words, strlen(words));
}

/* Proves: nothing is missing in a prepared machine, with and without a path. */
static void doctor__prepared_machine__ready(const void *unused)
{
	(void)unused;
	CHECK_EQ(doctor(NULL), 0);
	CHECK(sums_up("ready: "));
	CHECK(says("ok", "kernel: "));
	CHECK(says("ok", "device /dev/mapdirect: interface 1"));
	CHECK(says("ok", "pmem namespace"));
	CHECK(says("ok", "RDMA device "));
	CHECK(says("ok", "/dev/infiniband uverbs*: "));
	CHECK_EQ(doctor(suite_fs[0]), 0);
	CHECK(sums_up("ready: "));
	CHECK(says_path("ok", suite_fs[0], "XFS: files made in it can be leased"));
}

/* Proves: a file is judged by what it is now, and not changed. */
static void doctor__file__by_what_md_query_says(const void *unused)
{
	struct stat before, after;
	struct holder file;

	(void)unused;
	holder_file(&file, suite_fs[0], "file", 64 * KIB);
	CHECK_EQ(doctor(file.path), 0);
	CHECK(says_path("ok", file.path, "XFS: the kernel module would lease"));
	CHECK(!ftruncate(file.fd, 128 * KIB) && !fstat(file.fd, &before));
	CHECK_EQ(doctor(file.path), 0);
	CHECK(says_path("warn", file.path, "XFS: bytes 65536 to 131071 "));
	CHECK(!fstat(file.fd, &after));
	CHECK_EQ(after.st_blocks, before.st_blocks);
	CHECK_EQ(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
	CHECK_EQ(after.st_ctim.tv_nsec, before.st_ctim.tv_nsec);
	CHECK(!ftruncate(file.fd, 0));
	CHECK_EQ(doctor(file.path), 0);
	CHECK(says_path("warn", file.path, "XFS: the file ends at 0"));
}

/* Proves: without leases in the kernel there is one thing missing, or two with a path. */
static void doctor__leases_off__missing(const void *unused)
{
	(void)unused;
	knob_set(KNOB_LEASES_ENABLE, 0);
	CHECK_EQ(doctor(NULL), 1);
	CHECK(says("missing", "leases: switched off\n         -> as root: sysctl"));
	CHECK(sums_up("not ready: 1 thing is missing"));
	CHECK_EQ(doctor(suite_fs[0]), 1);
	CHECK(says_path("missing", suite_fs[0], "XFS: leases are switched off"));
	CHECK(sums_up("not ready: 2 things are missing"));
}

/* Proves: a directory on tmpfs is no place for leased files. */
static void doctor__directory_on_tmpfs__missing(const void *unused)
{
	(void)unused;
	CHECK_EQ(doctor("/dev/shm"), 1);
	CHECK(says_path("missing", "/dev/shm", "tmpfs: "));
	CHECK(sums_up("not ready: 1 thing is missing"));
}

/* Proves: who may not open the device is told so, though there is one. */
static void doctor__user_without_rights__missing(const void *unused)
{
	(void)unused;
	CHECK_EQ(doctor_as(NOBODY, NULL), 1);
	CHECK(says("missing",
		   "device /dev/mapdirect: for root only\n         -> as root: groupadd"));
	CHECK(says("note", "user: uid 65534"));
	CHECK(says("note", "CAP_LEASE: not there"));
	CHECK(says("ok", "module: ") || says("note", "module: "));
}

/* Proves: ext4 is not taken for a file system that can be leased on. */
static void doctor__ext4__missing(const void *unused)
{
	char line[256];

	(void)unused;
	scratch_make("ext4 -q -F", "ext4", "dax=always");
	CHECK_EQ(doctor(suite_fs[1]), 1);
	scratch_restore();
	CHECK(says_path("missing", suite_fs[1], "ext4: "));
	snprintf(line, sizeof(line), "mount %s: ext4, dax=always: ", suite_fs[1]);
	CHECK(says("note", line));
}

static void mark_dax(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_CLOEXEC);
	struct fsxattr attr;

	CHECK(fd >= 0 && !ioctl(fd, FS_IOC_FSGETXATTR, &attr));
	attr.fsx_xflags |= FS_XFLAG_DAX;
	CHECK(!ioctl(fd, FS_IOC_FSSETXATTR, &attr));
	close(fd);
}

/* Proves: with dax=inode it depends on the mark of the directory. */
static void doctor__xfs_by_inode__by_its_mark(const void *unused)
{
	char line[256];

	(void)unused;
	scratch_make("xfs -q -f -d su=2m,sw=1", "xfs", "dax=inode");
	CHECK_EQ(doctor(suite_fs[1]), 1);
	CHECK(says_path("missing", suite_fs[1], "XFS: "));
	snprintf(line, sizeof(line), "mount %s: XFS, dax=inode: only", suite_fs[1]);
	CHECK(says("warn", line));
	mark_dax(suite_fs[1]);
	CHECK_EQ(doctor(suite_fs[1]), 0);
	CHECK(says_path("ok", suite_fs[1], "XFS: files made in it can be leased"));
	snprintf(line, sizeof(line), "mount %s: XFS, dax=inode, and marked", suite_fs[1]);
	CHECK(says("ok", line));
	scratch_restore();
}

/*
 * Proves: a device-dax is judged by what it can be mapped as, the whole of it, and
 * needs no leases.
 */
static void doctor__device_dax__ready(const void *unused)
{
	const char *path = dax_mode_enter();
	int status;

	(void)unused;
	knob_set(KNOB_LEASES_ENABLE, 0);
	status = doctor(path);
	dax_mode_leave();
	CHECK_EQ(status, 0);
	CHECK(says("note", "leases: switched off"));
	CHECK(says_path("ok", path, "a device-dax without a file system"));
	CHECK(says("note", "device-dax dax"));
}

static const struct suite_case cases[] = {
	SUITE_CASE(doctor__prepared_machine__ready),
	SUITE_CASE(doctor__file__by_what_md_query_says),
	SUITE_CASE(doctor__leases_off__missing),
	SUITE_CASE(doctor__directory_on_tmpfs__missing),
	SUITE_CASE(doctor__user_without_rights__missing),
	SUITE_CASE(doctor__ext4__missing),
	SUITE_CASE(doctor__xfs_by_inode__by_its_mark),
	SUITE_CASE(doctor__device_dax__ready),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
