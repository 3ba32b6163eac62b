// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "granted.h"

struct session s[PEERS];
struct md_map *map;
struct md_mr *mr;
struct md_grant *grant[PEERS];
struct md_remote *remote[PEERS];

void grant_all(void)
{
	sessions_open(s, PEERS);
	map = fixture_map(MD_MAP_RESTORE);
	mr = md_reg_mr(&fake_pd, map, 0, PAGE, RW);
	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	for (int i = 0; i < PEERS; i++) {
		CU_ASSERT_EQUAL(md_attach_qp(map, &fake_qp[i], s[i].peer[HOLDER]), 0);
		grant[i] = md_grant(s[i].peer[HOLDER], mr, "data");
		CU_ASSERT_PTR_NOT_NULL_FATAL(grant[i]);
		remote[i] = session_granted(&s[i]);
	}
	sessions_run();
}

void grant_all_within(uint32_t budget_ms)
{
	fixture_reopen(budget_ms, 0);
	grant_all();
}

void end_all(void)
{
	for (int i = 0; i < PEERS; i++) {
		CU_ASSERT_EQUAL(session_recall(grant[i]), 0);
		CU_ASSERT_EQUAL(md_detach_qp(map, &fake_qp[i]), 0);
	}
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
	sessions_run();
	sessions_close(s, PEERS);
}

void use(int i)
{
	CU_ASSERT_EQUAL(md_remote_get(remote[i]), 0);
	CU_ASSERT_TRUE(fake_verbs_write(remote[i]->rkey, 0, 1));
	md_remote_put(remote[i]);
}

void pass_restored_but(int but)
{
	for (int i = 0; i < PEERS; i++) {
		if (i == but)
			continue;
		session_pass(&s[i], MD_EVENT_RECALLED);
		CU_ASSERT_PTR_EQUAL(session_granted(&s[i]), remote[i]);
		use(i);
		CU_ASSERT_FALSE(fake_qp_fenced(&fake_qp[i]));
	}
}
