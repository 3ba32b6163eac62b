// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "clock.h"
#include "must.h"
#include "plain.h"
#include "reg.h"

static char *map(const struct plain *p, size_t size)
{
	char *addr = mmap(NULL, reg_map_length(size), PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);

	if (addr == MAP_FAILED)
		err(1, "cannot map %zu bytes of %s", size, p->name);
	return addr;
}

/* The largest size that fits, written; says what does not. */
static void fill(struct plain *p, const struct options *opt)
{
	size_t largest = 0;
	char text[32], *addr;

	for (size_t i = 0; i < opt->n_sizes; i++) {
		size_t size = opt->sizes[i];

		if (reg_map_length(size) > p->room)
			fprintf(stderr, "%s: no room for %s: left out\n", p->name,
				size_text(size, text));
		else if (size > largest)
			largest = size;
	}
	if (!largest)
		return;
	if (p->cold == TMPFS_COLD)
		MUST(!ftruncate(p->fd, (off_t)reg_map_length(largest)));
	addr = map(p, largest);
	memset(addr, 0, largest);
	munmap(addr, reg_map_length(largest));
}

static size_t device_size(int fd, const char *path)
{
	char name[64];
	struct stat st;
	size_t size;
	FILE *f;

	MUST(!fstat(fd, &st));
	snprintf(name, sizeof(name), "/sys/dev/char/%u:%u/size", major(st.st_rdev),
		 minor(st.st_rdev));
	f = S_ISCHR(st.st_mode) ? fopen(name, "re") : NULL;
	if (!f || fscanf(f, "%zu", &size) != 1)
		errx(1, "%s is not a device-dax", path);
	fclose(f);
	return size;
}

void plain_open_devdax(struct plain *p, const struct options *opt)
{
	int fd = open(opt->devdax, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(errno == ENOENT ? EXIT_CANNOT : 1, "cannot open %s", opt->devdax);
	*p = (struct plain){ "devdax", fd, device_size(fd, opt->devdax), DEVDAX_COLD };
	fill(p, opt);
}

void plain_open_tmpfs(struct plain *p, const struct options *opt)
{
	struct sysinfo info;
	int fd = memfd_create("md_reg", MFD_CLOEXEC);

	MUST(fd >= 0 && !sysinfo(&info));
	/* Memory is not only for us. */
	*p = (struct plain){ "tmpfs", fd, (size_t)info.freeram * info.mem_unit / 4 * 3,
			     TMPFS_COLD };
	fill(p, opt);
}

static void measure_once(struct plain *p, struct ibv_pd *pd, struct table *t, size_t size)
{
	char *addr = map(p, size);
	struct ibv_mr *mr;
	uint64_t begin;

	begin = clock_ns();
	mr = ibv_reg_mr(pd, addr, size, REG_ACCESS);
	table_add(t, p->cold, clock_ns() - begin);
	MUST(mr);
	ERRNO_MUST(ibv_dereg_mr(mr));
	for (unsigned int i = 0; i < reg_pairs(size); i++) {
		begin = clock_ns();
		mr = ibv_reg_mr(pd, addr, size, REG_ACCESS);
		table_add(t, p->cold + 1, clock_ns() - begin);
		MUST(mr);
		begin = clock_ns();
		ERRNO_MUST(ibv_dereg_mr(mr));
		table_add(t, p->cold + 2, clock_ns() - begin);
	}
	munmap(addr, reg_map_length(size));
}

void plain_measure(struct plain *p, struct ibv_pd *pd, struct table *t, size_t size)
{
	if (reg_map_length(size) > p->room)
		return;
	for (unsigned int i = 0; i < reg_repeats(size); i++)
		measure_once(p, pd, t, size);
}

void plain_close(struct plain *p)
{
	close(p->fd);
}
