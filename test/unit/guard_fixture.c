// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guard_fixture.h"

struct md__guard guard;
int guard_wake_fd;

static void setup(void)
{
	guard_wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	md__guard_init(&guard, guard_wake_fd);
}

static void teardown(void)
{
	close(guard_wake_fd);
}

unsigned int guard_wakes(void)
{
	uint64_t n;

	return read(guard_wake_fd, &n, sizeof(n)) == sizeof(n) ? (unsigned int)n : 0;
}

bool guard_deny_barriers(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter);
}

/* The same cases again, in a process whose threads can have no slots of their own. */
static bool have_no_own_slots(const char *without)
{
	pthread_key_t key;

	if (!strcmp(without, "membarrier"))
		return guard_deny_barriers();
	while (!pthread_key_create(&key, NULL))
		;
	return true;
}

int guard_main(const char *suite, const struct unit_case *cases, int argc, char **argv)
{
	const char *without = getenv("GUARD_WITHOUT");

	if (without && !have_no_own_slots(without))
		return unit_skip(suite, "no filter of system calls");
	return unit_main(suite, cases, setup, teardown, argc, argv);
}
