/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
#include "ping.h"

#include <stdio.h>
#include <string.h>

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

int ping_number(const char *buf, size_t size, unsigned long *n)
{
	char name[PING_MIN_SIZE] = "";

	memcpy(name, buf, size < sizeof(name) ? size : sizeof(name) - 1);
	return sscanf(name, "rdma-ping-%lu: ", n) == 1 ? 0 : -1;
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
