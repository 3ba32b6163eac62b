// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <err.h>
#include <string.h>

#include "device.h"

struct ibv_pd *device_pd(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	struct ibv_context *context = NULL;
	struct ibv_pd *pd;

	for (struct ibv_device **d = list; d && *d && !context; d++) {
		if (!strcmp(name, ibv_get_device_name(*d)))
			context = ibv_open_device(*d);
	}
	pd = context ? ibv_alloc_pd(context) : NULL;
	if (!pd)
		err(1, "cannot open %s", name);
	ibv_free_device_list(list);
	return pd;
}
