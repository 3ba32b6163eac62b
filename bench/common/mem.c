// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpmem.h>

#include "mem.h"
#include "must.h"

#define HUGE_SIZE ((size_t)2 << 20)

#define BUSY_PAUSE_MS 10
#define BUSY_TRIES 1000

static const struct {
	const char *name;
	bool path;
} kinds[] = {
	[MEM_ANON] = { "anon", false },	   [MEM_TMPFS] = { "tmpfs", false },
	[MEM_DEVDAX] = { "devdax", true }, [MEM_LEASE] = { "lease", true },
	[MEM_BOUNCE] = { "bounce", true }, [MEM_ODP] = { "odp", true },
};

int mem_parse(const char *text, struct mem_spec *spec)
{
	const char *colon = strchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : strlen(text);

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strlen(kinds[i].name) != length || strncmp(kinds[i].name, text, length) ||
		    kinds[i].path != (colon && colon[1]) || (colon && !kinds[i].path))
			continue;
		*spec = (struct mem_spec){ i, colon ? colon + 1 : NULL };
		return 0;
	}
	return -1;
}

const char *mem_kind_str(enum mem_kind kind)
{
	return kinds[kind].name;
}

static char *new_anon(size_t length)
{
	size_t room = (length + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1);
	char *addr = aligned_alloc(HUGE_SIZE, room);

	MUST(addr);
	return addr;
}

int mem_file(const char *path, size_t length)
{
	struct stat st;
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0 || fstat(fd, &st))
		err(1, "cannot open %s", path);
	if (!S_ISREG(st.st_mode))
		errx(1, "%s is not a regular file", path);
	if ((size_t)st.st_size < length && ftruncate(fd, (off_t)length))
		err(1, "cannot make %s %zu bytes long", path, length);
	return fd;
}

static char *map_shared(const char *path, int fd, size_t length, int flags)
{
	char *addr = mmap(NULL, length, PROT_READ | PROT_WRITE, flags, fd, 0);

	if (addr == MAP_FAILED)
		err(1, "cannot map %zu bytes of %s", length, path);
	return addr;
}

/* Whether somebody is just changing the leased file, and one should try again. */
static bool is_busy(int *tries)
{
	if (errno != EAGAIN || ++*tries > BUSY_TRIES)
		return false;
	usleep(BUSY_PAUSE_MS * 1000);
	return true;
}

static void open_lease(struct mem *m, const char *path, struct md_context *ctx)
{
	const struct md_map_attr attr = { .size = sizeof(attr),
					  .flags = MD_MAP_ALLOCATE | MD_MAP_RESTORE };
	int fd = mem_file(path, m->length), tries = 0;

	do
		m->map = md_map(ctx, fd, 0, m->length, &attr);
	while (!m->map && is_busy(&tries));
	if (!m->map)
		errx(1, "%s", md_errmsg());
	close(fd);
	m->addr = md_map_addr(m->map);
}

static void open_tmpfs(struct mem *m)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	MUST(fd >= 0 && !ftruncate(fd, (off_t)m->length));
	m->addr = map_shared("a tmpfs", fd, m->length, MAP_SHARED);
	close(fd);
}

static void open_devdax(struct mem *m, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, "cannot open %s", path);
	/* Whole huge pages only. */
	m->addr = map_shared(path, fd, (m->length + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1), MAP_SHARED);
	close(fd);
}

static char *map_dax_file(const char *path, size_t length)
{
	int fd = mem_file(path, length);
	char *addr = map_shared(path, fd, length, MAP_SHARED_VALIDATE | MAP_SYNC);

	close(fd);
	return addr;
}

void mem_open(struct mem *m, const struct mem_spec *spec, size_t length, struct md_context *ctx)
{
	int tries = 0;

	*m = (struct mem){ .kind = spec->kind, .length = length };
	switch (spec->kind) {
	case MEM_ANON:
		m->addr = new_anon(length);
		break;
	case MEM_TMPFS:
		open_tmpfs(m);
		break;
	case MEM_DEVDAX:
		open_devdax(m, spec->path);
		break;
	case MEM_LEASE:
		open_lease(m, spec->path, ctx);
		break;
	case MEM_BOUNCE:
		m->addr = new_anon(length);
		m->file = map_dax_file(spec->path, length);
		break;
	case MEM_ODP:
		m->addr = map_dax_file(spec->path, length);
		break;
	}
	if (!m->file)
		m->file = m->addr;
	while (m->map && md_map_get(m->map))
		MD_MUST(is_busy(&tries));
	memset(m->file, 0, length);
	if (m->map)
		md_map_put(m->map);
	if (m->file != m->addr)
		memset(m->addr, 0, length);
}

int mem_reg(struct mem *m, struct ibv_pd *pd, int access)
{
	int tries = 0;

	if (m->kind == MEM_LEASE) {
		do
			m->md_mr = md_reg_mr(pd, m->map, 0, m->length, access);
		while (!m->md_mr && is_busy(&tries));
		return m->md_mr ? 0 : -1;
	}
	if (m->kind == MEM_ODP)
		access |= IBV_ACCESS_ON_DEMAND;
	m->ibv_mr = ibv_reg_mr(pd, m->addr, m->length, access);
	return m->ibv_mr ? 0 : -1;
}

int mem_dereg(struct mem *m)
{
	if (m->kind == MEM_LEASE)
		return md_dereg_mr(m->md_mr);
	errno = ibv_dereg_mr(m->ibv_mr);
	return errno ? -1 : 0;
}

const char *mem_error(const struct mem *m)
{
	return m->kind == MEM_LEASE ? md_errmsg() : strerror(errno);
}

uint32_t mem_lkey(const struct mem *m)
{
	return m->md_mr ? m->md_mr->lkey : m->ibv_mr->lkey;
}

uint32_t mem_rkey(const struct mem *m)
{
	return m->md_mr ? m->md_mr->rkey : m->ibv_mr->rkey;
}

int mem_persist(struct mem *m, size_t offset, size_t length)
{
	switch (m->kind) {
	case MEM_LEASE:
		return md_persist(m->map, offset, length);
	case MEM_BOUNCE:
		pmem_memcpy_persist(m->file + offset, m->addr + offset, length);
		break;
	case MEM_DEVDAX:
	case MEM_ODP:
		pmem_persist(m->addr + offset, length);
		break;
	case MEM_ANON:
	case MEM_TMPFS:
		break;
	}
	return 0;
}

void mem_close(struct mem *m)
{
	if (m->file != m->addr)
		munmap(m->file, m->length);
	switch (m->kind) {
	case MEM_ANON:
	case MEM_BOUNCE:
		free(m->addr);
		break;
	case MEM_LEASE:
		MD_MUST(!md_unmap(m->map));
		break;
	case MEM_DEVDAX:
		munmap(m->addr, (m->length + HUGE_SIZE - 1) & ~(HUGE_SIZE - 1));
		break;
	case MEM_TMPFS:
	case MEM_ODP:
		munmap(m->addr, m->length);
		break;
	}
}
