// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <stdio.h>
#include <unistd.h>

#include "knob.h"
#include "suite.h"

static const char *const paths[KNOB_COUNT] = {
	[KNOB_LEASE_BREAK_TIME] = "/proc/sys/fs/lease-break-time",
	[KNOB_LEASES_ENABLE] = "/proc/sys/fs/leases-enable",
	[KNOB_BREAK_CAP] = "/sys/module/mapdirect/parameters/break_cap_ms",
	[KNOB_UNPROTECTED] = "/sys/module/mapdirect/parameters/unprotected",
	[KNOB_FAIL_STEP] = "/sys/module/mapdirect/parameters/fail_step",
	[KNOB_PAUSE_STEP] = "/sys/module/mapdirect/parameters/pause_step",
};

static unsigned int saved[KNOB_COUNT];

static bool put(enum knob k, unsigned int value)
{
	FILE *f = fopen(paths[k], "we");

	if (!f)
		return false;
	fprintf(f, "%u\n", value);
	return !fclose(f);
}

bool knob_exists(enum knob k)
{
	return !access(paths[k], W_OK);
}

void knob_set(enum knob k, unsigned int value)
{
	CHECK(put(k, value));
}

unsigned int knob_get(enum knob k)
{
	FILE *f = fopen(paths[k], "re");
	unsigned int value = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%u", &value) != 1)
		value = 0;
	fclose(f);
	return value;
}

void knob_save(void)
{
	for (enum knob k = 0; k < KNOB_COUNT; k++)
		saved[k] = knob_get(k);
}

void knob_restore(void)
{
	for (enum knob k = 0; k < KNOB_COUNT; k++)
		if (knob_exists(k) && knob_get(k) != saved[k])
			put(k, saved[k]);
}
