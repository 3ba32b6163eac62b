// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CUnit/CUnit.h>
#include <CUnit/TestRun.h>

#include "child.h"
#include "holder.h"
#include "knob.h"
#include "suite.h"

/* After this a case is killed; one that may take long, later. */
#define CASE_LIMIT_MS 300000
#define EXTRA_LIMIT_MS 1500000

const char *suite_fs[2] = { "/mnt/pmem", "/mnt/pmem2" };

static const struct suite_case *all;
static const struct suite_case *running;
static bool quick, extra, complete;
static int report = -1; /* a pipe; each write is one message */
static pid_t case_pid;	/* names the directories of the case */
static char context[128];
static char skipped[256]; /* why the running case was left out */
static unsigned int skips;

static void say(char kind, const char *text)
{
	char message[512];
	int n = snprintf(message, sizeof(message), "%c%s", kind, text);

	if (report < 0) /* no process of a case */
		fprintf(stderr, "%s\n", text);
	/* A message that does not get through leaves the exit status. */
	if (write(report, message, n < (int)sizeof(message) ? n + 1 : (int)sizeof(message)) < 0)
		_exit(EXIT_FAILURE);
}

void suite_fail(const char *file, int line, const char *fmt, ...)
{
	const char *base = strrchr(file, '/');
	int err = errno, n;
	char text[480];
	va_list ap;

	n = snprintf(text, sizeof(text), "%s:%d: %s%s", base ? base + 1 : file, line, context,
		     context[0] ? ": " : "");
	va_start(ap, fmt);
	n += vsnprintf(text + n, sizeof(text) - n, fmt, ap);
	va_end(ap);
	if (err && n < (int)sizeof(text))
		snprintf(text + n, sizeof(text) - n, " (errno: %s)", strerror(err));
	say('F', text);
	_exit(EXIT_FAILURE);
}

void suite_skip(const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	say('S', text);
	_exit(EXIT_SUCCESS);
}

void suite_context(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(context, sizeof(context), fmt, ap);
	va_end(ap);
}

void suite_close_files(void)
{
	if (report < 0) {
		close_range(3, ~0U, 0);
		return;
	}
	close_range(3, report - 1, 0);
	close_range(report + 1, ~0U, 0);
}

static void case_dir(char *path, size_t size, const char *fs)
{
	snprintf(path, size, "%s/guest-test.%d", fs, case_pid);
}

void suite_path(char *path, unsigned long size, const char *fs, const char *name)
{
	char dir[96];

	case_dir(dir, sizeof(dir), fs);
	CHECK(!mkdir(dir, 0777) || errno == EEXIST);
	CHECK(snprintf(path, size, "%s/%s", dir, name) < (int)size);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void fail_case(const char *why)
{
	CU_assertImplementation(CU_FALSE, 0, why, "", "", CU_FALSE);
}

/* Everything that the processes of the case had to say. */
static bool take_messages(int from)
{
	char text[8192];
	ssize_t n = read(from, text, sizeof(text) - 1);
	bool any = false;

	if (n <= 0)
		return false;
	text[n] = '\0';
	for (const char *p = text; p < text + n; p += strlen(p) + 1) {
		any = true;
		if (*p == 'S' && !complete)
			snprintf(skipped, sizeof(skipped), "%s", p + 1);
		else
			fail_case(p + 1);
	}
	return any;
}

static bool no_lease_left(void *unused)
{
	return !holder_exists(unused);
}

/* True when the last process of the case is gone; orphans are ours. */
static bool reaped_all(void *group)
{
	kill(-*(pid_t *)group, SIGKILL);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD;
}

/* Who cannot be killed, and in which state: as in /proc/PID/stat. */
static void fail_for_survivors(void)
{
	FILE *children = fopen("/proc/thread-self/children", "r");
	char path[64], stat[64], text[128];
	int pid;

	fail_case("a process of the case cannot be killed");
	while (children && fscanf(children, "%d", &pid) == 1) {
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		f = fopen(path, "r");
		if (f && fgets(stat, sizeof(stat), f)) {
			snprintf(text, sizeof(text), "process %.*s", (int)strcspn(stat, ")") + 3,
				 stat);
			fail_case(text);
		}
		if (f)
			fclose(f);
	}
	if (children)
		fclose(children);
}

static void clean_up(pid_t pid)
{
	if (!wait_until(reaped_all, &pid, SUITE_WAIT_MS))
		fail_for_survivors();
	if (!wait_until(no_lease_left, NULL, SUITE_WAIT_MS))
		fail_case("a lease is left");
	knob_restore();
	case_pid = pid;
	for (unsigned int i = 0; i < 2; i++) {
		char dir[96];

		case_dir(dir, sizeof(dir), suite_fs[i]);
		nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	}
}

static void run_in_child(int to)
{
	setpgid(0, 0);
	case_pid = getpid();
	/* High, so that closing the rest is two calls and no mistake. */
	report = fcntl(to, F_DUPFD_CLOEXEC, 512);
	signal(SIGPIPE, SIG_IGN);
	running->run(running->arg);
	_exit(EXIT_SUCCESS);
}

/* What CUnit calls for every case; the process of the case is a child. */
static void run_case(void)
{
	int ends[2], status = 0;
	bool ended, said;
	pid_t pid;

	if (quick && running->flags & SUITE_LONG) {
		snprintf(skipped, sizeof(skipped), "takes long, and --quick was given");
		return;
	}
	CU_ASSERT_FATAL(!pipe2(ends, O_CLOEXEC));
	pid = fork();
	CU_ASSERT_FATAL(pid >= 0);
	if (!pid)
		run_in_child(ends[1]);
	setpgid(pid, pid);
	close(ends[1]);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	ended = child_wait(pid, extra ? EXTRA_LIMIT_MS : CASE_LIMIT_MS, &status);
	clean_up(pid);
	said = take_messages(ends[0]);
	close(ends[0]);
	if (!ended)
		fail_case("the time was over");
	else if (!said && WIFSIGNALED(status))
		fail_case(strsignal(WTERMSIG(status)));
	else if (!said && status)
		fail_case("failed without a word");
}

static void before_case(const CU_pTest test, const CU_pSuite suite)
{
	(void)suite;
	skipped[0] = '\0';
	for (running = all; strcmp(running->name, test->pName); running++)
		;
}

static void after_case(const CU_pTest test, const CU_pSuite suite, const CU_pFailureRecord failure)
{
	(void)suite;
	if (failure) {
		printf("not ok %s -", test->pName);
		for (CU_pFailureRecord f = failure; f; f = f->pNext)
			printf(" %s%s", f->strCondition, f->pNext ? ";" : "\n");
	} else if (skipped[0]) {
		printf("skip %s - %s\n", test->pName, skipped);
		skips++;
	} else {
		printf("ok %s\n", test->pName);
	}
}

static bool selected(const struct suite_case *c, int argc, char **argv)
{
	bool any = false;

	if (!(c->flags & SUITE_EXTRA) == extra)
		return false;
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			continue;
		if (strstr(c->name, argv[i]))
			return true;
		any = true;
	}
	return !any;
}

int suite_main(const struct suite_case *cases, int argc, char **argv)
{
	unsigned int failed, ran;
	CU_pSuite suite;

	setvbuf(stdout, NULL, _IOLBF, 0);
	if (getenv("MD_PMEM"))
		suite_fs[0] = getenv("MD_PMEM");
	if (getenv("MD_PMEM2"))
		suite_fs[1] = getenv("MD_PMEM2");
	for (int i = 1; i < argc; i++) {
		quick |= !strcmp(argv[i], "--quick");
		extra |= !strcmp(argv[i], "--long");
		complete |= !strcmp(argv[i], "--complete");
	}
	all = cases;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	knob_save();
	if (CU_initialize_registry() != CUE_SUCCESS)
		return EXIT_FAILURE;
	suite = CU_add_suite(program_invocation_short_name, NULL, NULL);
	for (; suite && cases->name; cases++) {
		if (selected(cases, argc, argv) && !CU_add_test(suite, cases->name, run_case))
			suite = NULL;
	}
	if (!suite) {
		fprintf(stderr, "%s\n", CU_get_error_msg());
		return EXIT_FAILURE;
	}
	CU_set_test_start_handler(before_case);
	CU_set_test_complete_handler(after_case);
	CU_run_all_tests();
	ran = CU_get_number_of_tests_run();
	failed = CU_get_number_of_tests_failed();
	CU_cleanup_registry();
	if (failed)
		return EXIT_FAILURE;
	return skips == ran ? 77 : EXIT_SUCCESS;
}
