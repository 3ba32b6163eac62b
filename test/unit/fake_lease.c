// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "clock.h"
#include "errmsg.h"
#include "fake_lease.h"
#include "fake_verbs.h"
#include "populate.h"

#define LEASES 16
#define NOTICES 4
#define FAKE_PAGE 4096

struct held {
	bool held;
	int fd;
	char *addr;
	size_t length;
	struct md__notice notice[NOTICES];
	unsigned int notices;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct held leases[LEASES];
static uint64_t last_generation;
static unsigned int failures, breaks, pins, tries, strays;
static int failure;
static _Atomic(void (*)(unsigned int page)) at_page;

static struct held *find(int fd)
{
	for (int i = 0; i < LEASES; i++) {
		if (leases[i].held && leases[i].fd == fd)
			return &leases[i];
	}
	return NULL;
}

static struct held *unused(void)
{
	int i = 0;

	while (leases[i].held)
		i++;
	return &leases[i];
}

static void notify(struct held *h, bool revoked, enum md_reason reason, unsigned int deadline_ms)
{
	const uint64_t one = 1;
	uint64_t now = md__now();

	if (h->notices == NOTICES)
		return;
	h->notice[h->notices] = (struct md__notice){
		.revoked = revoked,
		.reason = reason,
		.time = now,
		.deadline = now + deadline_ms * MD__MSEC,
		.breaker_pid = FAKE_PID,
	};
	strcpy(h->notice[h->notices++].breaker_comm, FAKE_COMM);
	/* Adds to a counter far from full. */
	(void)!write(h->fd, &one, sizeof(one));
}

/* ---- the provider ----------------------------------------------------- */

static void check(struct md_context *ctx, const struct md__range *range,
		  struct md_query_result *result)
{
	(void)ctx;
	result->provider = MD_PROVIDER_KMOD;
	snprintf(result->reason, sizeof(result->reason), "fake: %s", range->text);
}

static int take(const struct md__range *range, struct md__lease *lease)
{
	struct held *h;

	tries++;
	if (failures) {
		failures -= failures != FAKE_FOR_EVER;
		lease->fits |= failure == EAGAIN;
		return md__fail(failure, "fake: %s: %s", strerror(failure), range->text);
	}
	if (mmap(lease->addr, lease->length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
		 range->fd, (off_t)range->offset) == MAP_FAILED)
		return md__fail(errno, "fake: mmap");
	lease->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (lease->fd < 0)
		return md__fail(errno, "fake: eventfd");
	/* The library may close a lease without release: the number comes again. */
	h = find(lease->fd);
	if (!h)
		h = unused();
	*h = (struct held){
		.held = true,
		.fd = lease->fd,
		.addr = lease->addr,
		.length = lease->length,
	};
	lease->generation = ++last_generation;
	if (breaks) {
		breaks -= breaks != FAKE_FOR_EVER;
		notify(h, false, MD_REASON_LAYOUT, 1000);
	}
	return 0;
}

static int populate(struct md__lease *lease)
{
	const unsigned int pages = (unsigned int)(lease->length / FAKE_PAGE);

	if (!lease->step)
		md__populate_begin(lease->populate, lease->length, 0);
	lease->step = 1;
	while (lease->done < pages) {
		void (*call)(unsigned int page) = atomic_load(&at_page);

		if (call)
			call((unsigned int)lease->done);
		lease->done++;
		if (md__populate_step(lease->populate, FAKE_PAGE))
			return -1;
	}
	return 0;
}

static int acquire(struct md_context *ctx, const struct md__range *range, struct md__lease *lease)
{
	int err;

	(void)ctx;
	if (populate(lease))
		return -1;
	lease->step = 0;
	lease->done = 0;
	pthread_mutex_lock(&lock);
	err = take(range, lease);
	pthread_mutex_unlock(&lock);
	return err;
}

static int read_notice(struct md__lease *lease, struct md__notice *notice)
{
	struct held *h;
	uint64_t count;
	int n = 0;

	pthread_mutex_lock(&lock);
	h = find(lease->fd);
	if (h && h->notices) {
		*notice = h->notice[0];
		memmove(h->notice, h->notice + 1, --h->notices * sizeof(*notice));
		n = 1;
	} else {
		(void)!read(lease->fd, &count, sizeof(count));
	}
	pthread_mutex_unlock(&lock);
	return n;
}

static int release(struct md__lease *lease)
{
	unsigned int regions = fake_verbs_live_in(lease->addr, lease->length);
	struct held *h;
	int err = 0;

	pthread_mutex_lock(&lock);
	strays += !!regions;
	h = find(lease->fd);
	if (pins) {
		pins -= pins != FAKE_FOR_EVER;
		err = md__fail(EBUSY, "fake: pinned");
	} else if (h) {
		h->held = false;
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static uint64_t foreign(struct md__lease *lease)
{
	(void)lease;
	return 123;
}

const struct md__lease_ops fake_lease = {
	.provider = MD_PROVIDER_KMOD,
	.check = check,
	.acquire = acquire,
	.read = read_notice,
	.release = release,
	.foreign = foreign,
};

/* ---- the test's side --------------------------------------------------- */

void fake_lease_reset(void)
{
	pthread_mutex_lock(&lock);
	memset(leases, 0, sizeof(leases));
	failures = breaks = pins = tries = strays = 0;
	atomic_store(&at_page, NULL);
	pthread_mutex_unlock(&lock);
}

void fake_lease_fail(unsigned int times, int error)
{
	pthread_mutex_lock(&lock);
	failures = times;
	failure = error;
	pthread_mutex_unlock(&lock);
}

void fake_lease_at_page(void (*call)(unsigned int page))
{
	atomic_store(&at_page, call);
}

void fake_lease_break_next(unsigned int times)
{
	pthread_mutex_lock(&lock);
	breaks = times;
	pthread_mutex_unlock(&lock);
}

void fake_lease_pin(unsigned int times)
{
	pthread_mutex_lock(&lock);
	pins = times;
	pthread_mutex_unlock(&lock);
}

static void notify_all(bool revoked, enum md_reason reason, unsigned int deadline_ms)
{
	pthread_mutex_lock(&lock);
	for (int i = 0; i < LEASES; i++) {
		if (leases[i].held)
			notify(&leases[i], revoked, reason, deadline_ms);
	}
	pthread_mutex_unlock(&lock);
}

void fake_lease_break(enum md_reason reason, unsigned int deadline_ms)
{
	notify_all(false, reason, deadline_ms);
}

void fake_lease_revoke(void)
{
	notify_all(true, MD_REASON_LAYOUT, 0);
}

unsigned int fake_lease_held(void)
{
	unsigned int n = 0;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < LEASES; i++)
		n += leases[i].held;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned int fake_lease_tries(void)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = tries;
	pthread_mutex_unlock(&lock);
	return n;
}

unsigned int fake_lease_strays(void)
{
	unsigned int n;

	pthread_mutex_lock(&lock);
	n = strays;
	pthread_mutex_unlock(&lock);
	return n;
}

bool fake_lease_covers(const void *addr, size_t length)
{
	const char *at = addr;
	bool covers = false;

	pthread_mutex_lock(&lock);
	for (int i = 0; i < LEASES; i++) {
		const struct held *h = &leases[i];

		covers |= h->held && at >= h->addr && at + length <= h->addr + h->length;
	}
	pthread_mutex_unlock(&lock);
	return covers;
}
