/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* md_ping: rping(1) with the server's buffer in a file. */
#include "ping.h"

#include <stdio.h>

int main(int argc, char **argv)
{
	struct options opt;

	setvbuf(stdout, NULL, _IOLBF, 0);
	parse_options(&opt, argc, argv);
	return opt.server ? run_server(&opt) : run_client(&opt);
}
