// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <CUnit/Basic.h>

#include "unit.h"

/* There in a build with gcov's counters. */
void __gcov_dump(void) __attribute__((weak));

int unit_skip(const char *suite, const char *why)
{
	printf("skip %s - %s\n", suite, why);
	return 77;
}

unsigned int unit_cpus(void)
{
	cpu_set_t set;

	return sched_getaffinity(0, sizeof(set), &set) ? 1 : (unsigned int)CPU_COUNT(&set);
}

void unit_exit_child(int status)
{
	if (__gcov_dump)
		__gcov_dump();
	_exit(status);
}

static bool selected(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strstr(name, argv[i]))
			return true;
	}
	return argc < 2;
}

int unit_main(const char *suite, const struct unit_case *cases, void (*setup)(void),
	      void (*teardown)(void), int argc, char **argv)
{
	unsigned int failed;
	CU_pSuite s;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (CU_initialize_registry() != CUE_SUCCESS)
		return EXIT_FAILURE;
	s = CU_add_suite_with_setup_and_teardown(suite, NULL, NULL, setup, teardown);
	for (; s && cases->name; cases++) {
		if (selected(cases->name, argc, argv) && !CU_add_test(s, cases->name, cases->run))
			s = NULL;
	}
	if (!s) {
		fprintf(stderr, "%s: %s\n", suite, CU_get_error_msg());
		return EXIT_FAILURE;
	}
	CU_basic_set_mode(CU_BRM_VERBOSE);
	CU_basic_run_tests();
	failed = CU_get_number_of_tests_failed();
	printf("%s: %u passed, %u failed, %u assertions\n", suite,
	       CU_get_number_of_tests_run() - failed, failed, CU_get_number_of_asserts());
	CU_cleanup_registry();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
