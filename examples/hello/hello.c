/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* hello ADDRESS FILE holds a file; hello ADDRESS writes a line into it, by RDMA. */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "../common/conn.h"

#define MUST(ok) ((ok) ? (void)0 : err(1, "%s", #ok))
#define MD_MUST(ok) ((ok) ? (void)0 : errx(1, "%s", md_errmsg()))
#define PORT "7471"
#define LENGTH 4096

struct target { /* what the holder tells its peer */
	uint64_t addr;
	uint32_t rkey;
};

static void hold(const char *addr, const char *path)
{
	const int access = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE;
	const struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };
	struct rdma_cm_id *listener;
	struct md_context *ctx;
	struct target target;
	struct md_map *map;
	struct md_mr *mr;
	struct stat st;
	struct conn c;
	char done;
	int fd;

	MUST((fd = open(path, O_RDWR | O_CREAT, 0644)) >= 0 && !fstat(fd, &st));
	MUST(st.st_size >= LENGTH || !ftruncate(fd, LENGTH));
	MUST(listener = conn_listen(addr, PORT));
	MD_MUST(ctx = md_open(NULL));
	MD_MUST(map = md_map(ctx, fd, 0, LENGTH, &attr));
	MD_MUST(mr = md_reg_mr(listener->pd, map, 0, LENGTH, access));
	MUST(!conn_accept(&c, listener));
	MD_MUST(!md_map_get(map)); /* the key is good until md_map_put() */
	target = (struct target){ .addr = (uintptr_t)mr->addr, .rkey = mr->rkey };
	MUST(!conn_send(&c, &target, sizeof(target)) && !conn_wait(&c, &done, sizeof(done)));
	MD_MUST(!md_persist(map, 0, LENGTH));
	md_map_put(map);
	MD_MUST(!md_dereg_mr(mr) && !md_unmap(map) && !md_close(ctx));
	conn_close(&c);
	rdma_destroy_ep(listener);
}

static void write_line(const char *addr)
{
	static char text[LENGTH] = "Hello, persistent world\n";
	struct ibv_sge from = { .addr = (uintptr_t)text, .length = LENGTH };
	struct target target;
	struct ibv_mr *mr;
	struct conn c;
	char none;

	for (int tries = 1; conn_connect(&c, addr, PORT); tries++) {
		MUST(errno == ECONNREFUSED && tries < 50); /* not listening yet? */
		usleep(100000);
	}
	MUST(!conn_wait(&c, &target, sizeof(target)));
	MUST(mr = ibv_reg_mr(c.id->pd, text, LENGTH, 0));
	from.lkey = mr->lkey;
	MUST(!conn_post_rdma(&c, IBV_WR_RDMA_WRITE, &from, target.addr, target.rkey));
	MUST(!conn_reap(&c, 1) && !conn_send(&c, "", 1));
	/* The holder hangs up: till then its own message may have to be sent again. */
	MUST(conn_wait(&c, &none, sizeof(none)) && errno == ENOTCONN);
	ibv_dereg_mr(mr);
	conn_close(&c);
}

int main(int argc, char **argv)
{
	if (argc == 3)
		hold(argv[1], argv[2]);
	else if (argc == 2)
		write_line(argv[1]);
	else
		errx(2, "usage: hello ADDRESS FILE, then elsewhere hello ADDRESS");
	return 0;
}
