/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* For tests of the module's provider: a context over fake_kmod, a file that suits it. */
#ifndef MD_TEST_FIXTURE_KMOD_H
#define MD_TEST_FIXTURE_KMOD_H

#include "unit.h"

/* md_map() fails like this and leaves nothing behind. */
void kmod_expect_refusal(int line, int error, const char *words);
#define REFUSED(error, words) kmod_expect_refusal(__LINE__, error, words)

/* Whatever failed is over: the same call works. */
void kmod_expect_map(void);

/* The cases with md_process(), then with a service thread. */
int kmod_main(const char *suite, const struct unit_case *cases, int argc, char **argv);

#endif
