// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Every breaker against a holder whose peer writes without pause, many times. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "breaker.h"
#include "canary.h"
#include "child.h"
#include "holder.h"
#include "ops.h"
#include "rdma.h"
#include "stream.h"
#include "suite.h"

#define BYSTANDER_BYTE 0x3c
#define BYSTANDER_SIZE MIB

struct campaign {
	file_op op;
	bool reflink; /* only where the file system can */
	unsigned int rounds;
};

/* What the breakers did in all rounds of a case. */
struct tally {
	uint64_t freed, owned, writes;
};

/* A file that nobody touches, between the blocks of those that come and go. */
static void add_bystander(struct holder *h, const char *fs)
{
	char *p;

	holder_file(h, fs, "bystander", BYSTANDER_SIZE);
	p = mmap(NULL, BYSTANDER_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, h->fd, 0);
	CHECK(p != MAP_FAILED);
	memset(p, BYSTANDER_BYTE, BYSTANDER_SIZE);
	CHECK(!munmap(p, BYSTANDER_SIZE) && !close(h->fd));
}

/* The leased file and the other file of a clone. */
static void drop_files(struct holder *h)
{
	char twin[160];

	snprintf(twin, sizeof(twin), "%s.twin", h->path);
	unlink(twin);
	CHECK(!unlink(h->path));
	CHECK(!munmap(h->map, h->length) && !munmap(h->anchor, h->length));
	CHECK(!close(h->lease) && !close(h->fd));
}

static void fight(const struct campaign *c, const char *fs, unsigned int nap_us, struct tally *sum)
{
	struct stream *stream = stream_start();
	struct extents before, after, freed;
	struct mapdirect_event ev;
	struct holder h;
	struct breaker b;
	struct ibv_mr *mr;
	struct rdma r;

	rdma_open(&r);
	holder_file(&h, fs, "leased", OPS_FILE_SIZE);
	extents_of(&before, h.path);
	holder_take(&h, OPS_FROM, OPS_LENGTH);
	mr = rdma_reg(&r, h.map, h.length);
	CHECK(mr);
	stream_serve(stream, &r, mr);
	stream_wait_writes(stream, 10);
	breaker_start(&b, c->op, h.path);
	holder_event(&h, &ev);
	CHECK_EQ(ev.type, MAPDIRECT_EVENT_BREAK);
	usleep(nap_us);
	CHECK(breaker_waits(&b, 0));
	CHECK_EQ(atomic_load(&stream->status), IBV_WC_SUCCESS);
	CHECK_EQ(ibv_dereg_mr(mr), 0);
	holder_release_done(&h);
	breaker_finish(&b, SUITE_WAIT_MS);
	extents_of(&after, h.path);
	extents_minus(&freed, &before, &after);
	if (freed.count)
		sum->owned += canary_try(fs, &freed);
	stream_wait_end(stream);
	CHECK_EQ(canary_changed(fs), 0);
	canary_drop(fs);
	drop_files(&h);
	rdma_close(&r);
	sum->freed += extents_common(&freed, &freed);
	sum->writes += atomic_load(&stream->writes);
	CHECK(!munmap(stream, sizeof(*stream)));
}

/*
 * Proves: however often, and whenever in the peer's stream of writes, this
 * breaker comes: it waits, and no byte of any other file is changed, neither
 * of one that was there nor of those that get the freed blocks.
 */
static void campaign(const void *arg)
{
	const struct campaign *c = arg;
	struct holder bystanders[2];
	unsigned int seed = time(NULL);
	struct tally sum = { 0 };

	for (unsigned int i = 0; i < 2; i++)
		add_bystander(&bystanders[i], suite_fs[i]);
	for (unsigned int i = 0; i < c->rounds; i++) {
		suite_context("round %u", i);
		fight(c, suite_fs[c->reflink ? 1 : i % 2], rand_r(&seed) % 4000, &sum);
	}
	for (unsigned int i = 0; i < 2; i++)
		CHECK_EQ(bytes_not(bystanders[i].path, 0, BYSTANDER_SIZE, BYSTANDER_BYTE), 0);
	fprintf(stderr,
		"%u breaks, %llu KiB freed, %llu of them watched, %llu writes of the peer\n",
		c->rounds, (unsigned long long)sum.freed / 1024,
		(unsigned long long)sum.owned / 1024, (unsigned long long)sum.writes);
	CHECK(sum.owned >= sum.freed / 4);
}

#define CAMPAIGN(fn, only_reflink, n, flag)                                                        \
	{                                                                                          \
		.name = #fn "__streamed_to__" #n "_times_no_byte_astray", .run = campaign,         \
		.arg = &(const struct campaign){ fn, only_reflink, n }, .flags = flag              \
	}
#define BREAKER_SHORT(fn) CAMPAIGN(fn, false, 2, 0), CAMPAIGN(fn, false, 200, SUITE_EXTRA)
#define BREAKER(fn) CAMPAIGN(fn, false, 2, SUITE_LONG), CAMPAIGN(fn, false, 200, SUITE_EXTRA)
#define BREAKER_REFLINK(fn) CAMPAIGN(fn, true, 2, SUITE_LONG), CAMPAIGN(fn, true, 200, SUITE_EXTRA)

static const struct suite_case cases[] = {
	BREAKER_SHORT(truncate_to_zero),
	BREAKER(truncate_inside),
	BREAKER(truncate_outside),
	BREAKER(truncate_up),
	BREAKER(cut_and_extend),
	BREAKER(open_trunc),
	BREAKER_SHORT(punch_inside),
	BREAKER(punch_outside),
	BREAKER(zero_inside),
	BREAKER(collapse_inside),
	BREAKER(insert_inside),
	BREAKER(unshare_inside),
	BREAKER(allocate_beyond),
	BREAKER(write_inside),
	BREAKER(write_outside),
	BREAKER(write_beyond),
	BREAKER_REFLINK(reflink_from),
	BREAKER_REFLINK(reflink_onto),
	BREAKER_REFLINK(copy_onto),
	BREAKER_REFLINK(dedupe_from),
	BREAKER_REFLINK(dedupe_onto),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
