// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <sys/mman.h>

#include "child.h"
#include "control.h"
#include "knob.h"
#include "suite.h"

struct run {
	const struct scene *scene;
	bool damage;
};

static void play(void *arg)
{
	struct run *r = arg;

	r->scene->play(&r->damage);
}

static bool damaged(const struct scene *scene, unsigned int off)
{
	struct run *r = shared_new(sizeof(*r));

	knob_set(KNOB_UNPROTECTED, off);
	r->scene = scene;
	child_finish(child_start(play, r));
	return r->damage;
}

void control(const void *arg)
{
	const struct scene *scene = arg;

	if (!knob_exists(KNOB_UNPROTECTED))
		suite_skip("the module is no test build");
	suite_context("protected");
	CHECK(!damaged(scene, scene->off));
	suite_context("unprotected");
	CHECK(damaged(scene, scene->off | scene->protection));
}

void stage_set(struct stage *s)
{
	rdma_pair(&s->near, &s->far);
	holder_file(&s->h, suite_fs[0], "leased", CONTROL_LENGTH);
	extents_of(&s->extents, s->h.path);
	holder_take(&s->h, 0, CONTROL_LENGTH);
	s->mr = rdma_reg(&s->far, s->h.map, CONTROL_LENGTH);
	CHECK(s->mr);
}

void stage_write(struct stage *s)
{
	for (size_t i = 0; i < CONTROL_LENGTH; i += 4096)
		CHECK_EQ(rdma_write(&s->near, (uintptr_t)s->mr->addr + i, s->mr->rkey, 0x77),
			 IBV_WC_SUCCESS);
}

bool stage_hits_canary(struct stage *s)
{
	bool hit;

	canary_take(suite_fs[0], &s->extents);
	stage_write(s);
	hit = canary_changed(suite_fs[0]) > 0;
	canary_drop(suite_fs[0]);
	return hit;
}

void stage_unmap(struct stage *s)
{
	CHECK(!munmap(s->h.map, CONTROL_LENGTH));
	CHECK(!munmap(s->h.anchor, CONTROL_LENGTH));
}
