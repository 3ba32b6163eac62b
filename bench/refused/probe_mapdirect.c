// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What md_map() and md_reg_mr() say: they map the file themselves. */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <mapdirect/mapdirect.h>

#include "device.h"
#include "target.h"

int main(int argc, char **argv)
{
	struct md_context *ctx = md_open(NULL);
	struct md_map *map;
	struct md_mr *mr;
	struct target t;

	target_open(&t, argc, argv);
	munmap(t.addr, t.length);
	map = md_map(ctx, t.fd, 0, t.length, NULL);
	mr = map ? md_reg_mr(device_pd(t.device), map, 0, t.length, PROBE_ACCESS) : NULL;
	if (!mr)
		target_refused("%s (%s)", strerrorname_np(errno), md_errmsg());
	md_dereg_mr(mr);
	md_unmap(map);
	md_close(ctx);
	target_works();
}
