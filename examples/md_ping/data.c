/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "ping.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

/* rping's characters, 'A' to 'z', starting one further in each ping */
#define FIRST 65
#define CHARS 58

static size_t name_of(char *text, unsigned long n)
{
	return snprintf(text, PING_MIN_SIZE, "rdma-ping-%lu: ", n);
}

static char byte_at(const char *name, size_t named, size_t size, unsigned long n, size_t i)
{
	if (i == size - 1)
		return 0;
	if (i < named)
		return name[i];
	return FIRST + (n + i - named) % CHARS;
}

void ping_fill(char *buf, size_t size, unsigned long n)
{
	char name[PING_MIN_SIZE];
	const size_t named = name_of(name, n);

	for (size_t i = 0; i < size; i++)
		buf[i] = byte_at(name, named, size, n, i);
}

uint64_t ping_token(void)
{
	uint64_t token = 0;

	if (getrandom(&token, sizeof(token), 0) != sizeof(token))
		token = (uint64_t)getpid();
	return token;
}

size_t ping_check(const char *buf, size_t size, unsigned long n)
{
	char name[PING_MIN_SIZE];
	const size_t named = name_of(name, n);
	size_t i = 0;

	while (i < size && buf[i] == byte_at(name, named, size, n, i))
		i++;
	return i;
}
