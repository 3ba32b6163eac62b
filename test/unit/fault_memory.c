// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Memory, threads, address space and verbs. */

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <infiniband/verbs.h>

#include "fake_verbs.h"
#include "fault.h"
#include "fault_calls.h"

/* ---- memory and threads --------------------------------------------------- */

static void *allocated(void *block)
{
	if (block)
		fault__blocks++;
	return block;
}

void *fault_calloc(size_t n, size_t size);
void *fault_calloc(size_t n, size_t size)
{
	return fault__fails("calloc", ENOMEM, false) ? NULL : allocated(calloc(n, size));
}

void *fault_aligned_alloc(size_t alignment, size_t size);
void *fault_aligned_alloc(size_t alignment, size_t size)
{
	return fault__fails("aligned_alloc", ENOMEM, false) ?
		       NULL :
		       allocated(aligned_alloc(alignment, size));
}

char *fault_strdup(const char *text);
char *fault_strdup(const char *text)
{
	return fault__fails("strdup", ENOMEM, false) ? NULL : allocated(strdup(text));
}

void fault_free(void *block);
void fault_free(void *block)
{
	if (block)
		fault__blocks--;
	free(block);
}

int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			 void *arg);
int fault_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *),
			 void *arg)
{
	return fault__fails("pthread_create", EAGAIN, false) ?
		       errno :
		       pthread_create(thread, attr, run, arg);
}

int fault_pthread_setname_np(pthread_t thread, const char *name);
int fault_pthread_setname_np(pthread_t thread, const char *name)
{
	return fault__fails("pthread_setname_np", EIO, false) ? errno :
								pthread_setname_np(thread, name);
}

int fault_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int fault_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	return fault__fails("pthread_atfork", ENOMEM, false) ?
		       errno :
		       pthread_atfork(prepare, parent, child);
}

/* Has a timeout, which is no failure to speak of. */
int fault_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout);
int fault_sigtimedwait(const sigset_t *set, siginfo_t *info, const struct timespec *timeout)
{
	return fault__fails("sigtimedwait", NEVER, SIGNAL) ? -1 : sigtimedwait(set, info, timeout);
}

int fault_sem_wait(sem_t *sem);
int fault_sem_wait(sem_t *sem)
{
	return fault__fails("sem_wait", NEVER, SIGNAL) ? -1 : sem_wait(sem);
}

/* ---- address space --------------------------------------------------------- */

static const char *mmap_name(int flags)
{
	if (!(flags & MAP_FIXED))
		return "mmap reserve";
	if (flags & MAP_ANONYMOUS)
		return "mmap reserve again";
	return flags & MAP_SYNC ? "mmap SYNC" : "mmap file";
}

void *fault_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset);
void *fault_mmap(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
	void *at;

	if (fault__fails(mmap_name(flags), ENOMEM, 0))
		return MAP_FAILED;
	at = (fault_sys.mmap ?: mmap)(addr, length, prot, flags, fd, offset);
	if (at != MAP_FAILED && !(flags & MAP_FIXED))
		fault__bytes += (long)length;
	return at;
}

int fault_munmap(void *addr, size_t length);
int fault_munmap(void *addr, size_t length)
{
	bool failed = fault__fails("munmap", ENOMEM, false);
	int saved = errno;

	/* It does not stay mapped: no test is to run out of addresses. */
	fault__bytes -= (long)length;
	munmap(addr, length);
	errno = saved;
	return failed ? -1 : 0;
}

int fault_msync(void *addr, size_t length, int flags);
int fault_msync(void *addr, size_t length, int flags)
{
	return fault__fails("msync", EIO, false) ? -1 : msync(addr, length, flags);
}

int fault_madvise(void *addr, size_t length, int advice);
int fault_madvise(void *addr, size_t length, int advice)
{
	const char *name = advice == MADV_DONTFORK ? "madvise DONTFORK" : "madvise POPULATE_WRITE";

	return fault__fails(name, ENOMEM, 0) ? -1 : madvise(addr, length, advice);
}

int fault_mincore(void *addr, size_t length, unsigned char *there);
int fault_mincore(void *addr, size_t length, unsigned char *there)
{
	return fault__fails("mincore", EAGAIN, false) ?
		       -1 :
		       (fault_sys.mincore ?: mincore)(addr, length, there);
}

/* ---- verbs --------------------------------------------------------------------- */

struct ibv_mr *fault_ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				      unsigned int access);
struct ibv_mr *fault_ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				      unsigned int access)
{
	return fault__fails("ibv_reg_mr", ENOMEM, false) ?
		       NULL :
		       ibv_reg_mr_iova2(pd, addr, length, iova, access);
}

/* Nothing refers to a connection's messages when its queue pair is gone. */
int fault_ibv_dereg_mr(struct ibv_mr *mr);
int fault_ibv_dereg_mr(struct ibv_mr *mr)
{
	if (mr->pd != &fake_pd)
		return ibv_dereg_mr(mr);
	return fault__fails("ibv_dereg_mr", EBUSY, false) ? errno : ibv_dereg_mr(mr);
}

int fault_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask);
int fault_ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	return fault__fails("ibv_modify_qp", EINVAL, false) ? errno : ibv_modify_qp(qp, attr, mask);
}
