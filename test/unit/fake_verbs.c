// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "fake_lease.h"
#include "fake_verbs.h"

struct fake_mr {
	struct ibv_mr ibv;
	TAILQ_ENTRY(fake_mr) mrs;
};

struct failure {
	unsigned int skip, times;
	int error;
};

struct ibv_pd fake_pd;
struct ibv_qp fake_qp[FAKE_QPS];
struct ibv_context fake_adapter[2];

struct ibv_device fake_device[2] = { { .name = "fake0" }, { .name = "fake1" } };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, fake_mr) mrs = TAILQ_HEAD_INITIALIZER(mrs);
static struct failure reg_failure, dereg_failure;
static uint32_t failing_rkey; /* 0: any */
static int modify_error;
static unsigned int strays;
bool (*fake_verbs_covers)(const void *addr, size_t length) = fake_lease_covers;
static uint32_t last_key;
static bool reuse_keys;
static _Atomic(void (*)(void)) at_reg, at_dereg;

static int fails(struct failure *f)
{
	if (!f->times)
		return 0;
	if (f->skip) {
		f->skip--;
		return 0;
	}
	f->times--;
	return f->error;
}

/* With the lock: a number that no region has. */
static uint32_t next_key(void)
{
	struct fake_mr *mr;
	uint32_t key = 1;

	if (!reuse_keys)
		return ++last_key;
	TAILQ_FOREACH(mr, &mrs, mrs) {
		if (mr->ibv.lkey >= key)
			key = mr->ibv.lkey + 1;
	}
	return key;
}

#undef ibv_reg_mr

struct ibv_mr *ibv_reg_mr(struct ibv_pd *pd, void *addr, size_t length, int access)
{
	return ibv_reg_mr_iova2(pd, addr, length, (uintptr_t)addr, (unsigned int)access);
}

struct ibv_mr *ibv_reg_mr_iova2(struct ibv_pd *pd, void *addr, size_t length, uint64_t iova,
				unsigned int access)
{
	void (*call)(void) = atomic_load(&at_reg);
	bool leased = fake_verbs_covers(addr, length);
	struct fake_mr *mr = NULL;
	uint32_t key;
	int error;

	(void)iova;
	(void)access;
	if (call)
		call();
	pthread_mutex_lock(&lock);
	error = fails(&reg_failure);
	if (!error)
		mr = calloc(1, sizeof(*mr));
	if (mr) {
		strays += pd == &fake_pd && !leased;
		key = next_key();
		mr->ibv = (struct ibv_mr){
			.pd = pd,
			.addr = addr,
			.length = length,
			.lkey = key,
			.rkey = 0x10000 + key,
		};
		TAILQ_INSERT_TAIL(&mrs, mr, mrs);
	}
	pthread_mutex_unlock(&lock);
	errno = error ?: errno;
	return mr ? &mr->ibv : NULL;
}

int ibv_dereg_mr(struct ibv_mr *ibv)
{
	struct fake_mr *mr = (struct fake_mr *)ibv;
	void (*call)(void) = atomic_load(&at_dereg);
	int error;

	if (call)
		call();
	pthread_mutex_lock(&lock);
	error = !failing_rkey || ibv->rkey == failing_rkey ? fails(&dereg_failure) : 0;
	if (!error) {
		TAILQ_REMOVE(&mrs, mr, mrs);
		free(mr);
	}
	pthread_mutex_unlock(&lock);
	return error;
}

int ibv_modify_qp(struct ibv_qp *qp, struct ibv_qp_attr *attr, int mask)
{
	int error;

	pthread_mutex_lock(&lock);
	error = modify_error;
	if (!error && mask == IBV_QP_STATE)
		qp->state = attr->qp_state;
	pthread_mutex_unlock(&lock);
	return error;
}

void fake_verbs_reset(void)
{
	struct fake_mr *mr;

	pthread_mutex_lock(&lock);
	while ((mr = TAILQ_FIRST(&mrs))) {
		TAILQ_REMOVE(&mrs, mr, mrs);
		free(mr);
	}
	reg_failure = (struct failure){ 0 };
	dereg_failure = (struct failure){ 0 };
	failing_rkey = 0;
	modify_error = 0;
	reuse_keys = false;
	atomic_store(&at_reg, NULL);
	atomic_store(&at_dereg, NULL);
	fake_verbs_covers = fake_lease_covers;
	strays = 0;
	for (int i = 0; i < 2; i++)
		fake_adapter[i].device = &fake_device[i];
	for (unsigned int i = 0; i < FAKE_QPS; i++) {
		fake_qp[i].context = &fake_adapter[0];
		fake_qp[i].qp_num = 0x11 + i;
		fake_qp[i].state = IBV_QPS_RTS;
	}
	pthread_mutex_unlock(&lock);
}

void fake_verbs_fail_reg(unsigned int nth, unsigned int times, int error)
{
	pthread_mutex_lock(&lock);
	reg_failure = (struct failure){ nth - 1, times, error };
	pthread_mutex_unlock(&lock);
}

/* @rkey: of the only region that it is for; 0: for any. */
static void set_dereg_failure(uint32_t rkey, unsigned int nth, unsigned int times, int error)
{
	pthread_mutex_lock(&lock);
	failing_rkey = rkey;
	dereg_failure = (struct failure){ nth - 1, times, error };
	pthread_mutex_unlock(&lock);
}

void fake_verbs_fail_dereg(unsigned int nth, unsigned int times, int error)
{
	set_dereg_failure(0, nth, times, error);
}

void fake_verbs_fail_dereg_of(uint32_t rkey, unsigned int times, int error)
{
	set_dereg_failure(rkey, 1, times, error);
}

void fake_verbs_fail_modify(int error)
{
	pthread_mutex_lock(&lock);
	modify_error = error;
	pthread_mutex_unlock(&lock);
}

void fake_verbs_at_reg(void (*call)(void))
{
	atomic_store(&at_reg, call);
}

void fake_verbs_at_dereg(void (*call)(void))
{
	atomic_store(&at_dereg, call);
}

void fake_verbs_reuse_keys(void)
{
	pthread_mutex_lock(&lock);
	reuse_keys = true;
	pthread_mutex_unlock(&lock);
}

unsigned int fake_verbs_live(void)
{
	return fake_verbs_live_in(NULL, SIZE_MAX);
}

unsigned int fake_verbs_live_in(const void *addr, size_t length)
{
	uintptr_t start = (uintptr_t)addr;
	struct fake_mr *mr;
	unsigned int n = 0;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(mr, &mrs, mrs) {
		uintptr_t at = (uintptr_t)mr->ibv.addr;

		n += at < start + length && start < at + mr->ibv.length;
	}
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned int fake_verbs_strays(void)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = strays;
	pthread_mutex_unlock(&lock);
	return n;
}

bool fake_verbs_write(uint32_t rkey, size_t offset, uint8_t value)
{
	struct fake_mr *mr;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(mr, &mrs, mrs) {
		if (mr->ibv.rkey == rkey)
			break;
	}
	if (mr)
		((volatile uint8_t *)mr->ibv.addr)[offset] = value;
	pthread_mutex_unlock(&lock);
	return mr;
}

bool fake_qp_fenced(const struct ibv_qp *qp)
{
	bool fenced;

	pthread_mutex_lock(&lock);
	fenced = qp->state == IBV_QPS_ERR;
	pthread_mutex_unlock(&lock);
	return fenced;
}

bool fake_qp_write(const struct ibv_qp *qp, uint32_t rkey, size_t offset, uint8_t value)
{
	return !fake_qp_fenced(qp) && fake_verbs_write(rkey, offset, value);
}

void fake_qp_renew(struct ibv_qp *qp)
{
	pthread_mutex_lock(&lock);
	qp->state = IBV_QPS_RTS;
	pthread_mutex_unlock(&lock);
}
