/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * demo_refuse FILE: what the kernel says to ibv_reg_mr(3) on a mapping of a file
 * on a DAX file system, and to md_reg_mr(3) on the same file. Exit code 0 if it
 * refuses the one and takes the other.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#define ACCESS (IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE)

static struct ibv_pd *first_pd(void)
{
	struct ibv_device **devices = ibv_get_device_list(NULL);
	struct ibv_context *verbs;

	if (!devices || !devices[0])
		errx(2, "there is no RDMA device");
	verbs = ibv_open_device(devices[0]);
	if (!verbs)
		err(2, "%s", ibv_get_device_name(devices[0]));
	ibv_free_device_list(devices);
	return ibv_alloc_pd(verbs);
}

/* The errno, 0 if it was accepted. */
static int plain(struct ibv_pd *pd, int fd, size_t length)
{
	void *addr =
		mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
	struct ibv_mr *mr;
	int error = 0;

	if (addr == MAP_FAILED)
		err(2, "mmap");
	mr = ibv_reg_mr(pd, addr, length, ACCESS);
	if (mr)
		ibv_dereg_mr(mr);
	else
		error = errno;
	munmap(addr, length);
	return error;
}

static void leased(struct ibv_pd *pd, int fd, size_t length)
{
	const struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };
	struct md_context *ctx = md_open(NULL);
	struct md_map *map = ctx ? md_map(ctx, fd, 0, length, &attr) : NULL;
	struct md_mr *mr = map ? md_reg_mr(pd, map, 0, length, ACCESS) : NULL;

	if (!mr || md_dereg_mr(mr) || md_unmap(map) || md_close(ctx))
		errx(1, "md_reg_mr: %s", md_errmsg());
}

int main(int argc, char **argv)
{
	struct ibv_context *verbs;
	struct ibv_pd *pd;
	struct stat st;
	int error;
	int fd;

	if (argc != 2)
		errx(2, "usage: demo_refuse FILE");
	fd = open(argv[1], O_RDWR);
	if (fd < 0 || fstat(fd, &st))
		err(2, "%s", argv[1]);
	pd = first_pd();
	if (!pd)
		err(2, "ibv_alloc_pd");
	error = plain(pd, fd, st.st_size);
	printf("  ibv_reg_mr: %s\n", error ? strerrorname_np(error) : "accepted");
	leased(pd, fd, st.st_size);
	printf("  md_reg_mr:  accepted\n");
	verbs = pd->context;
	ibv_dealloc_pd(pd);
	ibv_close_device(verbs);
	return error == EOPNOTSUPP ? 0 : 1;
}
