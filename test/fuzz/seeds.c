// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Write what the fuzzers begin with: the recorded session, and whole lives of one. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "recorded.h"
#include "script.h"

/* An action with an argument, as session.c takes it apart. */
#define DO(action, arg) (uint8_t)((action) + ACTIONS * (arg))

static void save(const char *dir, const char *name, const void *bytes, size_t length)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	file = fopen(path, "w");
	if (!file || fwrite(bytes, 1, length, file) != length || fclose(file)) {
		perror(path);
		exit(1);
	}
}

/* Each message alone. */
static void save_messages(const char *dir)
{
	uint8_t bytes[MD__WIRE_MAX];
	char name[64];

	for (size_t i = 0; i < RECORDED; i++) {
		snprintf(name, sizeof(name), "%02zu-%s", i, md__msg_str(recorded[i].msg.type));
		save(dir, name, bytes, recorded_bytes(recorded[i].hex, bytes));
	}
}

/* All of one side, as bytes that arrive. */
static void save_side(const char *dir, const char *name, enum recorded_side from)
{
	uint8_t script[RECORDED * (MD__WIRE_MAX + 2) + 1];
	size_t n = 0, length;

	script[n++] = DO(CONNECTED, 0);
	for (size_t i = 0; i < RECORDED; i++) {
		if (recorded[i].from != from)
			continue;
		length = recorded_bytes(recorded[i].hex, script + n + 2);
		script[n++] = DO(BYTES, 0);
		script[n++] = (uint8_t)length;
		n += length;
	}
	save(dir, name, script, n);
}

#define OPEN DO(CONNECTED, 0), DO(ANSWER, 0), DO(ANSWER, 15)
#define SAY(type, bits) MESSAGE, MD__MSG_##type - 1, 0, bits

static const uint8_t holder[] = {
	OPEN,	     GRANT,	  DO(ANSWER, 3), DO(BREAK, 10), PROCESS,      DO(ANSWER, 3),
	DO(TIME, 5), DO(TIME, 7), DO(TIME, 9),	 DO(ANSWER, 3), DO(EVENT, 0), RECALL,
};
static const uint8_t fenced[] = {
	OPEN,	     GRANT,	    DO(ANSWER, 3), DO(BREAK, 10), PROCESS,	 DO(TIME, 6),
	DO(TIME, 6), DO(ANSWER, 7), DO(TIME, 9),   DO(TIME, 9),	  DO(ANSWER, 7), DO(TIME, 9),
};
static const uint8_t lost[] = {
	OPEN,	       GRANT,
	DO(ANSWER, 3), LOST,
	DO(BREAK, 10), DO(TIME, 3),
	OPEN,	       DO(ANSWER, 7),
	DO(TIME, 9),   DO(SEND_MODE, 2),
	DO(TIME, 9),   DO(SEND_MODE, 0),
	DO(ANSWER, 7), LOST,
};
static const uint8_t gone[] = {
	OPEN,	     GRANT,	  DO(ANSWER, 3), DO(BREAK, 15), DO(ANSWER, 3),
	DO(TIME, 9), DO(TIME, 9), DO(ANSWER, 3), DO(EVENT, 0),	RECALL,
};
static const uint8_t peer[] = {
	OPEN,
	SAY(GRANT, 0),
	EVENT,
	EVENT,
	GET,
	SAY(RECALL, 32),
	PROCESS,
	PUT,
	PROCESS,
	EVENT,
	SAY(GRANT, 4),
	EVENT,
	GET,
	SAY(FENCED, 68),
	PROCESS,
	PUT,
	EVENT,
	EVENT,
	SAY(GRANT, 8),
	EVENT,
	RELEASE,
	PROCESS,
	SAY(RECALL, 232),
	EVENT,
	SAY(BYE, 0),
};
static const uint8_t wrong[] = {
	OPEN, GRANT, DO(ANSWER, 3), SAY(GRANT, 0), SAY(GRANT, 4), EVENT, EVENT, PROCESS, EVENT,
};

int main(int argc, char **argv)
{
	if (argc != 3) {
		fprintf(stderr, "usage: fuzz_seeds CORPUS_OF_WIRE CORPUS_OF_SESSION\n");
		return 2;
	}
	save_messages(argv[1]);
	save_side(argv[2], "recorded-holder", RECORDED_HOLDER);
	save_side(argv[2], "recorded-peer", RECORDED_PEER);
	save(argv[2], "holder", holder, sizeof(holder));
	save(argv[2], "fenced", fenced, sizeof(fenced));
	save(argv[2], "lost", lost, sizeof(lost));
	save(argv[2], "gone", gone, sizeof(gone));
	save(argv[2], "peer", peer, sizeof(peer));
	save(argv[2], "wrong", wrong, sizeof(wrong));
	return 0;
}
