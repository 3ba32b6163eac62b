/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* md_log: records of a client, appended by RDMA to a file of a server. */
#include "log.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct options opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(&opt, argc, argv);
	if (opt.verify)
		return run_verify(&opt);
	return opt.server ? run_server(&opt) : run_client(&opt);
}
