// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "probe.h"
#include "tree.h"

#define CHECK "mount"

/* A line of /proc/self/mountinfo, see proc_pid_mountinfo(5). */
struct mount {
	char *device; /* MAJOR:MINOR */
	char *where;
	char *flags; /* of this mount */
	char *type;
	char *options; /* of the file system, in all its mounts */
};

/* Blanks in a path are \040, and so on. */
static void unescape(char *text)
{
	char *to = text;

	for (char *s = text; *s; to++) {
		unsigned int c;

		if (*s == '\\' && strspn(s + 1, "01234567") >= 3 && sscanf(s + 1, "%3o", &c)) {
			*to = (char)c;
			s += 4;
		} else {
			*to = *s++;
		}
	}
	*to = '\0';
}

static bool parse(struct mount *m, char *line)
{
	char *rest = strstr(line, " - "), *save = NULL;

	if (!rest)
		return false;
	*rest = '\0';
	rest += strlen(" - ");
	rest[strcspn(rest, "\n")] = '\0';
	strtok_r(line, " ", &save);
	strtok_r(NULL, " ", &save);
	m->device = strtok_r(NULL, " ", &save);
	strtok_r(NULL, " ", &save);
	m->where = strtok_r(NULL, " ", &save);
	m->flags = strtok_r(NULL, " ", &save);
	m->type = strtok_r(rest, " ", &save);
	strtok_r(NULL, " ", &save);
	m->options = strtok_r(NULL, " ", &save);
	if (!m->device || !m->where || !m->flags || !m->type || !m->options)
		return false;
	unescape(m->where);
	return true;
}

static bool has_option(const char *options, const char *option)
{
	size_t length = strlen(option);

	for (const char *o = options; o; o = strchr(o, ',')) {
		o += *o == ',';
		if (!strncmp(o, option, length) && (o[length] == ',' || !o[length]))
			return true;
	}
	return false;
}

static bool is_always(const struct mount *m)
{
	return has_option(m->options, "dax=always") || has_option(m->options, "dax");
}

/* The queue is that of the whole disk, which for a partition is one up. */
static bool has_dax(const char *root, const char *device)
{
	return tree_number(root, "/sys/dev/block/%s/queue/dax", device) == 1 ||
	       tree_number(root, "/sys/dev/block/%s/../queue/dax", device) == 1;
}

/* Are new files here DAX (chattr +x of the directory)? */
static bool is_marked(const char *root, const char *where)
{
	struct fsxattr attr = {};
	char path[PATH_MAX];
	bool marked;
	int fd;

	if (!tree_path(path, root, "%s", where))
		return false;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	marked = !ioctl(fd, FS_IOC_FSGETXATTR, &attr) && attr.fsx_xflags & FS_XFLAG_DAX;
	close(fd);
	return marked;
}

static void check_xfs(struct report *r, const char *root, const struct mount *m)
{
	if (has_option(m->flags, "ro") || has_option(m->options, "ro")) {
		report_add(r, STATUS_WARN, CHECK, m->where,
			   "XFS, read-only: nothing on it can be leased");
		report_remedy(r, "as root: mount -o remount,rw %s", m->where);
		return;
	}
	if (is_always(m)) {
		report_add(r, STATUS_OK, CHECK, m->where, "XFS, dax=always");
		return;
	}
	if (has_option(m->options, "dax=never")) {
		report_add(r, STATUS_WARN, CHECK, m->where, "XFS, dax=never: no file is DAX");
	} else if (is_marked(root, m->where)) {
		report_add(r, STATUS_OK, CHECK, m->where, "XFS, dax=inode, and marked as DAX");
		return;
	} else {
		report_add(r, STATUS_WARN, CHECK, m->where,
			   "XFS, dax=inode: only files that are marked are DAX");
	}
	report_remedy(r, "as root: umount it, then mount -o dax=always");
}

static void check_mount(struct report *r, const char *root, const struct mount *m)
{
	if (!has_dax(root, m->device))
		return;
	if (!strcmp(m->type, "xfs"))
		check_xfs(r, root, m);
	else
		report_add(r, STATUS_NOTE, CHECK, m->where,
			   "%s%s: does not break layout leases, so nothing on it can be leased",
			   m->type, is_always(m) ? ", dax=always" : "");
}

void probe_mount(struct report *r, const char *root, bool needed)
{
	FILE *f = tree_open(root, "/proc/self/mountinfo");
	char *line = NULL;
	size_t size = 0;
	struct mount m;

	while (f && getline(&line, &size, f) > 0)
		if (parse(&m, line))
			check_mount(r, root, &m);
	free(line);
	if (f)
		fclose(f);
	if (report_has(r, CHECK, STATUS_OK))
		return;
	report_add(r, needed ? STATUS_MISSING : STATUS_NOTE, CHECK, NULL,
		   "no XFS in DAX mode is mounted");
	report_remedy(
		r,
		"as root, on a new file system: mkfs.xfs /dev/pmem0; mount -o dax=always /dev/pmem0 DIR");
}
