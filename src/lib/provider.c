// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>

#include "context.h"
#include "errmsg.h"
#include "lease_devdax.h"
#include "lease_fcntl.h"
#include "provider.h"

/*
 * A device-dax has no file system that could move blocks, so by serving it
 * unasked nothing less is promised, if only its memory lasts.
 */
static enum md_provider fitting(const struct md__range *range)
{
	if (!range->device)
		return MD_PROVIDER_KMOD;
	if (md__devdax_lasts(range))
		return MD_PROVIDER_NONE;
	return MD_PROVIDER_DEVDAX;
}

const struct md__lease_ops *
md__provider_choose(struct md_context *ctx, const struct md__range *range, enum md_provider asked)
{
	const struct md__lease_ops *ops;

	if (asked == MD_PROVIDER_NONE) {
		asked = fitting(range);
		if (asked == MD_PROVIDER_NONE)
			return NULL;
	}
	switch (asked) {
	case MD_PROVIDER_KMOD:
		ops = ctx->ops;
		break;
	case MD_PROVIDER_DEVDAX:
		ops = &md__lease_devdax;
		break;
	case MD_PROVIDER_FCNTL:
		ops = &md__lease_fcntl;
		break;
	default:
		md__fail(EOPNOTSUPP, "md_map_attr.provider: %d is not known here: %s", asked,
			 range->text);
		return NULL;
	}
	if (range->device == (asked == MD_PROVIDER_DEVDAX))
		return ops;
	if (range->device)
		md__fail(EOPNOTSUPP,
			 "a device-dax has no blocks to lease: ask for MD_PROVIDER_DEVDAX: %s",
			 range->text);
	else
		md__fail(EOPNOTSUPP, "MD_PROVIDER_DEVDAX is not for files, but a device-dax: %s",
			 range->text);
	return NULL;
}
