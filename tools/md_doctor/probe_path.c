// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "probe.h"
#include "tree.h"

#define CHECK "path"
#define DEVICE "/dev/mapdirect"
#define SEE_DEVICE "see the findings about module and device"

static void name_type(int fd, char *name, size_t size)
{
	static const struct {
		unsigned long magic;
		const char *name;
	} types[] = {
		{ XFS_SUPER_MAGIC, "XFS" },
		{ EXT4_SUPER_MAGIC, "ext4" },
		{ TMPFS_MAGIC, "tmpfs" },
		{ BTRFS_SUPER_MAGIC, "btrfs" },
		{ OVERLAYFS_SUPER_MAGIC, "overlay" },
		{ NFS_SUPER_MAGIC, "NFS" },
		{ V9FS_MAGIC, "9p" },
		{ FUSE_SUPER_MAGIC, "FUSE" },
	};
	struct statfs fs;

	if (fstatfs(fd, &fs)) {
		snprintf(name, size, "unknown file system");
		return;
	}
	snprintf(name, size, "file system 0x%lx", (unsigned long)fs.f_type);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].magic == (unsigned long)fs.f_type)
			snprintf(name, size, "%s", types[i].name);
}

/* What to do, where the sentence of md_query() does not say it already. */
static void remedy(struct report *r, const struct md_query_result *result, const char *type)
{
	switch (result->error) {
	case ENXIO:
		report_remedy(r, "make it longer: ftruncate(2)");
		break;
	case ENODATA:
		report_remedy(r, "write it, or have md_map() fill it: MD_MAP_ALLOCATE");
		break;
	case EPERM:
		report_remedy(r, "run as the file's owner, or with CAP_LEASE");
		break;
	case ENOLCK:
		report_remedy(r, "as root: sysctl fs.leases-enable=1");
		break;
	case ENOENT:
	case EACCES:
		report_remedy(r, SEE_DEVICE);
		break;
	case EOPNOTSUPP:
		/* Not the file system, so it is a module that the library does not know. */
		if (!strcmp(type, "XFS")) {
			report_remedy(r, SEE_DEVICE);
			break;
		}
		/* fall through */
	default:
		report_remedy(r, "use a file on an XFS that is mounted with dax=always");
	}
}

/* Of files only the module's leases count: what others promise keeps no block in place. */
static void judge(struct report *r, const char *path, int fd, const struct md_query_result *result,
		  bool unnamed)
{
	bool by_module = result->provider == MD_PROVIDER_KMOD;
	char type[32];

	name_type(fd, type, sizeof(type));
	if (by_module && unnamed && (!result->error || result->error == ENODATA)) {
		report_add(r, STATUS_OK, CHECK, path, "%s: files made in it can be leased", type);
	} else if (by_module && !result->error) {
		report_add(r, STATUS_OK, CHECK, path, "%s: %s", type, result->reason);
	} else {
		bool later = by_module && (result->error == ENXIO || result->error == ENODATA);

		report_add(r, later ? STATUS_WARN : STATUS_MISSING, CHECK, path, "%s: %s", type,
			   result->reason);
		remedy(r, result, type);
	}
}

static void judge_device(struct report *r, const char *path, const struct md_query_result *result)
{
	bool fits = result->provider == MD_PROVIDER_DEVDAX && !result->error;

	report_add(r, fits ? STATUS_OK : STATUS_MISSING, CHECK, path, "%s", result->reason);
	if (!fits)
		report_remedy(
			r,
			"use a device-dax of persistent memory, or a file on an XFS that is mounted with dax=always");
}

/* That of a device-dax is in sysfs. Where there is none, any question will do. */
static size_t size_of(const char *root, const struct stat *st)
{
	long long size = st->st_size;

	if (S_ISCHR(st->st_mode))
		size = tree_number(root, "/sys/dev/char/%u:%u/size", major(st->st_rdev),
				   minor(st->st_rdev));
	return size > 0 ? (size_t)size : 1;
}

static void ask(struct report *r, const char *root, const char *path, int fd, bool unnamed)
{
	struct md_query_result result = { .size = sizeof(result) };
	struct md_context_attr attr = { .size = sizeof(attr), .flags = MD_OPEN_NO_THREAD };
	char device[PATH_MAX];
	struct md_context *ctx;
	struct stat st;

	attr.device = tree_path(device, root, DEVICE) ? device : NULL;
	ctx = md_open(&attr);
	if (!ctx || fstat(fd, &st) || md_query(ctx, fd, 0, size_of(root, &st), &result)) {
		report_add(r, STATUS_MISSING, CHECK, path, "%s", md_errmsg());
		report_remedy(r, "see md_query(3) for its error");
	} else if (S_ISCHR(st.st_mode)) {
		judge_device(r, path, &result);
	} else {
		judge(r, path, fd, &result, unnamed);
	}
	md_close(ctx);
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

void probe_path(struct report *r, const char *root, const char *path)
{
	bool unnamed = is_directory(path);
	int fd = unnamed ? open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) :
			   open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);

	/* A file of length 0 has nothing to lease. */
	if (fd >= 0 && (!unnamed || !ftruncate(fd, sysconf(_SC_PAGESIZE)))) {
		ask(r, root, path, fd, unnamed);
	} else if (errno == EWOULDBLOCK) {
		/* To open it has broken that lease. */
		report_add(r, STATUS_MISSING, CHECK, path,
			   "somebody holds a lease of fcntl(2) on it");
		report_remedy(r, "try again when it was given up");
	} else if (unnamed && (errno == EOPNOTSUPP || errno == EISDIR)) {
		report_add(r, STATUS_MISSING, CHECK, path,
			   "its file system has no O_TMPFILE, so it is no XFS");
		report_remedy(r, "use a directory on an XFS that is mounted with dax=always");
	} else {
		report_add(r, STATUS_MISSING, CHECK, path, "cannot %s: %s",
			   unnamed ? "make a file in it" : "be opened for reading and writing",
			   strerror(errno));
		report_remedy(r, "name a file or directory that this user may write to");
	}
	if (fd >= 0)
		close(fd);
}
