// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What ibv_reg_mr() says. */
#include <errno.h>
#include <string.h>

#include "device.h"
#include "target.h"

int main(int argc, char **argv)
{
	struct target t;
	struct ibv_mr *mr;

	target_open(&t, argc, argv);
	mr = ibv_reg_mr(device_pd(t.device), t.addr, t.length, PROBE_ACCESS);
	if (!mr)
		target_refused("%s (%s)", strerrorname_np(errno), strerror(errno));
	ibv_dereg_mr(mr);
	target_works();
}
