// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What rpma_mr_reg() says. */
#include <err.h>
#include <errno.h>
#include <string.h>

#include <librpma.h>

#include "target.h"

#define USAGE                                                                                      \
	(RPMA_MR_USAGE_WRITE_DST | RPMA_MR_USAGE_READ_SRC | RPMA_MR_USAGE_FLUSH_TYPE_PERSISTENT)

int main(int argc, char **argv)
{
	struct ibv_context *context;
	struct rpma_mr_local *mr;
	struct rpma_peer *peer;
	struct target t;
	int ret;

	target_open(&t, argc, argv);
	ret = rpma_utils_get_ibv_context(t.address, RPMA_UTIL_IBV_CONTEXT_LOCAL, &context);
	if (!ret)
		ret = rpma_peer_new(context, &peer);
	if (ret)
		errx(1, "%s: %s", t.address, rpma_err_2str(ret));
	ret = rpma_mr_reg(peer, t.addr, t.length, USAGE, &mr);
	if (ret == RPMA_E_PROVIDER)
		target_refused("%s: %s", rpma_err_2str(ret), strerror(errno));
	if (ret)
		target_refused("%s", rpma_err_2str(ret));
	rpma_mr_dereg(&mr);
	target_works();
}
