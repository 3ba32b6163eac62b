// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* A program of somebody else: what test/install.sh builds in each way, in C and C++. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>
#include <mapdirect/uapi.h>

int main(void)
{
	struct md_query_result q;
	struct md_context *ctx = md_open(NULL);
	int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

	q.size = sizeof(q);
	if (!ctx || fd < 0 || ftruncate(fd, 4096) || md_query(ctx, fd, 0, 4096, &q)) {
		printf("%s\n", md_errmsg());
		return 1;
	}
	/* /tmp is not DAX: an answer, and never a promise. */
	printf("%s\n", q.reason);
	close(fd);
	return md_close(ctx) || q.provider != MD_PROVIDER_NONE || !q.error;
}
