// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Leases of fcntl(2), of this machine's kernel, which another process breaks. */

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "breaker.h"
#include "clock.h"
#include "leased_file.h"

static void check_break(const struct md_event *event, struct breaker *b)
{
	const struct md_timeline *t = &event->timeline;
	uint64_t now = md__now();

	CU_ASSERT_EQUAL(event->reason, MD_REASON_OPEN);
	CU_ASSERT_EQUAL(event->breaker_pid, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "opens or truncates"));
	CU_ASSERT(t->broken <= t->noticed && t->noticed <= now);
	/* Whatever lease-break-time is. */
	CU_ASSERT(t->deadline > now && (t->deadline - t->broken) % MD__SEC == 0);
	CU_ASSERT_FALSE(breaker_is_through(b, 50));
}

/* With a region in use: it is gone before the breaker is through. */
static void break_and_restore(int (*op)(const char *name))
{
	struct md_map *map = map_leased(MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	struct md_mr *mr = md_reg_mr(&fake_pd, map, 0, LENGTH, RW);
	uint64_t generation = md_map_generation(map), acked, took;
	struct md_event *event;
	struct breaker b;
	uint32_t rkey;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	rkey = mr->rkey;
	breaker_start(&b, op);
	event = expect_event(MD_EVENT_BREAK);
	check_break(event, &b);
	CU_ASSERT(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	acked = md__now();
	md_ack_event(event);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_FALSE(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT(breaker_is_through(&b, SOON_MS));
	took = md__now() - acked;
	CU_ASSERT(took < SOON_MS * MD__MSEC / 2);
	CU_ASSERT(event->timeline.deregistered <= event->timeline.released);
	md_ack_event(event);
	if (op == open_to_read || op == open_to_write) {
		expect_no_event();
		CU_ASSERT_FALSE(accessible(md_map_addr(map), LENGTH));
	} else {
		CU_ASSERT_EQUAL(ftruncate(leased, (off_t)LENGTH), 0);
	}
	breaker_finish(&b);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT(md_map_generation(map) > generation);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_NOT_EQUAL(mr->rkey, rkey);
	CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	expect_no_event();
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void break__opened_for_reading__released_and_restored(void)
{
	break_and_restore(open_to_read);
}

static void break__opened_for_writing__released_and_restored(void)
{
	break_and_restore(open_to_write);
}

static void break__truncated_by_open__released_and_restored(void)
{
	break_and_restore(open_and_cut);
}

static void break__truncated__released_and_restored(void)
{
	break_and_restore(truncate_to_nothing);
}

/* Not only by looking now and then. */
static void break__comes__at_once(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 3; i++) {
		struct md_map *map = map_leased(0);
		uint64_t start = md__now(), took;
		struct breaker b;

		breaker_start(&b, open_to_read);
		pass_event(MD_EVENT_BREAK);
		took = md__now() - start;
		best = took < best ? took : best;
		pass_event(MD_EVENT_RELEASED);
		breaker_finish(&b);
		fixture_unmap(map);
	}
	CU_ASSERT(best < 200 * MD__MSEC);
}

/* That the breakers above were soon through is not by chance. */
static void break__not_answered__breaker_waits(void)
{
	struct md_map *map = map_leased(0);
	struct md_event *event;
	struct breaker b;

	breaker_start(&b, open_to_read);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_FALSE(breaker_is_through(&b, 1000));
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
}

static void break__in_it_unmapped__breaker_goes_on(void)
{
	struct md_map *map = map_leased(MD_MAP_RESTORE);
	struct breaker b;

	breaker_start(&b, open_to_write);
	expect_state(map, MD_MAP_BREAKING);
	fixture_unmap(map);
	breaker_finish(&b);
}

static void break__one_of_several__others_stay(void)
{
	char name[3][64];
	struct md_map *map[3], *first = map_leased(0);
	struct breaker b;
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = new_file(name[i], sizeof(name[i]));
		map[i] = try_map(fd[i], 0, LENGTH);
		CU_ASSERT_PTR_NOT_NULL_FATAL(map[i]);
	}
	CU_ASSERT_EQUAL(count_watches(), 1);
	breaker_start(&b, truncate_to_nothing);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	expect_no_event();
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(md_map_state(map[i]), MD_MAP_LIVE);
		fixture_unmap(map[i]);
		close(fd[i]);
		unlink(name[i]);
	}
	fixture_unmap(first);
}

/* The kernel does not even queue a signal that is ignored and not blocked. */
static void break__application_ignores_all_signals__comes(void)
{
	struct sigaction old[65], ignore = { .sa_handler = SIG_IGN };
	struct md_map *map;
	struct breaker b;

	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		sigaction(i, &ignore, &old[i]);
	map = map_leased(0);
	breaker_start(&b, open_to_read);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		sigaction(i, &old[i], NULL);
}

static const struct unit_case cases[] = {
	UNIT_CASE(break__opened_for_reading__released_and_restored),
	UNIT_CASE(break__opened_for_writing__released_and_restored),
	UNIT_CASE(break__truncated_by_open__released_and_restored),
	UNIT_CASE(break__truncated__released_and_restored),
	UNIT_CASE(break__comes__at_once),
	UNIT_CASE(break__not_answered__breaker_waits),
	UNIT_CASE(break__in_it_unmapped__breaker_goes_on),
	UNIT_CASE(break__one_of_several__others_stay),
	UNIT_CASE(break__application_ignores_all_signals__comes),
	{ 0 },
};

int main(int argc, char **argv)
{
	return leased_file_main("lease_fcntl_break", cases, argc, argv);
}
