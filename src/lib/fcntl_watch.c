// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "context.h"
#include "errmsg.h"
#include "fcntl_watch.h"
#include "proc.h"
#include "thread.h"

#define LEASE_BREAK_TIME "/proc/sys/fs/lease-break-time"

/* A real-time signal is queued: see mapdirect(7). */
#define BREAK_SIGNAL (SIGRTMAX - 2)

/*
 * With RLIMIT_SIGPENDING used up the kernel sends SIGIO instead, which is not
 * ours to take: so now and then the leases are looked at without a signal.
 */
#define PERIOD (1 * MD__SEC)

/* The end of a lease that the kernel takes comes without a signal. */
#define BREAK_PERIOD (100 * MD__MSEC)

/* Starting and ending the thread; before "lock", which the thread takes. */
static pthread_mutex_t start_lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned int users;
static pthread_t thread;
static sem_t started;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, md__fcntl_lease) leases = TAILQ_HEAD_INITIALIZER(leases);

static pid_t thread_id;
static atomic_bool stop;

/* ---- the thread ---------------------------------------------------------- */

static void tell(struct md__fcntl_lease *l, uint64_t time, bool revoked)
{
	l->notice[l->notices++] = (struct md__notice){
		.revoked = revoked,
		.reason = MD_REASON_OPEN,
		.time = time,
		.deadline = l->deadline,
	};
	md__fd_raise(l->event);
}

/*
 * Has the kernel ended a lease that is being broken? It takes the signal off the
 * open file then (lease_modify() in fs/locks.c). Where it leaves a read lease,
 * since the breaker only reads, our clock has to do.
 */
static bool is_over(const struct md__fcntl_lease *l, uint64_t now)
{
	return (l->deadline && l->deadline <= now) || !fcntl(l->file, F_GETSIG);
}

/* @since: it was not broken yet then. */
static void look(struct md__fcntl_lease *l, uint64_t since, uint64_t now)
{
	if (!l->broken && fcntl(l->file, F_GETLEASE) != F_WRLCK) {
		long seconds = md__proc_number(LEASE_BREAK_TIME);

		if (since < l->taken)
			since = l->taken;
		if (seconds > 0)
			l->deadline = since + (uint64_t)seconds * MD__SEC;
		l->broken = true;
		tell(l, since, false);
	}
	if (l->broken && !l->revoked && is_over(l, now)) {
		l->revoked = true;
		tell(l, now, true);
	}
}

static uint64_t min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns when to look again. */
static uint64_t look_at_all(uint64_t since, uint64_t now)
{
	uint64_t next = now + PERIOD;
	struct md__fcntl_lease *l;

	pthread_mutex_lock(&lock);
	TAILQ_FOREACH(l, &leases, leases) {
		look(l, since, now);
		if (l->broken && !l->revoked)
			next = min(next, min(now + BREAK_PERIOD, l->deadline ?: next));
	}
	pthread_mutex_unlock(&lock);
	return next;
}

static void *watch(void *unused)
{
	uint64_t now = md__now(), before = now;
	bool woken = false;
	sigset_t set;

	(void)unused;
	sigemptyset(&set);
	sigaddset(&set, BREAK_SIGNAL);
	thread_id = gettid();
	sem_post(&started);
	while (!atomic_load(&stop)) {
		uint64_t next = look_at_all(woken ? now : before, now), pause = next - now;
		const struct timespec timeout = {
			.tv_sec = (time_t)(pause / MD__SEC),
			.tv_nsec = (long)(pause % MD__SEC),
		};

		before = now;
		woken = sigtimedwait(&set, NULL, &timeout) > 0;
		now = md__now();
	}
	return NULL;
}

/* The thread and its leases are the parent's. */
static void in_child(void)
{
	pthread_mutex_init(&start_lock, NULL);
	pthread_mutex_init(&lock, NULL);
	TAILQ_INIT(&leases);
	users = 0;
}

static int register_error;

static void register_handler(void)
{
	register_error = pthread_atfork(NULL, NULL, in_child);
}

static int start(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	int err;

	pthread_once(&once, register_handler);
	if (register_error)
		return md__fail(register_error, "cannot prepare for fork(): %s",
				strerror(register_error));
	atomic_store(&stop, false);
	sem_init(&started, 0, 0);
	err = md__thread_start(&thread, watch, NULL);
	if (err) {
		sem_destroy(&started);
		return md__fail(err, "cannot start the thread that hears of breaks: %s",
				strerror(err));
	}
	pthread_setname_np(thread, "mapdirect-lease");
	while (sem_wait(&started) && errno == EINTR)
		;
	sem_destroy(&started);
	return 0;
}

int md__fcntl_watch_enter(void)
{
	int err = 0;

	pthread_mutex_lock(&start_lock);
	if (!users)
		err = start();
	users += !err;
	pthread_mutex_unlock(&start_lock);
	return err;
}

void md__fcntl_watch_leave(void)
{
	pthread_mutex_lock(&start_lock);
	if (!--users) {
		atomic_store(&stop, true);
		pthread_kill(thread, BREAK_SIGNAL);
		pthread_join(thread, NULL);
	}
	pthread_mutex_unlock(&start_lock);
}

/* ---- leases -------------------------------------------------------------- */

/*
 * Of one open file the kernel has one lease, and a second request would only
 * change it; and while it is being broken F_GETLEASE may say that there is none.
 */
static bool is_taken(int file, const struct stat *st)
{
	const struct md__fcntl_lease *l;

	TAILQ_FOREACH(l, &leases, leases) {
		if (l->dev == st->st_dev && l->ino == st->st_ino)
			return true;
	}
	return fcntl(file, F_GETLEASE) != F_UNLCK;
}

bool md__fcntl_watch_taken(int file)
{
	struct stat st;
	bool taken;

	if (fstat(file, &st))
		return false;
	pthread_mutex_lock(&lock);
	taken = is_taken(file, &st);
	pthread_mutex_unlock(&lock);
	return taken;
}

/* Whom to tell must be known before there can be anything to tell. */
static int set_lease(int file)
{
	const struct f_owner_ex own = { .type = F_OWNER_TID, .pid = thread_id };
	int signal = fcntl(file, F_GETSIG), saved;
	struct f_owner_ex old;

	if (signal < 0 || fcntl(file, F_GETOWN_EX, &old) < 0)
		return -1;
	if (!fcntl(file, F_SETOWN_EX, &own) && !fcntl(file, F_SETSIG, BREAK_SIGNAL) &&
	    !fcntl(file, F_SETLEASE, F_WRLCK))
		return 0;
	saved = errno;
	fcntl(file, F_SETSIG, signal);
	fcntl(file, F_SETOWN_EX, &old);
	errno = saved;
	return -1;
}

static int take(struct md__fcntl_lease *lease)
{
	struct stat st;

	if (fstat(lease->file, &st))
		return -1;
	lease->dev = st.st_dev;
	lease->ino = st.st_ino;
	if (is_taken(lease->file, &st)) {
		errno = EEXIST;
		return -1;
	}
	if (set_lease(lease->file))
		return -1;
	lease->taken = md__now();
	lease->watched = true;
	TAILQ_INSERT_TAIL(&leases, lease, leases);
	return 0;
}

int md__fcntl_watch_take(struct md__fcntl_lease *lease)
{
	int err;

	pthread_mutex_lock(&lock);
	err = take(lease);
	pthread_mutex_unlock(&lock);
	return err;
}

/*
 * Closing the file would not do: in a child of fork(2) it may be open still. That
 * the kernel has ended the lease shows by EAGAIN; to who has no right it says
 * EACCES first (generic_setlease() in fs/locks.c), and the signal has to tell.
 */
int md__fcntl_watch_end(struct md__fcntl_lease *lease)
{
	bool left;

	pthread_mutex_lock(&lock);
	if (lease->watched)
		TAILQ_REMOVE(&leases, lease, leases);
	lease->watched = false;
	left = fcntl(lease->file, F_SETLEASE, F_UNLCK) && errno == EACCES &&
	       fcntl(lease->file, F_GETSIG);
	pthread_mutex_unlock(&lock);
	return left ? -1 : 0;
}

int md__fcntl_watch_read(struct md__fcntl_lease *lease, struct md__notice *notice)
{
	int n = 0;

	pthread_mutex_lock(&lock);
	/* Between the thread's looks it may have been ended. */
	if (lease->broken)
		look(lease, lease->taken, md__now());
	if (lease->notices) {
		*notice = lease->notice[0];
		lease->notice[0] = lease->notice[1];
		lease->notices--;
		n = 1;
	} else {
		md__fd_lower(lease->event);
	}
	pthread_mutex_unlock(&lock);
	return n;
}
