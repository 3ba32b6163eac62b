/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * Negative controls, for a test build of the module: the same scene with one
 * protection on, where nothing bad may be seen, and with it off, where the
 * damage must be seen. So a test that sees no damage means something.
 */
#ifndef MD_TEST_GUEST_CONTROL_H
#define MD_TEST_GUEST_CONTROL_H

#include <stdbool.h>

#include "canary.h"
#include "holder.h"
#include "rdma.h"

/* enum md_protection of the module, as bits of its parameter. */
enum protection {
	NRPAGES = 1 << 0,
	NOTIFIER = 1 << 1,
	DEFER = 1 << 2,
	RELEASE_ORDER = 1 << 3,
	KILL = 1 << 4,
	OVERLAP = 1 << 5,
	ANCHOR = 1 << 6,
	BREAK_TIME = 1 << 7,
	HOLDER = 1 << 8,
	UNMAP = 1 << 9,
	EXIT = 1 << 10,
	CAP = 1 << 11,
	NEXT_LEASE = 1 << 12,
	ACQUIRE_ORDER = 1 << 13,
	COW = 1 << 14,
	NO_WAIT = 1 << 15,
	FILE_SYSTEM = 1 << 16,
	TRY_LOCK = 1 << 17,
	CREDENTIALS = 1 << 18,
	OWN_INODE = 1 << 19,
	GONE = 1 << 20,
	OWN_FILE = 1 << 21,
	PGMAP = 1 << 22,
	RETRY = 1 << 23,
};

#define CONTROL_LENGTH (4 * MIB)
/* So long without what should happen at once is taken for never. */
#define NEVER_MS 3000

/* A scene sets damage, in a process of its own. */
struct scene {
	unsigned int protection;
	void (*play)(bool *damage);
	unsigned int off; /* other protections, off in both runs */
};

/* The case: arg is a scene. */
void control(const void *arg);

#define CONTROL_AS(bit, fn, condition, others, how)                                                \
	{                                                                                          \
		.name = #bit "__" condition "__damage_only_when_off", .run = control,              \
		.flags = how, .arg = &(const struct scene)                                         \
		{                                                                                  \
			bit, fn, others                                                            \
		}                                                                                  \
	}
#define CONTROL(bit, fn, condition) CONTROL_AS(bit, fn, condition, 0, 0)
#define CONTROL_LONG(bit, fn, condition) CONTROL_AS(bit, fn, condition, 0, SUITE_LONG)

/* A leased file in use by a peer. */
struct stage {
	struct holder h;
	struct rdma near, far;
	struct ibv_mr *mr;
	struct extents extents; /* of the file */
};

void stage_set(struct stage *s);

/* The peer writes to all of the region, which must work. */
void stage_write(struct stage *s);

/* The blocks are free: does the peer write to a canary that owns them now? */
bool stage_hits_canary(struct stage *s);

/* The holder lets go of both mappings; the region keeps its pages. */
void stage_unmap(struct stage *s);

#endif
