// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "lib_far.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "suite.h"

#define PORT 7299
#define PERIOD_MS 20

/* What one side says of a peer; the flag says that the rest has been filled in. */
struct half {
	size_t at, length, flag;
};

static const struct half of_holder = {
	.at = offsetof(struct lib_peer, index),
	.length = offsetof(struct lib_peer, peer) - offsetof(struct lib_peer, index),
	.flag = offsetof(struct lib_peer, holder_ready),
};

static const struct half of_peer = {
	.at = offsetof(struct lib_peer, peer),
	.length = sizeof(struct lib_peer) - offsetof(struct lib_peer, peer),
	.flag = offsetof(struct lib_peer, peer_named),
};

static atomic_bool *flag(struct lib_peer *p, const struct half *h)
{
	return (atomic_bool *)((char *)p + h->flag);
}

/* The flag is read first, and written last. */
static void copy(struct lib_peer *to, struct lib_peer *from, const struct half *h)
{
	bool filled = atomic_load(flag(from, h));
	struct lib_peer p;

	memcpy((char *)&p + h->at, (char *)from + h->at, h->length);
	atomic_store(flag(&p, h), atomic_load(flag(to, h)));
	memcpy((char *)to + h->at, (char *)&p + h->at, h->length);
	atomic_store(flag(to, h), filled);
}

/* Sends what has changed since the last time. */
static void send_half(int fd, struct lib_peer *p, struct lib_peer *last, const struct half *h)
{
	struct lib_peer now = *last;

	copy(&now, p, h);
	if (!memcmp((char *)&now + h->at, (char *)last + h->at, h->length))
		return;
	*last = now;
	CHECK_EQ(send(fd, (char *)&now + h->at, h->length, MSG_NOSIGNAL), (ssize_t)h->length);
}

/* Takes what has come within a period; false: the other side has ended. */
static bool take_half(int fd, struct lib_peer *p, const struct half *h)
{
	struct pollfd in = { .fd = fd, .events = POLLIN };
	struct lib_peer came;
	ssize_t n;

	if (!poll(&in, 1, PERIOD_MS))
		return true;
	n = recv(fd, (char *)&came + h->at, h->length, MSG_WAITALL);
	if (n <= 0)
		return false;
	CHECK_EQ(n, (ssize_t)h->length);
	copy(p, &came, h);
	return true;
}

/* ---- where the holder is ------------------------------------------------- */

bool lib_far_wanted(void)
{
	return getenv("MD_PEER_ADDR");
}

/* The other machine may not be so far. */
static bool reach(void *fd)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };

	inet_aton(getenv("MD_PEER_ADDR"), &to.sin_addr);
	*(int *)fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (!connect(*(int *)fd, (struct sockaddr *)&to, sizeof(to)))
		return true;
	close(*(int *)fd);
	return false;
}

void lib_far_stand_in(void *peer)
{
	struct lib_peer *p = peer, last = { .index = ~0U };
	int fd;

	atomic_store(&p->started, true);
	CHECK(wait_until(reach, &fd, SUITE_WAIT_MS));
	do {
		send_half(fd, p, &last, &of_holder);
	} while (take_half(fd, p, &of_peer));
	CHECK(atomic_load(&p->ended));
}

/* ---- where the peers are ------------------------------------------------- */

static void obey(struct lib_peer *p)
{
	int signal = atomic_load(&p->signal);

	if (signal == atomic_load(&p->signalled))
		return;
	CHECK(!kill(p->pid, signal));
	atomic_store(&p->signalled, signal);
}

static void serve(int fd)
{
	struct lib_peer *p = lib_peer_new(0), last = { .peer.qpn = ~0U };
	int status = 0;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!atomic_load(&p->started))
		CHECK(take_half(fd, p, &of_holder));
	lib_peer_start(p);
	while (!waitpid(p->pid, &status, WNOHANG)) {
		if (!take_half(fd, p, &of_holder)) {
			kill(p->pid, SIGKILL);
			return;
		}
		obey(p);
		send_half(fd, p, &last, &of_peer);
	}
	CHECK_EQ(status, 0);
	atomic_store(&p->ended, true);
	send_half(fd, p, &last, &of_peer);
}

void lib_far_serve(void)
{
	const struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Whom the peers are to connect to. */
	CHECK(!setenv("MD_ADDR", getenv("MD_PEER_ADDR"), true) && !unsetenv("MD_PEER_ADDR"));
	CHECK(!bind(fd, (const struct sockaddr *)&any, sizeof(any)) && !listen(fd, LIB_PEERS_MAX));
	for (;;) {
		int one = accept(fd, NULL, NULL);
		pid_t pid;

		CHECK(one >= 0);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			serve(one);
			_exit(EXIT_SUCCESS);
		}
		close(one);
	}
}
