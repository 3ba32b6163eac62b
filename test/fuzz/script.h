/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What the input of fuzz_session means: actions of one byte, with what follows:
 *
 *   BYTES n ...       these bytes arrive
 *   MESSAGE type f c  a message made of few bits, see make() in session.c
 *   ANSWER n          answer the next n messages of the library as a peer would
 *   the others        one byte more, or none
 */
#ifndef MD_TEST_SCRIPT_H
#define MD_TEST_SCRIPT_H

enum action {
	BYTES,
	MESSAGE,
	ANSWER,
	CONNECTED,
	LOST,
	SEND_MODE,
	PROCESS,
	TIME,
	BREAK,
	GRANT,
	RECALL,
	GET,
	PUT,
	RELEASE,
	EVENT,
	HOLD_EVENT,
	ACTIONS,
};

/* Of MESSAGE: what is not as it has to be. */
#define WRONG_NUMBER (1U << 0)
#define WRONG_SESSION (1U << 1)
#define WRONG_SEEN (1U << 2)
#define LIKE_LAST (1U << 3) /* about what the library has said last */

#endif
