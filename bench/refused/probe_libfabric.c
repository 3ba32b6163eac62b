// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What fi_mr_reg() says, of the provider "verbs". */
#include <err.h>
#include <stdlib.h>
#include <string.h>

#include <rdma/fabric.h>
#include <rdma/fi_domain.h>
#include <rdma/fi_endpoint.h>
#include <rdma/fi_errno.h>

#include "target.h"

static struct fid_domain *open_domain(const char *address)
{
	struct fi_info *hints = fi_allocinfo(), *info;
	struct fid_domain *domain;
	struct fid_fabric *fabric;
	int ret;

	if (!hints)
		errx(1, "no memory");
	hints->fabric_attr->prov_name = strdup("verbs");
	hints->ep_attr->type = FI_EP_MSG;
	hints->caps = FI_RMA;
	hints->mode = ~0ULL;
	hints->domain_attr->mode = ~0ULL;
	hints->domain_attr->mr_mode =
		FI_MR_LOCAL | FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
	ret = fi_getinfo(FI_VERSION(1, 9), address, NULL, FI_SOURCE, hints, &info);
	if (!ret)
		ret = fi_fabric(info->fabric_attr, &fabric, NULL);
	if (!ret)
		ret = fi_domain(fabric, info, &domain, NULL);
	if (ret)
		errx(1, "%s: %s", address, fi_strerror(-ret));
	fi_freeinfo(hints);
	fi_freeinfo(info);
	return domain;
}

int main(int argc, char **argv)
{
	struct fid_domain *domain;
	struct fid_mr *mr;
	struct target t;
	int ret;

	target_open(&t, argc, argv);
	domain = open_domain(t.address);
	ret = fi_mr_reg(domain, t.addr, t.length, FI_REMOTE_WRITE | FI_REMOTE_READ, 0, 0, 0, &mr,
			NULL);
	if (ret)
		target_refused("%s", fi_strerror(-ret));
	fi_close(&mr->fid);
	target_works();
}
