// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup.h"
#include "must.h"

#define MOUNT_POINT "/sys/fs/cgroup"
#define FLUSH_SIZE ((size_t)4 << 20)

static bool find_mount(char *root, size_t size)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	bool found = false;

	MUST(f);
	while (!found && (m = getmntent(f))) {
		found = !strcmp(m->mnt_type, "cgroup2");
		if (found)
			snprintf(root, size, "%s", m->mnt_dir);
	}
	endmntent(f);
	return found;
}

static int write_text(const char *dir, const char *name, const char *text)
{
	char path[PATH_MAX];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

/* "0::/PATH" */
static void find_own(const char *root, char *path, size_t size)
{
	FILE *f = fopen("/proc/self/cgroup", "re");
	char line[128];

	MUST(f);
	snprintf(path, size, "%s", root);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "0::", 3))
			snprintf(path, size, "%s%s", root, line + 3);
	}
	fclose(f);
}

void cgroup_enter(struct cgroup *g)
{
	char root[100];

	if (!find_mount(root, sizeof(root))) {
		snprintf(root, sizeof(root), MOUNT_POINT);
		if (mount("none", root, "cgroup2", 0, NULL))
			err(EXIT_CANNOT, "cannot mount cgroup2 at %s", root);
	}
	find_own(root, g->before, sizeof(g->before));
	if (write_text(root, "cgroup.subtree_control", "+memory"))
		err(EXIT_CANNOT, "no memory controller in %s", root);
	snprintf(g->path, sizeof(g->path), "%s/md_reg.%d", root, (int)getpid());
	if (mkdir(g->path, 0755) || write_text(g->path, "cgroup.procs", "0"))
		err(EXIT_CANNOT, "cannot make a group in %s", root);
}

void cgroup_leave(struct cgroup *g)
{
	if (write_text(g->before, "cgroup.procs", "0") || rmdir(g->path))
		warn("%s stays", g->path);
}

/*
 * The kernel adds up what its CPUs have counted every two seconds, or once there is
 * enough of it (mem_cgroup_flush_stats()): 64 pages for each CPU. So move some.
 */
static void flush(void)
{
	size_t length = FLUSH_SIZE * (size_t)sysconf(_SC_NPROCESSORS_ONLN);
	char *p = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED && !madvise(p, length, MADV_NOHUGEPAGE));
	memset(p, 1, length);
	munmap(p, length);
}

size_t cgroup_stat(const struct cgroup *g, const char *name)
{
	char path[PATH_MAX], key[64];
	size_t value, found = 0;
	bool known = false;
	FILE *f;

	flush();
	snprintf(path, sizeof(path), "%s/memory.stat", g->path);
	f = fopen(path, "re");
	if (!f)
		err(EXIT_CANNOT, "cannot read %s", path);
	while (fscanf(f, "%63s %zu", key, &value) == 2) {
		if (strcmp(key, name) != 0)
			continue;
		found = value;
		known = true;
	}
	fclose(f);
	if (!known)
		errx(EXIT_CANNOT, "this kernel does not count \"%s\" in %s", name, path);
	return found;
}
