// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "clock.h"
#include "context.h"
#include "dereg.h"
#include "driver.h"
#include "grant.h"
#include "map.h"
#include "mr.h"
#include "persist.h"
#include "qp.h"
#include "service.h"
#include "timelines.h"

/* A break that takes longer than its drain and this waits for somebody else. */
#define STUCK_NS (1 * MD__SEC)

#define QUESTIONS (MD__DO_ACQUIRE | MD__DO_REGISTER | MD__DO_DEREG | MD__DO_RELEASE)

/* ---- events ------------------------------------------------------------ */

void md__driver_event(struct md_map *map, enum md_event_type type, struct md_event *event)
{
	*event = (struct md_event){
		.type = type,
		.map = map,
		.generation = atomic_load(&map->generation),
		.reason = map->cause.reason,
		.breaker_pid = map->cause.breaker_pid,
		.timeline = map->timeline,
		.user_data = map->user_data,
	};
	memcpy(event->breaker_comm, map->cause.breaker_comm, sizeof(event->breaker_comm));
}

static void post_break(struct md_map *map)
{
	const struct md__cause *cause = &map->cause;
	struct md_event event;
	const char *what;
	char who[40];

	if (cause->breaker_pid)
		snprintf(who, sizeof(who), "%s (pid %d)", cause->breaker_comm, cause->breaker_pid);
	else
		snprintf(who, sizeof(who), "a process that cannot be seen from here");
	switch (cause->reason) {
	case MD_REASON_LAYOUT:
		what = " changes the file's layout";
		break;
	case MD_REASON_TRUNCATE:
		what = " takes blocks out of the file";
		break;
	case MD_REASON_OPEN:
		what = " opens or truncates the file";
		break;
	case MD_REASON_UNMAP:
		what = " unmapped the file behind the library's back";
		break;
	case MD_REASON_REVOKED:
		what = " was not given way in time";
		break;
	case MD_REASON_RELEASE:
		who[0] = '\0';
		what = "md_release() was called";
		break;
	default:
		what = " breaks the lease";
	}
	md__driver_event(map, MD_EVENT_BREAK, &event);
	md__event_say(&event, "break: %s%s: %s", who, what, map->range.text);
	md__slot_post(&map->slot[MD_EVENT_BREAK], &event);
}

/* The release failed just now, by what is not pins and has a sentence. */
static bool is_stuck(const struct md_map *map)
{
	return map->engine.state == MD__RELEASING && map->stuck && map->stuck != EBUSY;
}

static void tell_obstacle(struct md_map *map, char *text, size_t size)
{
	uint64_t pages;

	if (map->engine.state != MD__RELEASING) {
		snprintf(text, size, "regions are left (%s)", strerror(map->stuck));
		return;
	}
	pages = map->ops->foreign(&map->lease);
	if (pages)
		snprintf(text, size, "others still pin %llu pages", (unsigned long long)pages);
	else
		snprintf(text, size, "others still pin pages");
}

static void post_late(struct md_map *map, uint64_t now)
{
	uint64_t deadline = map->timeline.deadline;
	uint64_t left_ms = deadline > now ? (deadline - now) / MD__MSEC : 0;
	struct md_event event;
	char what[80];

	md__driver_event(map, MD_EVENT_LATE, &event);
	event.error = map->stuck;
	event.generation = map->lease.generation;
	if (is_stuck(map)) {
		md__event_say(&event, "late: %s: %s", md_errmsg(), map->range.text);
	} else {
		tell_obstacle(map, what, sizeof(what));
		md__event_say(&event, "late: %s; in %u ms the kernel %s: %s", what,
			      (unsigned int)left_ms, map->ops->at_deadline ?: "kills",
			      map->range.text);
	}
	md__slot_post(&map->slot[MD_EVENT_LATE], &event);
}

static void post_released(struct md_map *map)
{
	const struct md_timeline *t = &map->timeline;
	struct md_event event;

	md__driver_event(map, MD_EVENT_RELEASED, &event);
	md__timelines_fill(map, &event);
	md__event_say(&event, "released after %llu us: %s",
		      (unsigned long long)(t->released - t->broken) / 1000, map->range.text);
	md__slot_post(&map->slot[MD_EVENT_RELEASED], &event);
}

static void post_restored(struct md_map *map)
{
	struct md_event event;

	md__driver_event(map, MD_EVENT_RESTORED, &event);
	md__event_say(&event, "restored as generation %llu: %s",
		      (unsigned long long)event.generation, map->range.text);
	md__slot_post(&map->slot[MD_EVENT_RESTORED], &event);
}

static void post_lost(struct md_map *map)
{
	struct md_event event;

	md__driver_event(map, MD_EVENT_LOST, &event);
	event.error = map->error;
	md__event_say(&event, "lost: %s", map->why);
	md__slot_post(&map->slot[MD_EVENT_LOST], &event);
}

/* ---- questions --------------------------------------------------------- */

/* What this thread just failed with, in case that the map is lost for it. */
static void remember(struct md_map *map)
{
	map->error = errno;
	snprintf(map->why, sizeof(map->why), "%s", md_errmsg());
}

/* Edge-triggered: a lease that is over stays readable until it is closed. */
static int watch(struct md_map *map)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = map };

	if (!epoll_ctl(map->ctx->fd[MD__FD_LEASE], EPOLL_CTL_ADD, map->lease.fd, &ev))
		return 0;
	return md__fail(errno, "%s: cannot wait for breaks: %s", map->range.text, strerror(errno));
}

static void drop(struct md_map *map)
{
	epoll_ctl(map->ctx->fd[MD__FD_LEASE], EPOLL_CTL_DEL, map->lease.fd, NULL);
	md__lease_drop(&map->lease);
}

static int ask_provider(struct md_map *map)
{
	int saved;

	if (!map->lease.step)
		map->lease.fits = false;
	if (map->ops->acquire(map->ctx, &map->range, &map->lease))
		return -1;
	if (!watch(map))
		return 0;
	saved = errno;
	map->ops->release(&map->lease);
	errno = saved;
	return -1;
}

static enum md__in acquire(struct md_map *map)
{
	bool begun;

	map->populate.until = md__now() + map->populate.slice;
	map->populate.paused = false;
	begun = !md__populate_step(&map->populate, 0);
	if (begun && !ask_provider(map))
		return MD__IN_LEASED;
	if (map->populate.paused && errno == EAGAIN) {
		if (begun && !map->lease.step) /* begins anew */
			md__lease_drop(&map->lease);
		return MD__IN_LEASE_PAUSED;
	}
	remember(map);
	md__lease_drop(&map->lease);
	switch (map->error) {
	case EAGAIN:
	case EBUSY:
	case EEXIST:
		return MD__IN_LEASE_BUSY;
	case ENXIO:
	case ENODATA:
	case EMLINK:
		return MD__IN_LEASE_UNFIT;
	case EMFILE: /* others of the process, the user or the file system */
	case ENFILE: /* may take them for a moment */
	case ENOMEM:
	case ENOSPC:
		return map->lease.restored ? MD__IN_LEASE_UNFIT : MD__IN_LEASE_REFUSED;
	default:
		return MD__IN_LEASE_REFUSED;
	}
}

static void note_cause(struct md_map *map, const struct md__notice *notice)
{
	map->cause = (struct md__cause){
		.reason = notice->reason,
		.breaker_pid = notice->breaker_pid,
	};
	memcpy(map->cause.breaker_comm, notice->breaker_comm, sizeof(map->cause.breaker_comm));
}

/* What was noted of a break that has begun stays; a deadline can come closer. */
static void note(struct md_map *map, const struct md__notice *notice, uint64_t now)
{
	struct md_timeline *t = &map->timeline;

	if (map->engine.state == MD__LIVE) {
		note_cause(map, notice);
		*t = (struct md_timeline){ .broken = notice->time, .noticed = now };
	}
	if (notice->deadline && (!t->deadline || notice->deadline < t->deadline))
		t->deadline = notice->deadline;
	if (!notice->revoked)
		return;
	map->cause.reason = MD_REASON_REVOKED;
	md__persist_shut(map);
	md__fail(ETIMEDOUT, "the deadline of a break passed, and the kernel revoked the lease: %s",
		 map->range.text);
	remember(map);
}

static struct md__input to_input(const struct md__notice *notice, uint64_t now)
{
	return (struct md__input){
		.what = notice->revoked ? MD__IN_REVOKED : MD__IN_BREAK,
		.now = now,
		.broken = notice->time,
		.deadline = notice->deadline ?: UINT64_MAX,
	};
}

static struct md__input reg(struct md_map *map)
{
	struct md__input in = { .what = MD__IN_REGISTERED };
	struct md__notice notice;

	if (md__mr_register_all(map)) {
		remember(map);
		in.what = MD__IN_REG_FAILED;
	} else if (map->ops->read(&map->lease, &notice) > 0) {
		/* Nobody has seen this generation, and nobody will, but MD_EVENT_LATE. */
		note_cause(map, &notice);
		map->timeline.deadline = notice.deadline;
		in = to_input(&notice, md__now());
		md__fail(EAGAIN, "the lease was broken as soon as it was taken: %s",
			 map->range.text);
		remember(map);
	}
	return in;
}

static enum md__in dereg(struct md_map *map)
{
	struct md_timeline *t = &map->timeline;

	map->stuck = md__dereg_all(map);
	if (map->stuck)
		return MD__IN_DEREG_FAILED;
	if (!t->deregistered)
		t->deregistered = md__now();
	return MD__IN_DEREGISTERED;
}

static enum md__in release(struct md_map *map)
{
	struct md_timeline *t = &map->timeline;

	md__persist_shut(map);
	map->stuck = map->ops->release(&map->lease) ? errno : 0;
	if (map->stuck)
		return MD__IN_PINNED;
	if (!t->released)
		t->released = md__now();
	drop(map);
	return MD__IN_RELEASED;
}

/* ---- steps ------------------------------------------------------------- */

static void open_gate(struct md_map *map)
{
	atomic_store(&map->generation, map->lease.generation);
	if (map->timeline.released)
		map->timeline.restored = md__now();
	map->pending = 0;
	md__qp_forget_fences(map);
	md__persist_open(map);
	md__guard_open(&map->guard);
	md__grants_offer(map);
}

/* Who is waited for in vain: the peers, or this process, by what has no peer. */
static void fence(struct md_map *map)
{
	if (map->pending & MD__PARTY_PEERS)
		md__grants_fence(map);
	if (map->pending & (MD__PARTY_USES | MD__PARTY_APP))
		md__qp_fence_of(map, NULL, MD_REASON_BUDGET);
	map->timeline.fenced = md__now();
}

static void carry_out(struct md_map *map, unsigned int act, uint64_t now)
{
	if (act & MD__DO_SHUT) {
		md__guard_shut(&map->guard, EAGAIN);
		map->pending |= MD__PARTY_USES;
	}
	if (act & MD__DO_OPEN)
		open_gate(map);
	/* A map that shows to be live can be used. */
	atomic_store(&map->state, md__engine_public(&map->engine));
	if (act & MD__DO_LOSE)
		md__guard_shut(&map->guard, ESTALE);
	if (act & MD__DO_TELL) {
		map->timeline.told = md__now();
		atomic_store(&map->urgent, now + map->ctx->budget_ns + STUCK_NS);
		map->pending |= MD__PARTY_APP | MD__PARTY_PEERS;
		md__grants_recall(map, map->timeline.told);
		post_break(map);
	}
	if (act & MD__EV_LATE)
		post_late(map, now);
	if (act & MD__EV_RELEASED)
		post_released(map);
	if (act & MD__EV_RESTORED)
		post_restored(map);
	if (act & MD__EV_LOST) {
		md__grants_lose(map);
		post_lost(map);
	}
	if (act & MD__DO_DEREG && !map->timeline.drained)
		map->timeline.drained = now;
	if (act & MD__DO_FENCE)
		fence(map);
}

static struct md__input answer(struct md_map *map, unsigned int question)
{
	struct md__input in = { 0 };

	switch (question) {
	case MD__DO_ACQUIRE:
		in.what = acquire(map);
		in.fits = map->lease.fits;
		in.again = map->populate.again;
		break;
	case MD__DO_REGISTER:
		in = reg(map);
		break;
	case MD__DO_DEREG:
		in.what = dereg(map);
		break;
	case MD__DO_RELEASE:
		in.what = release(map);
		in.stuck = is_stuck(map);
		break;
	}
	in.now = md__now();
	/* Jitter needs no more than numbers that differ between processes. */
	in.random = (uint32_t)in.now;
	return in;
}

static void run(struct md_map *map, unsigned int act, uint64_t now)
{
	for (;;) {
		struct md__input in;

		assert(!(act & MD__DO_COMPLAIN));
		atomic_store(&map->timer, map->engine.timer);
		carry_out(map, act, now);
		if (!(act & QUESTIONS))
			break;
		md__events_tell(map->ctx);
		in = answer(map, act & QUESTIONS);
		act = md__engine_step(&map->engine, &in);
		now = in.now;
	}
	/* Given up between two parts of it. */
	if (map->lease.step && map->engine.state != MD__ACQUIRING)
		md__lease_drop(&map->lease);
}

static void feed(struct md_map *map, struct md__input in)
{
	run(map, md__engine_step(&map->engine, &in), in.now);
}

static void feed_parties(struct md_map *map)
{
	unsigned int parties = 0;

	if (map->pending & MD__PARTY_USES && !md__guard_uses(&map->guard))
		parties |= MD__PARTY_USES;
	if (map->pending & MD__PARTY_APP && md__slot_idle(&map->slot[MD_EVENT_BREAK]))
		parties |= MD__PARTY_APP;
	if (map->pending & MD__PARTY_PEERS && !atomic_load(&map->open_recalls))
		parties |= MD__PARTY_PEERS;
	if (!parties)
		return;
	map->pending &= ~parties;
	feed(map, (struct md__input){ .what = MD__IN_DONE, .now = md__now(), .parties = parties });
}

/*
 * The gate is shut before the lock is taken: a thread that registers a large
 * region may have it for long, and new uses are not to begin meanwhile.
 */
static void take_notices(struct md_map *map)
{
	struct md__notice notice;

	while (map->lease.fd >= 0 && map->ops->read(&map->lease, &notice) > 0) {
		uint64_t now = md__now();

		md__guard_shut(&map->guard, EAGAIN);
		pthread_mutex_lock(&map->lock);
		note(map, &notice, now);
		feed(map, to_input(&notice, now));
		pthread_mutex_unlock(&map->lock);
	}
}

static void take_request(struct md_map *map, atomic_bool *asked, enum md__in what)
{
	if (!atomic_load(asked))
		return;
	pthread_mutex_lock(&map->lock);
	if (atomic_exchange(asked, false))
		feed(map, (struct md__input){
				  .what = what, .now = md__now(), .random = (uint32_t)md__now() });
	pthread_mutex_unlock(&map->lock);
}

bool md__driver_turn(struct md_map *map, uint64_t restore_ns, uint64_t now)
{
	uint64_t timer = atomic_load(&map->timer);
	bool restores;

	map->populate.slice = restore_ns;
	/* In this order: what was asked of a live map says nothing of its break. */
	take_request(map, &map->restore_asked, MD__IN_RESTORE);
	take_request(map, &map->want_asked, MD__IN_WANT);
	if (atomic_exchange(&map->readable, false))
		take_notices(map);
	pthread_mutex_lock(&map->lock);
	if (atomic_exchange(&map->punish, false))
		md__grants_punish(map);
	if (atomic_exchange(&map->reconnected, false))
		md__grants_reconnected(map);
	feed_parties(map);
	if (timer && timer <= now)
		feed(map, (struct md__input){ .what = MD__IN_TIMER, .now = md__now() });
	restores = map->engine.state == MD__ACQUIRING;
	pthread_mutex_unlock(&map->lock);
	return restores;
}

int md__driver_start(struct md_map *map)
{
	const struct md_context *ctx = map->ctx;
	unsigned int act;

	pthread_mutex_lock(&map->lock);
	act = md__engine_start(&map->engine, map->restore, map->on_demand, ctx->budget_ns,
			       ctx->fit_limit_ns);
	run(map, act, md__now());
	pthread_mutex_unlock(&map->lock);
	map->lease.restored = true;
	if (map->engine.state == MD__LIVE)
		return 0;
	return md__fail(map->error, "%s", map->why);
}

void md__driver_release(struct md_map *map)
{
	uint64_t now = md__now();

	atomic_store(&map->restore_asked, false);
	atomic_store(&map->want_asked, false);
	if (map->engine.state == MD__LIVE) {
		map->cause = (struct md__cause){ .reason = MD_REASON_RELEASE };
		map->timeline = (struct md_timeline){ .broken = now, .noticed = now };
	}
	feed(map, (struct md__input){ .what = MD__IN_RELEASE, .now = now });
}

void md__driver_stop(struct md_map *map)
{
	md__guard_shut(&map->guard, EAGAIN);
	atomic_store(&map->timer, 0);
	if (map->lease.fd < 0)
		return;
	md__persist_shut(map);
	if (map->ops->release(&map->lease) && errno == EBUSY)
		md__lease_keep_anchor(&map->lease);
	drop(map);
}
