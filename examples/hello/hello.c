/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* hello FILE ADDRESS: a peer process writes a line into a file, by RDMA. */
#include <err.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>
#include <rdma/rdma_verbs.h>

#define MUST(ok) ((ok) ? (void)0 : err(1, "%s", #ok))
#define MD_MUST(ok) ((ok) ? (void)0 : errx(1, "%s", md_errmsg()))
#define LENGTH 4096

static char text[] = "Hello, persistent world\n";

struct target { /* what the holder tells its peer, as the connection's private data */
	uint64_t addr;
	uint32_t rkey;
};

static struct rdma_cm_id *endpoint(const char *addr, int flags)
{
	struct rdma_addrinfo hints = { .ai_flags = flags, .ai_port_space = RDMA_PS_TCP };
	struct ibv_qp_init_attr attr = { .cap = { 1, 1, 1, 1, 0 }, .sq_sig_all = 1 };
	struct rdma_addrinfo *res;
	struct rdma_cm_id *id;

	MUST(!rdma_getaddrinfo(addr, "7471", &hints, &res));
	attr.qp_type = IBV_QPT_RC;
	MUST(!rdma_create_ep(&id, res, NULL, &attr));
	rdma_freeaddrinfo(res);
	return id;
}

static int peer(const char *addr, int listening)
{
	struct rdma_conn_param param = { .retry_count = 6, .rnr_retry_count = 6 };
	struct rdma_cm_id *id;
	struct target target;
	struct ibv_mr *mr;
	struct ibv_wc wc;
	char c;

	if (read(listening, &c, 1) != 1)
		return 1; /* the holder says why */
	id = endpoint(addr, 0);
	MUST(!rdma_connect(id, &param));
	memcpy(&target, id->event->param.conn.private_data, sizeof(target));
	MUST(mr = rdma_reg_msgs(id, text, sizeof(text)));
	MUST(!rdma_post_write(id, NULL, text, sizeof(text), mr, 0, target.addr, target.rkey));
	MUST(rdma_get_send_comp(id, &wc) == 1);
	rdma_dereg_mr(mr);
	rdma_destroy_ep(id);
	return wc.status == IBV_WC_SUCCESS ? 0 : 1;
}

static void hold(int fd, const char *addr, int listening)
{
	const struct md_map_attr attr = { .size = sizeof(attr), .flags = MD_MAP_ALLOCATE };
	struct rdma_cm_id *listener = endpoint(addr, RAI_PASSIVE);
	struct rdma_conn_param param = { 0 };
	struct rdma_cm_id *id;
	struct md_context *ctx;
	struct target target;
	struct md_map *map;
	struct md_mr *mr;
	int status;

	MD_MUST(ctx = md_open(NULL));
	MD_MUST(map = md_map(ctx, fd, 0, LENGTH, &attr));
	MUST(!rdma_listen(listener, 1) && write(listening, "", 1) == 1);
	MUST(!rdma_get_request(listener, &id));
	MD_MUST(mr = md_reg_mr(id->pd, map, 0, LENGTH,
			       IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE));

	MD_MUST(!md_map_get(map)); /* the key is good until md_map_put() */
	target = (struct target){ .addr = (uintptr_t)mr->addr, .rkey = mr->rkey };
	param.private_data = &target;
	param.private_data_len = sizeof(target);
	MUST(!rdma_accept(id, &param));
	MUST(wait(&status) > 0);
	if (status)
		errx(1, "the peer failed");
	MD_MUST(!md_persist(map, 0, sizeof(text)));
	md_map_put(map);

	MD_MUST(!md_dereg_mr(mr));
	MD_MUST(!md_unmap(map));
	MD_MUST(!md_close(ctx));
	rdma_destroy_ep(id);
	rdma_destroy_ep(listener);
}

int main(int argc, char **argv)
{
	char found[sizeof(text)] = "";
	int listening[2];
	int fd;

	if (argc != 3)
		errx(2, "usage: hello FILE ADDRESS");
	MUST(!pipe(listening));
	switch (fork()) { /* before anything is opened: verbs and fork do not mix */
	case -1:
		err(1, "fork");
	case 0:
		close(listening[1]);
		return peer(argv[2], listening[0]);
	}
	MUST((fd = open(argv[1], O_RDWR | O_CREAT | O_TRUNC, 0644)) >= 0);
	MUST(!ftruncate(fd, LENGTH));
	hold(fd, argv[2], listening[1]);
	MUST(pread(fd, found, sizeof(found), 0) == sizeof(found));
	if (memcmp(found, text, sizeof(text)))
		errx(1, "%s does not have what the peer wrote", argv[1]);
	return write(STDOUT_FILENO, found, strlen(found)) < 0;
}
