// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* The example programs, as they are shipped. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "canary.h"
#include "child.h"
#include "holder.h"
#include "lib_vandal.h"
#include "suite.h"

#define GREETING "Hello, persistent world\n"

#define LENGTH (256 * KIB)
#define PINGS "200"
#define BUDGET_MS "12000" /* guests are slow, and others run beside them */
#define LIMIT_MS 100000
#define PAUSE_US 500000

static const struct vandal_change changes[] = {
	{ vandal_punch, 0 },
	{ vandal_punch, 64 * KIB },
	{},
};

struct program {
	const char *argv[16];
	int out; /* its standard output, or -1: ours for messages */
};

static void run_program(void *arg)
{
	const struct program *p = arg;

	dup2(p->out < 0 ? STDERR_FILENO : p->out, STDOUT_FILENO);
	suite_close_files();
	execv(p->argv[0], (char *const *)p->argv);
	CHECK(false);
}

static pid_t start(struct program *p)
{
	return child_start_with_files(run_program, p);
}

static const char *rdma_address(void)
{
	const char *addr = getenv("MD_ADDR");

	if (!addr)
		suite_skip("MD_ADDR does not say which address the RDMA device has");
	return addr;
}

/*
 * Proves: the line that the second process writes is in the file when both have
 * ended, and what the file had behind its first page still is.
 */
static void lib_hello__two_processes__line_is_in_the_file(const void *unused)
{
	const char *addr = rdma_address();
	struct holder file;
	struct program holder = { .argv = { HELLO, addr, file.path }, .out = -1 };
	struct program peer = { .argv = { HELLO, addr }, .out = -1 };
	char line[sizeof(GREETING)] = "";
	struct stat st;
	pid_t held;

	(void)unused;
	holder_file(&file, suite_fs[0], "leased", 8192);
	/* As the README has it: the second may be there before the first listens. */
	held = start(&holder);
	child_finish(start(&peer));
	child_finish(held);
	CHECK_EQ(pread(file.fd, line, strlen(GREETING), 0), (ssize_t)strlen(GREETING));
	CHECK(!strcmp(line, GREETING));
	CHECK(!fstat(file.fd, &st));
	CHECK_EQ(st.st_size, 8192);
}

static void check_summary(int from)
{
	unsigned long pings = 0, recalls = 0, reconnects = 1;
	char text[4096];
	ssize_t n = read(from, text, sizeof(text) - 1);

	CHECK(n > 0);
	text[n] = '\0';
	fprintf(stderr, "md_ping: %s", text);
	CHECK_EQ(sscanf(text, "%lu pings, %lu recalls, %lu reconnections", &pings, &recalls,
			&reconnects),
		 3);
	CHECK_EQ(pings, atoi(PINGS));
	CHECK(recalls);
	CHECK_EQ(reconnects, 0);
}

/*
 * Proves: server and client of the example get every byte of every ping right, and
 * the connection lives through breaks.
 */
static void lib_md_ping__holes_punched__every_byte_verified(const void *unused)
{
	const char *addr = rdma_address();
	struct holder file;
	struct program server = { .argv = { MD_PING, "-s", "-a", addr, "-f", file.path, "-S",
					    "65536", "-V", "--budget", BUDGET_MS },
				  .out = -1 };
	struct program client = { .argv = { MD_PING, "-c", "-a", addr, "-C", PINGS, "-S", "65536",
					    "-V" } };
	struct vandal *v;
	int out[2], status;
	pid_t served, pinged;

	(void)unused;
	holder_file(&file, suite_fs[0], "leased", LENGTH);
	v = vandal_start(file.path, changes, PAUSE_US, NULL);
	served = start(&server);
	CHECK(wait_until(holder_is_live, NULL, SUITE_WAIT_MS));
	CHECK(!pipe2(out, O_CLOEXEC));
	client.out = out[1];
	pinged = start(&client);
	vandal_go(v);
	CHECK(child_wait(pinged, LIMIT_MS, &status));
	CHECK_EQ(status, 0);
	while (!vandal_ended(v))
		usleep(1000);
	CHECK(child_wait(served, LIMIT_MS, &status));
	CHECK_EQ(status, 0);
	check_summary(out[0]);
}

/* Proves: a server whose client did not outlive a break ends by itself. */
static void lib_md_ping__client_dies_in_a_break__server_ends(const void *unused)
{
	const char *addr = rdma_address();
	struct holder file;
	struct program server = { .argv = { MD_PING, "-s", "-a", addr, "-f", file.path },
				  .out = -1 };
	struct program client = { .argv = { MD_PING, "-c", "-a", addr, "-v" } };
	struct vandal *v;
	pid_t served, pinged;
	int out[2], status;
	char byte;

	(void)unused;
	holder_file(&file, suite_fs[0], "leased", LENGTH);
	v = vandal_start(file.path, changes, 0, NULL);
	served = start(&server);
	CHECK(wait_until(holder_is_live, NULL, SUITE_WAIT_MS));
	CHECK(!pipe2(out, O_CLOEXEC));
	client.out = out[1];
	pinged = start(&client);
	CHECK_EQ(read(out[0], &byte, 1), 1);
	CHECK(!kill(pinged, SIGSTOP));
	vandal_go(v);
	while (!vandal_ended(v))
		usleep(1000);
	CHECK(!kill(pinged, SIGKILL));
	child_killed(pinged, SIGKILL, SUITE_WAIT_MS);
	CHECK(child_wait(served, LIMIT_MS, &status));
	CHECK_EQ(status, 0);
}

static void read_all(int from, char *text, size_t size)
{
	ssize_t n = read(from, text, size - 1);

	CHECK(n > 0);
	text[n] = '\0';
}

/* Proves: port, place in the file, sizes and printing are as the usage says. */
static void lib_md_ping__all_options__obeyed(const void *unused)
{
	const char *addr = rdma_address();
	const off_t offset = 2 * 4096;
	struct holder file;
	struct program server = { .argv = { MD_PING, "-s", "-a", addr, "-p", "7200", "-f",
					    file.path, "--offset", "8192", "--length", "20000",
					    "-v", "-d" } };
	struct program client = { .argv = { MD_PING, "-c", "-a", addr, "-p", "7200", "-C", "3",
					    "-S", "1000", "-v" } };
	char text[8192];
	int served[2], pinged[2];
	pid_t pid;

	(void)unused;
	holder_file(&file, suite_fs[0], "leased", 64 * KIB);
	CHECK(!pipe2(served, O_CLOEXEC) && !pipe2(pinged, O_CLOEXEC));
	server.out = served[1];
	client.out = pinged[1];
	pid = start(&server);
	CHECK(wait_until(holder_is_live, NULL, SUITE_WAIT_MS));
	child_finish(start(&client));
	child_finish(pid);
	read_all(pinged[0], text, sizeof(text));
	CHECK(strstr(text, "ping data: rdma-ping-0: ") && strstr(text, "rdma-ping-2: "));
	CHECK(!strstr(text, "rdma-ping-3: "));
	read_all(served[0], text, sizeof(text));
	CHECK(strstr(text, "server ping data: rdma-ping-2: "));
	CHECK(pread(file.fd, text, 2000, offset) == 2000);
	CHECK(!strncmp(text, "rdma-ping-2: ", strlen("rdma-ping-2: ")));
	CHECK(text[998] && !text[999] && !text[1000]);
	CHECK_EQ(bytes_not(file.path, 0, offset, 0), 0);
}

static int status_of(struct program *p)
{
	int status;

	CHECK(child_wait(start(p), SUITE_WAIT_MS, &status));
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Proves: wrong usage is told as such, and nothing is begun. */
static void lib_md_ping__wrong_usage__is_2(const void *unused)
{
	struct program wrong[] = {
		{ .argv = { MD_PING } },
		{ .argv = { MD_PING, "-s", "-c", "-a", "1.2.3.4" } },
		{ .argv = { MD_PING, "-c" } },
		{ .argv = { MD_PING, "-s", "-a", "1.2.3.4" } },
		{ .argv = { MD_PING, "-c", "-a", "1.2.3.4", "-S", "8" } },
		{ .argv = { MD_PING, "-c", "-a", "1.2.3.4", "-C", "many" } },
		{ .argv = { MD_PING, "-c", "-a", "1.2.3.4", "-p", "65535" } },
		{ .argv = { MD_PING, "-s", "-a", "1.2.3.4", "-f", "x", "--length", "-1" } },
		{ .argv = { MD_PING, "-s", "-a", "1.2.3.4", "-f", "x", "--length", "10" } },
		{ .argv = { MD_PING, "-s", "-a", "1.2.3.4", "-f", "x", "--budget", "60001" } },
		{ .argv = { MD_PING, "-s", "-a", "1.2.3.4", "-f", "x", "--budget", "0" } },
		{ .argv = { MD_PING, "-c", "-a", "1.2.3.4", "-x" } },
		{ .argv = { MD_PING, "-c", "-a", "1.2.3.4", "more" } },
	};

	(void)unused;
	for (unsigned int i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		suite_context("usage %u", i);
		wrong[i].out = -1;
		CHECK_EQ(status_of(&wrong[i]), 2);
	}
}

/* Proves: a ping that does not fit the server's range is refused, and the server ends. */
static void lib_md_ping__larger_than_the_range__client_says_so(const void *unused)
{
	const char *addr = rdma_address();
	struct holder file;
	struct program server = { .argv = { MD_PING, "-s", "-a", addr, "-f", file.path } };
	struct program client = { .argv = { MD_PING, "-c", "-a", addr, "-C", "1", "-S", "65" },
				  .out = -1 };
	pid_t served;
	int status;

	(void)unused;
	holder_file(&file, suite_fs[0], "leased", LENGTH);
	server.out = -1;
	served = start(&server);
	CHECK(wait_until(holder_is_live, NULL, SUITE_WAIT_MS));
	CHECK_EQ(status_of(&client), 1);
	CHECK(child_wait(served, SUITE_WAIT_MS, &status));
	CHECK_EQ(status, 0);
	CHECK_EQ(bytes_not(file.path, 0, LENGTH, 0), 0);
}

static const struct suite_case cases[] = {
	SUITE_CASE(lib_hello__two_processes__line_is_in_the_file),
	SUITE_CASE(lib_md_ping__holes_punched__every_byte_verified),
	SUITE_CASE(lib_md_ping__client_dies_in_a_break__server_ends),
	SUITE_CASE(lib_md_ping__all_options__obeyed),
	SUITE_CASE(lib_md_ping__wrong_usage__is_2),
	SUITE_CASE(lib_md_ping__larger_than_the_range__client_says_so),
	{},
};

int main(int argc, char **argv)
{
	return suite_main(cases, argc, argv);
}
