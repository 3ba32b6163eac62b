// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What ucp_mem_map() says, where UCX has no other transport than the RDMA device (else
 * shared memory or TCP would serve it), and whether there is a key of it.
 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>

#include <ucp/api/ucp.h>

#include "target.h"

static ucp_context_h open_context(const char *device)
{
	const ucp_params_t params = {
		.field_mask = UCP_PARAM_FIELD_FEATURES,
		.features = UCP_FEATURE_RMA,
	};
	ucp_config_t *config;
	ucp_context_h context;
	ucs_status_t status;
	char port[128];

	snprintf(port, sizeof(port), "%s:1", device);
	status = ucp_config_read(NULL, NULL, &config);
	if (!status)
		status = ucp_config_modify(config, "TLS", "rc");
	if (!status)
		status = ucp_config_modify(config, "NET_DEVICES", port);
	if (!status)
		status = ucp_init(&params, config, &context);
	if (status)
		errx(1, "%s: %s", port, ucs_status_string(status));
	ucp_config_release(config);
	return context;
}

int main(int argc, char **argv)
{
	ucp_mem_map_params_t params = {
		.field_mask = UCP_MEM_MAP_PARAM_FIELD_ADDRESS | UCP_MEM_MAP_PARAM_FIELD_LENGTH,
	};
	ucp_context_h context;
	ucs_status_t status;
	struct target t;
	ucp_mem_h mem;
	void *key;
	size_t size;

	target_open(&t, argc, argv);
	context = open_context(t.device);
	/* Names the memory domains that it has. */
	ucp_context_print_info(context, stderr);
	params.address = t.addr;
	params.length = t.length;
	status = ucp_mem_map(context, &params, &mem);
	if (status)
		target_refused("%s", ucs_status_string(status));
	status = ucp_rkey_pack(context, mem, &key, &size);
	if (status)
		target_refused("no key: %s", ucs_status_string(status));
	fprintf(stderr, "a key of %zu bytes\n", size);
	ucp_rkey_buffer_release(key);
	ucp_mem_unmap(context, mem);
	ucp_cleanup(context);
	target_works();
}
