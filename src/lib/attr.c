// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <string.h>

#include "attr.h"
#include "errmsg.h"

/* A size beyond this was not set: structures grow by members, not by pages. */
#define MAX_SIZE 4096

static size_t size_of(const void *attr)
{
	size_t size;

	memcpy(&size, attr, sizeof(size));
	return size;
}

int md__attr_check(const void *attr, const char *name)
{
	size_t size = size_of(attr);

	if (size < sizeof(size) || size > MAX_SIZE)
		return md__fail(EINVAL, "%s.size is %zu: set it to the size of the structure", name,
				size);
	return 0;
}

int md__attr_take(void *own, size_t own_size, const void *attr, const char *name)
{
	const char *bytes = attr;
	size_t size;

	memset(own, 0, own_size);
	if (!attr)
		return 0;
	if (md__attr_check(attr, name))
		return -1;
	size = size_of(attr);
	for (size_t i = own_size; i < size; i++)
		if (bytes[i])
			return md__fail(EINVAL, "%s has a member that this library does not know",
					name);
	memcpy(own, attr, size < own_size ? size : own_size);
	return 0;
}

void md__attr_give(void *attr, const void *own, size_t own_size)
{
	size_t size = size_of(attr);

	memset(attr, 0, size);
	memcpy(attr, own, size < own_size ? size : own_size);
	memcpy(attr, &size, sizeof(size));
}
