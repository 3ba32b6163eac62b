// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "sample.h"
#include "stats.h"
#include "table.h"

static const char *const names[COLUMNS] = {
	[MAP] = "reg/map",
	[MAP_REG] = "reg/map_reg",
	[LEASE] = "reg/lease",
	[DEREG_LEASE] = "dereg/lease",
	[LEASE_AGAIN] = "reg/lease_again",
	[LEASE_RAW] = "reg/lease_raw",
	[UNMAP] = "unmap",
	[DEVDAX_COLD] = "reg/devdax_cold",
	[DEVDAX] = "reg/devdax",
	[DEREG_DEVDAX] = "dereg/devdax",
	[TMPFS_COLD] = "reg/tmpfs_cold",
	[TMPFS] = "reg/tmpfs",
	[DEREG_TMPFS] = "dereg/tmpfs",
};

void series_add(struct series *s, double value)
{
	if (s->count == s->max) {
		s->max = s->max ? s->max * 2 : 8;
		s->values = reallocarray(s->values, s->max, sizeof(*s->values));
		MUST(s->values);
	}
	s->values[s->count++] = value;
}

double series_median(struct series *s)
{
	stats_sort(s->values, s->count);
	return stats_percentile(s->values, s->count, 50);
}

void series_free(struct series *s)
{
	free(s->values);
	*s = (struct series){ 0 };
}

void table_add(struct table *t, enum column column, uint64_t ns)
{
	series_add(&t->now[column], (double)ns / 1000);
}

void table_round(struct table *t, size_t index, size_t size)
{
	for (int c = 0; c < COLUMNS; c++) {
		struct series *s = &t->now[c];
		double us;

		if (!s->count)
			continue;
		us = series_median(s);
		sample(us, "us", "%s/%zu", names[c], size);
		series_add(&t->rounds[c][index], us);
		s->count = 0;
	}
}

static bool has_values(const struct table *t, int column)
{
	for (size_t i = 0; i < SIZES_MAX; i++) {
		if (t->rounds[column][i].count)
			return true;
	}
	return false;
}

const char *size_text(size_t size, char text[static 32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t u = 0;

	while (u < 4 && size && size % 1024 == 0) {
		size /= 1024;
		u++;
	}
	snprintf(text, 32, "%zu %s", size, units[u]);
	return text;
}

static void print_row(struct table *t, size_t index)
{
	for (int c = 0; c < COLUMNS; c++) {
		struct series *s = &t->rounds[c][index];

		if (!has_values(t, c))
			continue;
		if (s->count)
			printf("  %*.1f", (int)strlen(names[c]), series_median(s));
		else
			printf("  %*s", (int)strlen(names[c]), "-");
	}
	putchar('\n');
}

void table_print(struct table *t, const struct options *opt)
{
	char text[32];

	printf("%-8s", "us");
	for (int c = 0; c < COLUMNS; c++) {
		if (has_values(t, c))
			printf("  %s", names[c]);
	}
	putchar('\n');
	for (size_t i = 0; i < opt->n_sizes; i++) {
		printf("%-8s", size_text(opt->sizes[i], text));
		print_row(t, i);
	}
}

void table_free(struct table *t)
{
	for (int c = 0; c < COLUMNS; c++) {
		series_free(&t->now[c]);
		for (size_t i = 0; i < SIZES_MAX; i++)
			series_free(&t->rounds[c][i]);
	}
}
