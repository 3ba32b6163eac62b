// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <string.h>

#include "attr.h"
#include "errmsg.h"

/* A size beyond this was not set: structures grow by members, not by pages. */
#define MAX_SIZE 4096

int md__attr_take(void *own, size_t own_size, const void *attr, const char *name)
{
	const char *bytes = attr;
	size_t size;

	memset(own, 0, own_size);
	if (!attr)
		return 0;
	memcpy(&size, attr, sizeof(size));
	if (size < sizeof(size) || size > MAX_SIZE)
		return md__fail(EINVAL, "%s.size is %zu: set it to the size of the structure", name,
				size);
	for (size_t i = own_size; i < size; i++)
		if (bytes[i])
			return md__fail(EINVAL, "%s has a member that this library does not know",
					name);
	memcpy(own, attr, size < own_size ? size : own_size);
	return 0;
}
