/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "acked.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#define LINE 32 /* bytes */

int acked_open(const char *path)
{
	return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
}

int acked_add(int fd, uint64_t seq, uint64_t payload_sum)
{
	char line[LINE + 1];
	const int n =
		snprintf(line, sizeof(line), "%14" PRIu64 " %016" PRIx64 "\n", seq, payload_sum);

	if (n != LINE) {
		errno = EOVERFLOW;
		return -1;
	}
	return write(fd, line, LINE) == LINE ? 0 : -1;
}

int acked_read(FILE *from, uint64_t *seq, uint64_t *payload_sum)
{
	char line[LINE + 1] = "";
	const size_t n = fread(line, 1, LINE, from);

	if (!n && feof(from))
		return 0;
	if (n != LINE || line[LINE - 1] != '\n')
		return -1;
	return sscanf(line, "%" SCNu64 " %" SCNx64, seq, payload_sum) == 2 ? 1 : -1;
}
