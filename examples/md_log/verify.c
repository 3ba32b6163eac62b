/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Reads a log offline, by read(2), and compares it with what clients were told.
 *
 * lost:      acknowledged, but whoever reads the log does not find it, or not with
 *            that content; all behind a hole are lost. Or not acknowledged, but
 *            appended before one by the same writer that is there
 * torn:      acknowledged, and damaged in its place
 * duplicate: a record that is there twice: in another slot than its own, or with two
 *            numbers; or acknowledged twice
 */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "acked.h"
#include "format.h"

#define SAID_MAX 10 /* sentences; the rest is only counted */

struct found {
	uint64_t writer, number, seq;
	uint64_t payload_sum;
	enum log_slot state;
	bool acked;
};

struct verify {
	int fd;
	struct log_super super;
	struct found *slot;
	uint64_t records, acked, lost, duplicate, torn;
	unsigned int said;
};

static void say(struct verify *v, uint64_t seq, const char *what)
{
	if (v->said++ < SAID_MAX)
		fprintf(stderr, "md_log: record %" PRIu64 ": %s\n", seq, what);
}

static int open_log(struct verify *v, const char *path)
{
	const char *wrong;
	struct stat st;

	v->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (v->fd < 0 || fstat(v->fd, &st) || pread(v->fd, &v->super, sizeof(v->super), 0) < 0) {
		perror(path);
		return -1;
	}
	wrong = log_super_wrong(&v->super, st.st_size);
	if (wrong) {
		fprintf(stderr, "md_log: %s: %s\n", path, wrong);
		return -1;
	}
	v->slot = calloc(v->super.slots, sizeof(*v->slot));
	return v->slot ? 0 : -1;
}

static void look_at(struct verify *v, const void *slot, uint64_t seq, struct log_walk *walk)
{
	const struct log_record *r = slot;
	struct found *f = &v->slot[seq];

	*f = (struct found){
		.writer = r->writer,
		.number = r->number,
		.seq = seq,
		.payload_sum = r->payload_sum,
		.state = log_slot_look(&v->super, slot, seq),
	};
	if (f->state == LOG_OTHER) {
		v->duplicate++;
		say(v, r->seq, "it is in the slot of another one, too");
	}
	if (walk->next == seq)
		log_walk_next(walk, &v->super, slot);
}

static int read_log(struct verify *v)
{
	const size_t size = v->super.slot_size;
	struct log_walk walk = { 0 };
	char *slot = malloc(size);

	for (uint64_t seq = 0; slot && seq < v->super.slots; seq++) {
		if (pread(v->fd, slot, size, log_offset(&v->super, seq)) != (ssize_t)size) {
			perror("md_log: read");
			free(slot);
			return -1;
		}
		look_at(v, slot, seq, &walk);
	}
	v->records = walk.next;
	free(slot);
	return slot ? 0 : -1;
}

static void check_acked(struct verify *v, uint64_t seq, uint64_t payload_sum)
{
	struct found *f = seq < v->super.slots ? &v->slot[seq] : NULL;

	v->acked++;
	if (f && f->acked) {
		v->duplicate++;
		say(v, seq, "it was acknowledged twice");
		return;
	}
	if (f)
		f->acked = true;
	if (seq < v->records && f->payload_sum == payload_sum)
		return;
	if (f && f->state == LOG_TORN) {
		v->torn++;
		say(v, seq, "it is damaged");
	} else {
		v->lost++;
		say(v, seq, seq < v->records ? "it has another content" : "the log ends before it");
	}
}

static int read_acked(struct verify *v, const char *path)
{
	uint64_t seq, payload_sum;
	FILE *from = fopen(path, "r");
	int n;

	if (!from) {
		perror(path);
		return -1;
	}
	while ((n = acked_read(from, &seq, &payload_sum)) > 0)
		check_acked(v, seq, payload_sum);
	fclose(from);
	if (n)
		fprintf(stderr, "md_log: %s: not a list of acknowledged records\n", path);
	return n;
}

static int by_origin(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->writer != y->writer)
		return x->writer < y->writer ? -1 : 1;
	if (x->number != y->number)
		return x->number < y->number ? -1 : 1;
	return x->seq < y->seq ? -1 : 1;
}

/*
 * Each writer's records are in the log from its first on, in their order. Sorts the
 * slots: nothing is looked up in them after this.
 */
static void check_writers(struct verify *v)
{
	const struct found *before = NULL;

	qsort(v->slot, v->records, sizeof(*v->slot), by_origin);
	for (uint64_t i = 0; i < v->records; i++) {
		const struct found *f = &v->slot[i];

		if (before && before->writer != f->writer)
			before = NULL;
		if (before && before->number == f->number) {
			v->duplicate++;
			say(v, f->seq, "its writer's record is there with a lower number, too");
			continue;
		}
		if (f->number != (before ? before->number + 1 : 0) ||
		    (before && f->seq < before->seq)) {
			v->lost++;
			say(v, f->seq, "its writer's record before it is not before it");
		}
		before = f;
	}
}

static int verify(struct verify *v, const struct options *opt)
{
	if (open_log(v, opt->verify) || read_log(v))
		return -1;
	for (char **path = opt->acked_files; *path; path++)
		if (read_acked(v, *path))
			return -1;
	check_writers(v);
	printf("md_log: records=%" PRIu64 " acked=%" PRIu64 " lost=%" PRIu64 " duplicate=%" PRIu64
	       " torn=%" PRIu64 "\n",
	       v->records, v->acked, v->lost, v->duplicate, v->torn);
	return 0;
}

int run_verify(const struct options *opt)
{
	struct verify v = { .fd = -1 };
	const int err = verify(&v, opt);

	if (v.fd >= 0)
		close(v.fd);
	free(v.slot);
	if (err)
		return 2;
	return v.lost || v.duplicate || v.torn ? 1 : 0;
}
