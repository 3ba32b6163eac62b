// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * md_log as it is shipped: what was acknowledged is in the file, whatever breaks the
 * lease and whoever is killed.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "breaker.h"
#include "child.h"
#include "holder.h"
#include "suite.h"

#define LOG_SIZE (16 * MIB)
#define LOG_SIZE_TEXT "16777216"
#define SMALL_SIZE 65536
#define SMALL_SIZE_TEXT "65536"
#define SUPER_SIZE 4096
#define RECORD "192"
#define SLOT 256 /* of such records */
#define ACKED_LINE 32
#define TAIL (64 * KIB) /* of the log, not reached by any case */
#define LIMIT_MS 100000
#define AGAIN_MS 5000

/* What the server's -d says. */
#define RELEASED "server: released:" /* of a break */
#define DROPPED "server: the writer is dropped:"
#define REFUSED "server: a second writer is refused"

struct program {
	const char *argv[16];
	int out;	 /* its standard output, or -1: ours for messages */
	const char *err; /* NULL, or a file to which it adds what it says */
};

static void run_program(void *arg)
{
	const struct program *p = arg;

	if (p->err)
		dup2(open(p->err, O_WRONLY | O_CREAT | O_APPEND, 0600), STDERR_FILENO);
	dup2(p->out < 0 ? STDERR_FILENO : p->out, STDOUT_FILENO);
	suite_close_files();
	execv(p->argv[0], (char *const *)p->argv);
	CHECK(false);
}

struct rig {
	const char *addr;
	const char *size; /* of the file */
	char file[128], copy[128], acked[128], said[128];
	pid_t server, client;
};

static void start_server(struct rig *r)
{
	struct program p = { .argv = { MD_LOG, "-s", "-a", r->addr, "-f", r->file, "--size",
				       r->size, "--record-size", RECORD, "-d" },
			     .out = -1,
			     .err = r->said };

	r->server = child_start_with_files(run_program, &p);
}

/* Appends @count records, or until it is killed. */
static void start_client(struct rig *r, const char *count)
{
	struct program p = { .argv = { MD_LOG, "-c", "-a", r->addr, "--record-size", RECORD, "-o",
				       r->acked, count ? "-n" : NULL, count },
			     .out = -1 };

	r->client = child_start_with_files(run_program, &p);
}

static void set_up(struct rig *r, const char *size)
{
	*r = (struct rig){ .addr = getenv("MD_ADDR"), .size = size };
	if (!r->addr)
		suite_skip("MD_ADDR does not say which address the RDMA device has");
	suite_path(r->file, sizeof(r->file), suite_fs[0], "log");
	suite_path(r->copy, sizeof(r->copy), suite_fs[0], "copy");
	suite_path(r->acked, sizeof(r->acked), suite_fs[0], "acked");
	suite_path(r->said, sizeof(r->said), suite_fs[0], "said");
	unlink(r->file);
	unlink(r->said);
	unlink(r->acked);
	start_server(r);
}

static void kill_one(pid_t pid)
{
	CHECK(!kill(pid, SIGKILL));
	child_killed(pid, SIGKILL, SUITE_WAIT_MS);
}

/* Asked to end, the server does so by itself. */
static void stop_server(struct rig *r)
{
	int status;

	CHECK(!kill(r->server, SIGTERM));
	CHECK(child_wait(r->server, LIMIT_MS, &status));
	CHECK_EQ(status, 0);
}

static unsigned long acknowledged(const struct rig *r)
{
	struct stat st;

	return stat(r->acked, &st) ? 0 : st.st_size / ACKED_LINE;
}

/* By all servers, whether killed or not. */
static int times_said(const struct rig *r, const char *what)
{
	FILE *said = fopen(r->said, "r");
	char line[512];
	int count = 0;

	CHECK(said);
	while (fgets(line, sizeof(line), said))
		count += !strncmp(line, what, strlen(what));
	fclose(said);
	return count;
}

/* ---- the verifier ---------------------------------------------------------- */

struct verdict {
	unsigned long records, acked, lost, duplicate, torn;
	int status;
};

static struct verdict verify(const char *file, const char *acked)
{
	struct program p = { .argv = { MD_LOG, "--verify", file, acked } };
	struct verdict v = { 0 };
	char text[256] = "";
	int out[2];
	pid_t pid;

	CHECK(!pipe2(out, O_CLOEXEC));
	p.out = out[1];
	pid = child_start_with_files(run_program, &p);
	CHECK(child_wait(pid, LIMIT_MS, &v.status));
	CHECK(WIFEXITED(v.status));
	v.status = WEXITSTATUS(v.status);
	CHECK(read(out[0], text, sizeof(text) - 1) > 0);
	close(out[0]);
	close(out[1]);
	fprintf(stderr, "%s", text);
	CHECK_EQ(sscanf(text, "md_log: records=%lu acked=%lu lost=%lu duplicate=%lu torn=%lu",
			&v.records, &v.acked, &v.lost, &v.duplicate, &v.torn),
		 5);
	return v;
}

static struct verdict check_log(const struct rig *r)
{
	const struct verdict v = verify(r->file, r->acked);

	CHECK_EQ(v.lost, 0);
	CHECK_EQ(v.duplicate, 0);
	CHECK_EQ(v.torn, 0);
	CHECK_EQ(v.status, 0);
	CHECK_EQ(v.acked, acknowledged(r));
	CHECK(v.acked && v.acked <= v.records);
	return v;
}

static void make_copy(const struct rig *r)
{
	static char data[64 * KIB];
	const int from = open(r->file, O_RDONLY | O_CLOEXEC);
	const int to = open(r->copy, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ssize_t n;

	CHECK(from >= 0 && to >= 0);
	while ((n = read(from, data, sizeof(data))) > 0)
		CHECK_EQ(write(to, data, n), n);
	CHECK(!n);
	close(from);
	close(to);
}

static void edit_slot(const struct rig *r, unsigned long to, long from)
{
	const int fd = open(r->copy, O_RDWR | O_CLOEXEC);
	char slot[SLOT] = { 0 };

	CHECK(fd >= 0);
	if (from >= 0)
		CHECK_EQ(pread(fd, slot, SLOT, SUPER_SIZE + from * SLOT), SLOT);
	CHECK_EQ(pwrite(fd, slot, SLOT, SUPER_SIZE + to * SLOT), SLOT);
	close(fd);
}

/*
 * Proves: what a client appends is in the file, a second one goes on where the first
 * has ended, and the verifier sees a loss and a duplicate in a copy of the file.
 */
static void lib_log__no_break__all_verified_and_planted_errors_seen(const void *unused)
{
	struct verdict v;
	struct rig r;

	(void)unused;
	set_up(&r, LOG_SIZE_TEXT);
	start_client(&r, "700");
	child_finish(r.client);
	start_client(&r, "300");
	child_finish(r.client);
	stop_server(&r);
	v = check_log(&r);
	CHECK_EQ(v.records, 1000);
	CHECK_EQ(v.acked, 1000);
	make_copy(&r);
	edit_slot(&r, 990, -1);
	v = verify(r.copy, r.acked);
	CHECK_EQ(v.lost, 10); /* nobody who reads the log gets beyond the hole */
	CHECK_EQ(v.status, 1);
	make_copy(&r);
	edit_slot(&r, 1000, 500);
	v = verify(r.copy, r.acked);
	CHECK_EQ(v.duplicate, 1);
	CHECK_EQ(v.lost, 0);
	CHECK_EQ(v.status, 1);
	make_copy(&r);
	edit_slot(&r, 999, 500);
	v = verify(r.copy, r.acked);
	CHECK_EQ(v.duplicate, 1);
	CHECK_EQ(v.lost, 1);
	CHECK_EQ(v.status, 1);
}

/* ---- breaks and kills ------------------------------------------------------ */

static int change_end(const char *path, int (*change)(int fd, off_t end))
{
	const int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;
	int err;

	if (fd < 0 || fstat(fd, &st))
		return -1;
	err = change(fd, st.st_size);
	close(fd);
	return err;
}

static int extend(int fd, off_t end)
{
	return ftruncate(fd, end + 4096);
}

static int write_beyond(int fd, off_t end)
{
	static const char page[4096] = "not a record";

	return pwrite(fd, page, sizeof(page), end) == (ssize_t)sizeof(page) ? 0 : -1;
}

static int allocate_beyond(int fd, off_t end)
{
	return fallocate(fd, 0, end, 4096);
}

static int cut_beyond(int fd, off_t end)
{
	(void)end;
	return ftruncate(fd, LOG_SIZE);
}

static int punch_beyond(int fd, off_t end)
{
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LOG_SIZE,
			 end - LOG_SIZE + 4096);
}

static int punch_tail(int fd, off_t end)
{
	(void)end;
	return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, LOG_SIZE - TAIL, TAIL);
}

static int zero_tail(int fd, off_t end)
{
	(void)end;
	return fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, LOG_SIZE - TAIL, TAIL);
}

#define BREAKER(change)                                                                            \
	static int do_##change(const char *path)                                                   \
	{                                                                                          \
		return change_end(path, change);                                                   \
	}

BREAKER(extend)
BREAKER(write_beyond)
BREAKER(allocate_beyond)
BREAKER(cut_beyond)
BREAKER(punch_beyond)
BREAKER(punch_tail)
BREAKER(zero_tail)

/* None of them touches a record. */
static const file_op breakers[] = {
	do_extend,	 do_write_beyond, do_punch_tail, do_allocate_beyond,
	do_punch_beyond, do_zero_tail,	  do_cut_beyond,
};

static file_op any_breaker(void)
{
	return breakers[rand() % (sizeof(breakers) / sizeof(breakers[0]))];
}

struct goal {
	const struct rig *r;
	unsigned long acked;
};

static bool reached(void *arg)
{
	const struct goal *g = arg;

	return acknowledged(g->r) >= g->acked;
}

/* The log goes on, whatever was done to it. */
static void wait_for_records(const struct rig *r, unsigned long more)
{
	struct goal g = { r, acknowledged(r) + more };

	CHECK(wait_until(reached, &g, LIMIT_MS));
}

struct breaks {
	const struct rig *r;
	int seen;
};

static bool was_broken(void *arg)
{
	const struct breaks *b = arg;

	return times_said(b->r, RELEASED) > b->seen;
}

/* Once more, if the change found no lease. */
static void break_once(const struct rig *r)
{
	struct breaks before = { r, times_said(r, RELEASED) };
	struct breaker b;

	do {
		CHECK(wait_until(holder_is_live, NULL, LIMIT_MS));
		breaker_start(&b, any_breaker(), r->file);
		breaker_finish(&b, SUITE_WAIT_MS);
	} while (!wait_until(was_broken, &before, AGAIN_MS));
}

static void kill_a_side(struct rig *r)
{
	if (rand() % 2) {
		kill_one(r->server);
		start_server(r);
	} else {
		kill_one(r->client);
		start_client(r, NULL);
	}
}

/* One of the two, perhaps when the file is just being changed. */
static void kill_once(struct rig *r)
{
	const bool in_break = rand() % 2;
	struct breaker b;

	if (in_break) {
		breaker_start(&b, any_breaker(), r->file);
		usleep(rand() % 30000);
	}
	kill_a_side(r);
	if (in_break)
		breaker_finish(&b, SUITE_WAIT_MS);
}

struct campaign {
	int breaks, kills;
	unsigned int seed; /* 0: any */
};

static const struct campaign some = { .breaks = 20, .kills = 4 };
static const struct campaign many = { .breaks = 200, .kills = 20 };

/*
 * Proves: of all records that were acknowledged, while the lease was broken and
 * either side killed at random, each is in the file, in order and once.
 */
static void lib_log__breaks_and_kills__acknowledged_is_in_the_file_once(const void *arg)
{
	const struct campaign *c = arg;
	int breaks = c->breaks, kills = c->kills;
	const unsigned int seed = c->seed ?: now_ns();
	struct verdict v;
	struct rig r;

	srand(seed);
	set_up(&r, LOG_SIZE_TEXT);
	start_client(&r, NULL);
	while (breaks || kills) {
		suite_context("seed %u, %d breaks and %d kills to go", seed, breaks, kills);
		wait_for_records(&r, 1 + rand() % 30);
		if (rand() % (breaks + kills) < breaks) {
			break_once(&r);
			breaks--;
		} else {
			kill_once(&r);
			kills--;
		}
	}
	suite_context("seed %u", seed);
	wait_for_records(&r, 100);
	kill_one(r.client);
	stop_server(&r);
	v = check_log(&r);
	CHECK(v.records < (LOG_SIZE - TAIL - SUPER_SIZE) / SLOT);
	fprintf(stderr, "seed %u: %d breaks, %d kills, %lu records, %lu acknowledged\n", seed,
		times_said(&r, RELEASED), c->kills, v.records, v.acked);
}

/*
 * Proves: a client that is stopped in a break is fenced, and when it runs again finds
 * the end of the log and goes on there.
 */
static void lib_log__client_stopped_in_a_break__comes_back(const void *unused)
{
	struct rig r;

	(void)unused;
	set_up(&r, LOG_SIZE_TEXT);
	start_client(&r, NULL);
	for (int i = 1; i <= 3; i++) {
		wait_for_records(&r, 50);
		CHECK(!kill(r.client, SIGSTOP));
		break_once(&r);
		CHECK(!kill(r.client, SIGCONT));
		wait_for_records(&r, 50);
		CHECK_EQ(times_said(&r, DROPPED), i);
	}
	kill_one(r.client);
	stop_server(&r);
	check_log(&r);
}

static bool was_refused(void *arg)
{
	return times_said(arg, REFUSED) > 0;
}

/* Proves: of two clients the second waits until the first is gone, and then goes on. */
static void lib_log__two_clients__one_after_the_other(const void *unused)
{
	pid_t first;
	struct rig r;

	(void)unused;
	set_up(&r, LOG_SIZE_TEXT);
	start_client(&r, NULL);
	first = r.client;
	wait_for_records(&r, 10);
	start_client(&r, "100");
	CHECK(wait_until(was_refused, &r, LIMIT_MS));
	wait_for_records(&r, 10);
	kill_one(first);
	child_finish(r.client);
	stop_server(&r);
	check_log(&r);
}

static int client_status(struct rig *r, const char *count)
{
	int status;

	start_client(r, count);
	CHECK(child_wait(r->client, LIMIT_MS, &status));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Proves: a full log is said to be full, and keeps what it has. */
static void lib_log__full__client_ends(const void *unused)
{
	const unsigned long slots = (SMALL_SIZE - SUPER_SIZE) / SLOT;
	struct rig r;

	(void)unused;
	set_up(&r, SMALL_SIZE_TEXT);
	CHECK_EQ(client_status(&r, "200"), 0);
	CHECK_EQ(client_status(&r, "200"), 1);
	CHECK_EQ(client_status(&r, NULL), 0);
	stop_server(&r);
	CHECK_EQ(check_log(&r).acked, slots);
}

/* Proves: wrong usage is told as such, and nothing is begun. */
static void lib_log__wrong_usage__is_2(const void *unused)
{
	struct program wrong[] = {
		{ .argv = { MD_LOG } },
		{ .argv = { MD_LOG, "-s", "-c", "-a", "1.2.3.4" } },
		{ .argv = { MD_LOG, "-c" } },
		{ .argv = { MD_LOG, "-s", "-a", "1.2.3.4" } },
		{ .argv = { MD_LOG, "-c", "-a", "1.2.3.4", "-p", "65535" } },
		{ .argv = { MD_LOG, "-c", "-a", "1.2.3.4", "-n", "many" } },
		{ .argv = { MD_LOG, "-c", "-a", "1.2.3.4", "--depth", "0" } },
		{ .argv = { MD_LOG, "-c", "-a", "1.2.3.4", "--record-size", "2000000" } },
		{ .argv = { MD_LOG, "-c", "-a", "1.2.3.4", "more" } },
		{ .argv = { MD_LOG, "-c", "--verify", "file" } },
		{ .argv = { MD_LOG, "--verify", "/dev/null" } },
	};
	int status;

	(void)unused;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		suite_context("usage %u", i);
		wrong[i].out = -1;
		CHECK(child_wait(child_start_with_files(run_program, &wrong[i]), SUITE_WAIT_MS,
				 &status));
		CHECK(WIFEXITED(status));
		CHECK_EQ(WEXITSTATUS(status), 2);
	}
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_log__no_break__all_verified_and_planted_errors_seen),
	{ .name = "lib_log__breaks_and_kills__acknowledged_is_in_the_file_once",
	  .run = lib_log__breaks_and_kills__acknowledged_is_in_the_file_once,
	  .arg = &some },
	{ .name = "lib_log__200_breaks_and_20_kills__acknowledged_is_in_the_file_once",
	  .run = lib_log__breaks_and_kills__acknowledged_is_in_the_file_once,
	  .arg = &many,
	  .flags = SUITE_EXTRA },
	SUITE_CASE(lib_log__client_stopped_in_a_break__comes_back),
	SUITE_CASE(lib_log__two_clients__one_after_the_other),
	SUITE_CASE(lib_log__full__client_ends),
	SUITE_CASE(lib_log__wrong_usage__is_2),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
