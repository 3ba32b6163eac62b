/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "timeline.h"

#include <inttypes.h>

static double ms(uint64_t from, uint64_t to)
{
	return ((double)to - (double)from) / 1e6;
}

static uint64_t us(uint64_t from, uint64_t to)
{
	return to > from ? (to - from) / 1000 : 0;
}

static void step(const struct md_timeline *t, uint64_t at, const char *what)
{
	if (at)
		printf("  %9.2f ms  %s\n", ms(t->broken, at), what);
	else
		printf("          -     %s\n", what);
}

void timeline_broken(const struct md_event *ev, unsigned int number)
{
	printf("break %u of generation %" PRIu64 ": %s, by %s (pid %d)\n", number, ev->generation,
	       md_reason_str(ev->reason), ev->breaker_comm[0] ? ev->breaker_comm : "unknown",
	       ev->breaker_pid);
}

void timeline_released(const struct md_event *ev, FILE *table)
{
	const struct md_timeline *t = &ev->timeline;

	step(t, t->broken, "the kernel noticed");
	step(t, t->noticed, "the library knows: no new use, no new region");
	step(t, t->told, "the application was told");
	step(t, t->drained, "the client has stopped, nothing is under way");
	step(t, t->fenced, "fence, where somebody did not stop");
	step(t, t->deregistered, "all regions deregistered");
	step(t, t->released, "the kernel found no pin left: the breaker goes on");
	if (t->deadline)
		step(t, t->deadline, "would have been the deadline");
	fprintf(table, "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
		ev->generation, us(t->broken, t->noticed), us(t->broken, t->drained),
		us(t->broken, t->deregistered), us(t->broken, t->released),
		us(t->broken, t->deadline));
}

void timeline_restored(const struct md_event *ev, uint64_t asked)
{
	const uint64_t restored = ev->timeline.restored;

	printf("  restored as generation %" PRIu64 ", %.2f ms after it was asked for\n",
	       ev->generation, ms(asked, restored));
}
