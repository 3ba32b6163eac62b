// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "clock.h"
#include "must.h"

#define PATIENCE_NS UINT64_C(30000000000)

void *shared_new(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(p != MAP_FAILED);
	return p;
}

pid_t child_start(void (*run)(void *arg), void *arg)
{
	pid_t parent = getpid(), pid;

	fflush(NULL);
	pid = fork();
	MUST(pid >= 0);
	if (pid)
		return pid;
	MUST(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (getppid() != parent)
		_exit(1);
	run(arg);
	exit(0);
}

int child_wait(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0) == pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void child_stop(pid_t pid)
{
	int status;

	MUST(!kill(pid, SIGSTOP) && waitpid(pid, &status, WUNTRACED) == pid);
	if (!WIFSTOPPED(status))
		errx(1, "a child has ended");
}

void child_continue(pid_t pid)
{
	MUST(!kill(pid, SIGCONT));
}

void wait_until(bool (*is_so)(const void *arg), const void *arg, const char *what)
{
	uint64_t limit = clock_ns() + PATIENCE_NS;

	while (!is_so(arg)) {
		if (clock_ns() > limit)
			errx(1, "waited too long until %s", what);
		usleep(200);
	}
}
