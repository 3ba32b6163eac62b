// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
#include "wire.h"

#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cycles.h"
#include "must.h"

#define CONNECT_MS 20000
#define CONNECT_PAUSE_MS 50
#define LOOK_CYCLES 100000000 /* some 30 to 100 ms */

static struct addrinfo *resolve(const char *host, const char *port)
{
	const struct addrinfo hints = {
		.ai_family = host ? AF_UNSPEC : AF_INET6, /* which takes IPv4, too */
		.ai_socktype = SOCK_STREAM,
		.ai_flags = host ? 0 : AI_PASSIVE,
	};
	struct addrinfo *res;
	int ret = getaddrinfo(host, port, &hints, &res);

	if (ret)
		errx(1, "%s: %s", host ?: port, gai_strerror(ret));
	return res;
}

/* Meetings are single bytes. */
static void setup(struct wire *w)
{
	const int on = 1;

	MUST(!setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
	w->looked = 0;
}

void wire_accept(struct wire *w, const char *port)
{
	struct addrinfo *res = resolve(NULL, port);
	const int on = 1;
	int fd = socket(res->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	MUST(fd >= 0);
	MUST(!setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
	if (bind(fd, res->ai_addr, res->ai_addrlen) || listen(fd, 1))
		err(1, "cannot listen on TCP port %s", port);
	w->fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	MUST(w->fd >= 0 && "accept");
	close(fd);
	freeaddrinfo(res);
	setup(w);
}

static int try_connect(const struct addrinfo *res)
{
	for (; res; res = res->ai_next) {
		int fd = socket(res->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (fd < 0)
			continue;
		if (!connect(fd, res->ai_addr, res->ai_addrlen))
			return fd;
		close(fd);
	}
	return -1;
}

void wire_connect(struct wire *w, const char *host, const char *port)
{
	struct addrinfo *res = resolve(host, port);
	const uint64_t end = clock_ns() + CONNECT_MS * UINT64_C(1000000);

	while ((w->fd = try_connect(res)) < 0) {
		if (errno != ECONNREFUSED || clock_ns() >= end)
			err(1, "cannot connect to %s, port %s", host, port);
		usleep(CONNECT_PAUSE_MS * 1000);
	}
	freeaddrinfo(res);
	setup(w);
}

void wire_close(struct wire *w)
{
	close(w->fd);
}

void wire_send(struct wire *w, const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t n = send(w->fd, at, length, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			err(1, "cannot send to the other side");
		if (n > 0) {
			at += n;
			length -= (size_t)n;
		}
	}
}

static __attribute__((noreturn)) void gone(void)
{
	errx(1, "the other side has ended");
}

void wire_recv(struct wire *w, void *data, size_t length)
{
	char *at = data;

	while (length) {
		ssize_t n = recv(w->fd, at, length, 0);

		if (!n || (n < 0 && errno == ECONNRESET))
			gone();
		if (n < 0 && errno != EINTR)
			err(1, "cannot receive from the other side");
		if (n > 0) {
			at += n;
			length -= (size_t)n;
		}
	}
}

/* POLLRDHUP shows behind what was not received yet, too. */
void wire_check(struct wire *w)
{
	struct pollfd pfd = { .fd = w->fd, .events = POLLRDHUP };

	if (poll(&pfd, 1, 0) > 0)
		gone();
}

bool wire_pending(struct wire *w, int timeout_ms)
{
	struct pollfd pfd = { .fd = w->fd, .events = POLLIN };

	return poll(&pfd, 1, timeout_ms) > 0;
}

bool wire_idle(struct wire *w)
{
	const uint64_t now = cycles();

	if (now - w->looked < LOOK_CYCLES)
		return false;
	w->looked = now;
	wire_check(w);
	return wire_pending(w, 0);
}

char wire_peek(struct wire *w)
{
	char byte;

	if (recv(w->fd, &byte, 1, MSG_PEEK) != 1)
		gone();
	return byte;
}

void wire_meet(struct wire *w)
{
	char byte = 0;

	wire_send(w, &byte, 1);
	wire_recv(w, &byte, 1);
}
