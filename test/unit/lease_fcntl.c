// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * The provider for other files, with leases of this machine's kernel, which
 * other processes break; on the file systems of /dev/shm and of /tmp.
 */

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clock.h"
#include "fixture.h"

#define LENGTH ((size_t)FILE_PAGES * PAGE)
#define SOON_MS 5000

static const char *directory;
static char path[64];
static int leased; /* PATH, open, as the application has it */

static int new_file(char *name, size_t size)
{
	int fd;

	snprintf(name, size, "%s/mapdirect-unit-XXXXXX", directory);
	fd = mkostemp(name, O_CLOEXEC);
	CU_ASSERT_FATAL(fd >= 0);
	for (int i = 0; i < FILE_PAGES; i++)
		CU_ASSERT_EQUAL(pwrite(fd, "page", 4, i * PAGE), 4);
	CU_ASSERT_EQUAL(ftruncate(fd, (off_t)LENGTH), 0);
	return fd;
}

/* Memory that can be read; a reservation cannot. */
static bool accessible(const void *addr, size_t length)
{
	const char *first = addr;

	return write(file, first, 1) == 1 && write(file, first + length - 1, 1) == 1;
}

static void set_up(void)
{
	fixture_setup();
	fake_verbs_covers = accessible;
	leased = new_file(path, sizeof(path));
}

/* How many threads the library has to hear of breaks. */
static int count_watches(void)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	while ((entry = readdir(dir))) {
		char name[300], comm[20] = "";
		int fd;

		snprintf(name, sizeof(name), "/proc/self/task/%s/comm", entry->d_name);
		fd = open(name, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && read(fd, comm, sizeof(comm) - 1) > 0)
			n += !strcmp(comm, "mapdirect-lease\n");
		close(fd);
	}
	closedir(dir);
	return n;
}

/* One that was joined is listed for another moment. */
static bool no_watch_is_left(void)
{
	for (int ms = 0; ms < SOON_MS && count_watches(); ms++)
		usleep(1000);
	return !count_watches();
}

static void tear_down(void)
{
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
	close(leased);
	unlink(path);
	CU_ASSERT(no_watch_is_left());
	fixture_teardown();
}

static struct md_map *try_map(int fd, uint32_t flags, size_t length)
{
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = flags,
		.provider = MD_PROVIDER_FCNTL,
	};

	errno = 0;
	return md_map(ctx, fd, 0, length, &attr);
}

static struct md_map *map_leased(uint32_t flags)
{
	struct md_map *map = try_map(leased, flags, LENGTH);

	if (!map)
		printf("\n    md_map: %s ", md_errmsg());
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	return map;
}

/* ---- who breaks -------------------------------------------------------- */

struct breaker {
	pid_t pid;
	int through; /* readable when its call has returned */
	int go;	     /* closed when it may end, and close the file */
};

static int open_to_read(const char *name)
{
	return open(name, O_RDONLY | O_CLOEXEC);
}

static int open_to_write(const char *name)
{
	return open(name, O_RDWR | O_CLOEXEC);
}

static int open_and_cut(const char *name)
{
	return open(name, O_WRONLY | O_TRUNC | O_CLOEXEC);
}

static int do_truncate(const char *name)
{
	return truncate(name, 0);
}

static void breaker_start(struct breaker *b, int (*op)(const char *name))
{
	int through[2], go[2];
	char byte;

	CU_ASSERT_FATAL(!pipe2(through, O_CLOEXEC) && !pipe2(go, O_CLOEXEC));
	fflush(stdout);
	b->pid = fork();
	CU_ASSERT_FATAL(b->pid >= 0);
	if (!b->pid) {
		close(leased);
		close(go[1]);
		if (op(path) < 0 || write(through[1], "", 1) != 1)
			_exit(1);
		_exit(read(go[0], &byte, 1) != 0);
	}
	close(through[1]);
	close(go[0]);
	b->through = through[0];
	b->go = go[1];
}

static bool breaker_is_through(struct breaker *b, int limit_ms)
{
	struct pollfd pfd = { .fd = b->through, .events = POLLIN };

	return poll(&pfd, 1, limit_ms) == 1;
}

static void breaker_finish(struct breaker *b)
{
	int status;

	CU_ASSERT(breaker_is_through(b, SOON_MS));
	close(b->go);
	waitpid(b->pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	close(b->through);
}

/* ---- what is given ----------------------------------------------------- */

static void map__by_name__leased_and_shared_with_the_file(void)
{
	struct md_map *map = map_leased(0);
	char *addr = md_map_addr(map), text[4];

	CU_ASSERT_EQUAL(md_map_provider(map), MD_PROVIDER_FCNTL);
	CU_ASSERT_NOT_EQUAL(md_map_generation(map), 0);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_EQUAL(count_watches(), 1);
	CU_ASSERT_EQUAL(md_map_get(map), 0);
	CU_ASSERT_EQUAL(memcmp(addr + PAGE, "page", 4), 0);
	memcpy(addr + PAGE, "mine", 4);
	md_map_put(map);
	CU_ASSERT_EQUAL(pread(leased, text, 4, PAGE), 4);
	CU_ASSERT_EQUAL(memcmp(text, "mine", 4), 0);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETOWN), 0);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETSIG), 0);
	CU_ASSERT_EQUAL(fake_lease_tries(), 0);
}

/* It promises less than a plain md_map() asks for. */
static void map__without_a_name__never_by_fcntl(void)
{
	struct md_map *map = md_map(ctx, leased, 0, LENGTH, NULL);

	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_map_provider(map), MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
	fixture_unmap(map);
	fake_lease_fail(1, ENODEV);
	CU_ASSERT_PTR_NULL(md_map(ctx, leased, 0, LENGTH, NULL));
	ASSERT_FAILED(ENODEV, "fake");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
}

static void map__holes__enodata_or_filled(void)
{
	struct md_map *map;
	struct stat st;

	CU_ASSERT_EQUAL(ftruncate(leased, PAGE), 0);
	CU_ASSERT_EQUAL(ftruncate(leased, (off_t)LENGTH), 0);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(ENODATA, "bytes 4096 to 16383 were never written");
	map = map_leased(MD_MAP_ALLOCATE);
	CU_ASSERT_EQUAL(fstat(leased, &st), 0);
	CU_ASSERT_EQUAL(st.st_blocks * 512, (off_t)LENGTH);
	fixture_unmap(map);
}

/* Holes are gone through MiB by MiB; the last event tells that all is done. */
static void map__large_hole__tells_progress(void)
{
	const size_t large = (size_t)8 << 20;
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE | MD_MAP_PROGRESS,
		.provider = MD_PROVIDER_FCNTL,
	};
	struct md_event *event;
	struct md_map *map;

	CU_ASSERT_EQUAL(ftruncate(leased, (off_t)large), 0);
	map = md_map(ctx, leased, 0, large, &attr);
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	event = expect_event(MD_EVENT_POPULATE);
	CU_ASSERT_EQUAL(event->done, large);
	CU_ASSERT_EQUAL(event->total, large);
	md_ack_event(event);
	fixture_unmap(map);
}

static void persist__any_part__done(void)
{
	struct md_map *map = map_leased(0);

	CU_ASSERT_EQUAL(md_persist(map, 0, LENGTH), 0);
	CU_ASSERT_EQUAL(md_persist(map, 1, 1), 0);
	CU_ASSERT_EQUAL(md_persist(map, PAGE - 1, 2), 0);
	CU_ASSERT_EQUAL(md_persist(map, LENGTH, 0), 0);
	CU_ASSERT_EQUAL(md_persist(map, LENGTH - 1, 1), 0);
	fixture_unmap(map);
}

/* ---- breaks ------------------------------------------------------------ */

static void check_break(const struct md_event *event, struct breaker *b)
{
	const struct md_timeline *t = &event->timeline;
	uint64_t now = md__now();

	CU_ASSERT_EQUAL(event->reason, MD_REASON_OPEN);
	CU_ASSERT_EQUAL(event->breaker_pid, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(event->message, "opens or truncates"));
	CU_ASSERT(t->broken <= t->noticed && t->noticed <= now);
	/* Whatever lease-break-time is. */
	CU_ASSERT(t->deadline > now && (t->deadline - t->broken) % MD__SEC == 0);
	CU_ASSERT_FALSE(breaker_is_through(b, 50));
}

/* With a region in use: it is gone before the breaker is through. */
static void break_and_restore(int (*op)(const char *name))
{
	struct md_map *map = map_leased(MD_MAP_RESTORE | MD_MAP_ALLOCATE);
	struct md_mr *mr = md_reg_mr(&fake_pd, map, 0, LENGTH, RW);
	uint64_t generation = md_map_generation(map), acked, took;
	struct md_event *event;
	struct breaker b;
	uint32_t rkey;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mr);
	rkey = mr->rkey;
	breaker_start(&b, op);
	event = expect_event(MD_EVENT_BREAK);
	check_break(event, &b);
	CU_ASSERT(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT_EQUAL(md_map_get(map), -1);
	acked = md__now();
	md_ack_event(event);
	event = expect_event(MD_EVENT_RELEASED);
	CU_ASSERT_EQUAL(fake_verbs_live(), 0);
	CU_ASSERT_FALSE(fake_verbs_write(rkey, 0, 1));
	CU_ASSERT(breaker_is_through(&b, SOON_MS));
	took = md__now() - acked;
	CU_ASSERT(took < SOON_MS * MD__MSEC / 2);
	CU_ASSERT(event->timeline.deregistered <= event->timeline.released);
	md_ack_event(event);
	if (op == open_to_read || op == open_to_write) {
		expect_no_event();
		CU_ASSERT_FALSE(accessible(md_map_addr(map), LENGTH));
	} else {
		CU_ASSERT_EQUAL(ftruncate(leased, (off_t)LENGTH), 0);
	}
	breaker_finish(&b);
	pass_event(MD_EVENT_RESTORED);
	CU_ASSERT(md_map_generation(map) > generation);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_NOT_EQUAL(mr->rkey, rkey);
	CU_ASSERT(fake_verbs_write(mr->rkey, 0, 1));
	expect_no_event();
	CU_ASSERT_EQUAL(md_dereg_mr(mr), 0);
	fixture_unmap(map);
}

static void break__opened_for_reading__released_and_restored(void)
{
	break_and_restore(open_to_read);
}

static void break__opened_for_writing__released_and_restored(void)
{
	break_and_restore(open_to_write);
}

static void break__truncated_by_open__released_and_restored(void)
{
	break_and_restore(open_and_cut);
}

static void break__truncated__released_and_restored(void)
{
	break_and_restore(do_truncate);
}

/* Not only by looking now and then. */
static void break__comes__at_once(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 3; i++) {
		struct md_map *map = map_leased(0);
		uint64_t start = md__now(), took;
		struct breaker b;

		breaker_start(&b, open_to_read);
		pass_event(MD_EVENT_BREAK);
		took = md__now() - start;
		best = took < best ? took : best;
		pass_event(MD_EVENT_RELEASED);
		breaker_finish(&b);
		fixture_unmap(map);
	}
	CU_ASSERT(best < 200 * MD__MSEC);
}

/* That the breakers above were soon through is not by chance. */
static void break__not_answered__breaker_waits(void)
{
	struct md_map *map = map_leased(0);
	struct md_event *event;
	struct breaker b;

	breaker_start(&b, open_to_read);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_FALSE(breaker_is_through(&b, 1000));
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_BREAKING);
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
}

static void break__in_it_unmapped__breaker_goes_on(void)
{
	struct md_map *map = map_leased(MD_MAP_RESTORE);
	struct breaker b;

	breaker_start(&b, open_to_write);
	expect_state(map, MD_MAP_BREAKING);
	fixture_unmap(map);
	breaker_finish(&b);
}

static void break__one_of_several__others_stay(void)
{
	char name[3][64];
	struct md_map *map[3], *first = map_leased(0);
	struct breaker b;
	int fd[3];

	for (int i = 0; i < 3; i++) {
		fd[i] = new_file(name[i], sizeof(name[i]));
		map[i] = try_map(fd[i], 0, LENGTH);
		CU_ASSERT_PTR_NOT_NULL_FATAL(map[i]);
	}
	CU_ASSERT_EQUAL(count_watches(), 1);
	breaker_start(&b, do_truncate);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	expect_no_event();
	for (int i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(md_map_state(map[i]), MD_MAP_LIVE);
		fixture_unmap(map[i]);
		close(fd[i]);
		unlink(name[i]);
	}
	fixture_unmap(first);
}

/* The kernel does not even queue a signal that is ignored and not blocked. */
static void break__application_ignores_all_signals__comes(void)
{
	struct sigaction old[65], ignore = { .sa_handler = SIG_IGN };
	struct md_map *map;
	struct breaker b;

	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		sigaction(i, &ignore, &old[i]);
	map = map_leased(0);
	breaker_start(&b, open_to_read);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
	for (int i = SIGRTMIN; i <= SIGRTMAX; i++)
		sigaction(i, &old[i], NULL);
}

/* ---- what is refused --------------------------------------------------- */

static void map__open_elsewhere__eagain(void)
{
	int reader = open_to_read(path);
	struct md_map *map;

	CU_ASSERT_EQUAL(fcntl(leased, F_SETOWN, getpid()), 0);
	CU_ASSERT_PTR_NULL(try_map(leased, MD_MAP_RESTORE, LENGTH));
	ASSERT_FAILED(EAGAIN, "open elsewhere");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETOWN), getpid());
	CU_ASSERT_EQUAL(fcntl(leased, F_GETSIG), 0);
	close(reader);
	map = map_leased(0);
	fixture_unmap(map);
}

static void map__leased_already__eexist(void)
{
	struct md_map *map = map_leased(0);

	CU_ASSERT_PTR_NULL(try_map(leased, 0, PAGE));
	ASSERT_FAILED(EEXIST, "has a lease already");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	fixture_unmap(map);
	CU_ASSERT_EQUAL(fcntl(leased, F_SETLEASE, F_WRLCK), 0);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EEXIST, "has a lease already");
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	CU_ASSERT_EQUAL(fcntl(leased, F_SETLEASE, F_UNLCK), 0);
}

/* The kernel says of a lease that is to end that there is none. */
static void map__leased_and_being_broken__eexist(void)
{
	struct md_map *map = map_leased(0);
	struct md_event *event;
	struct breaker b;

	breaker_start(&b, open_to_write);
	event = expect_event(MD_EVENT_BREAK);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_UNLCK);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EEXIST, "has a lease already");
	md_ack_event(event);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
}

static void map__beyond_the_end__enxio(void)
{
	CU_ASSERT_PTR_NULL(try_map(leased, MD_MAP_ALLOCATE, LENGTH + 1));
	ASSERT_FAILED(ENXIO, "the file ends at 16384");
}

static struct md_context *open_quietly(void)
{
	struct md_context_attr attr = { .size = sizeof(attr), .flags = MD_OPEN_NO_THREAD };

	return md_open(&attr);
}

static void refused_to_nobody(void)
{
	int bad = setresuid(65534, 65534, 65534);
	struct md_context *c = open_quietly();
	struct md_map_attr attr = { .size = sizeof(attr), .provider = MD_PROVIDER_FCNTL };

	bad |= md_map(c, leased, 0, LENGTH, &attr) || errno != EPERM;
	_exit(bad || !strstr(md_errmsg(), "only the owner"));
}

static void map__not_the_owner__eperm(void)
{
	int status;
	pid_t pid;

	/* Only root can become somebody else. */
	if (geteuid())
		return;
	pid = fork();
	if (!pid)
		refused_to_nobody();
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
}

/* ---- md_query ---------------------------------------------------------- */

static void query__other_file__names_fcntl_as_the_lesser(void)
{
	struct md_query_result result = { .size = sizeof(result) };

	CU_ASSERT_EQUAL(md_query(ctx, leased, 0, LENGTH, &result), 0);
	CU_ASSERT_EQUAL(result.provider, MD_PROVIDER_KMOD);
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_FCNTL);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.by_name_reason, "open and truncate only"));
	CU_ASSERT_EQUAL(md_query(ctx, leased, 0, LENGTH + 1, &result), 0);
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_FCNTL);
	CU_ASSERT_PTR_NOT_NULL(strstr(result.by_name_reason, "the file ends at"));
}

/* To look into the file for holes is to open it. */
static void query__leased_file__lease_stays(void)
{
	struct md_query_result result = { .size = sizeof(result) };
	struct md_map *map = map_leased(0);

	CU_ASSERT_EQUAL(md_query(ctx, leased, 0, LENGTH, &result), 0);
	CU_ASSERT_EQUAL(result.by_name, MD_PROVIDER_FCNTL);
	CU_ASSERT_EQUAL(fcntl(leased, F_GETLEASE), F_WRLCK);
	expect_no_event();
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	fixture_unmap(map);
}

/* ---- fork -------------------------------------------------------------- */

/* In a child, which can take a lease of its own. */
static bool lease_another(void)
{
	struct md_map_attr attr = { .size = sizeof(attr), .provider = MD_PROVIDER_FCNTL };
	struct md_context *c = open_quietly();
	char name[64];
	int fd = new_file(name, sizeof(name));
	struct md_map *map = md_map(c, fd, 0, LENGTH, &attr);
	bool good = map && fcntl(fd, F_GETLEASE) == F_WRLCK && count_watches() == 1;

	unlink(name);
	return !md_unmap(map) && !md_close(c) && good;
}

static void in_child(struct md_map *inherited)
{
	bool good = md_map_get(inherited) == -1 && errno == ECHILD;

	good = !accessible(md_map_addr(inherited), LENGTH) && good;
	good = md_unmap(inherited) == -1 && errno == ECHILD && good;
	/* The race detector knows no thread in a child of several. */
#ifndef __SANITIZE_THREAD__
	good = lease_another() && good;
#else
	(void)lease_another;
#endif
	good = !md_close(ctx) && fcntl(leased, F_GETLEASE) == F_WRLCK && good;
	_exit(!good);
}

static void fork__live_lease__stays_the_parents(void)
{
	struct md_map *map = map_leased(0);
	struct breaker b;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid)
		in_child(map);
	waitpid(pid, &status, 0);
	CU_ASSERT_EQUAL(status, 0);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	expect_no_event();
	breaker_start(&b, open_to_read);
	pass_event(MD_EVENT_BREAK);
	pass_event(MD_EVENT_RELEASED);
	breaker_finish(&b);
	fixture_unmap(map);
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__by_name__leased_and_shared_with_the_file),
	UNIT_CASE(map__without_a_name__never_by_fcntl),
	UNIT_CASE(map__holes__enodata_or_filled),
	UNIT_CASE(map__large_hole__tells_progress),
	UNIT_CASE(persist__any_part__done),
	UNIT_CASE(break__opened_for_reading__released_and_restored),
	UNIT_CASE(break__opened_for_writing__released_and_restored),
	UNIT_CASE(break__truncated_by_open__released_and_restored),
	UNIT_CASE(break__truncated__released_and_restored),
	UNIT_CASE(break__comes__at_once),
	UNIT_CASE(break__not_answered__breaker_waits),
	UNIT_CASE(break__in_it_unmapped__breaker_goes_on),
	UNIT_CASE(break__one_of_several__others_stay),
	UNIT_CASE(break__application_ignores_all_signals__comes),
	UNIT_CASE(map__open_elsewhere__eagain),
	UNIT_CASE(map__leased_already__eexist),
	UNIT_CASE(map__leased_and_being_broken__eexist),
	UNIT_CASE(map__beyond_the_end__enxio),
	UNIT_CASE(map__not_the_owner__eperm),
	UNIT_CASE(query__other_file__names_fcntl_as_the_lesser),
	UNIT_CASE(query__leased_file__lease_stays),
	UNIT_CASE(fork__live_lease__stays_the_parents),
	{ 0 },
};

int main(int argc, char **argv)
{
	static const char *const directories[] = { "/dev/shm", "/tmp" };
	char name[64];
	int failed = 0;

	for (int i = 0; i < 4; i++) {
		directory = directories[i / 2];
		threaded = i % 2;
		snprintf(name, sizeof(name), "lease_fcntl (%s, %s)", directory,
			 threaded ? "thread" : "md_process");
		failed |= unit_main(name, cases, set_up, tear_down, argc, argv);
	}
	return failed;
}
