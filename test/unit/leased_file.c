// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "leased_file.h"

#define LONGEST_MS 5000

char path[64];
int leased;

static const char *directory;

int new_file(char *name, size_t size)
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

bool accessible(const void *addr, size_t length)
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

int count_watches(void)
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
	for (int ms = 0; ms < LONGEST_MS && count_watches(); ms++)
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

struct md_map *try_map(int fd, uint32_t flags, size_t length)
{
	struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = flags,
		.provider = MD_PROVIDER_FCNTL,
	};

	errno = 0;
	return md_map(ctx, fd, 0, length, &attr);
}

struct md_map *map_leased(uint32_t flags)
{
	struct md_map *map = try_map(leased, flags, LENGTH);

	if (!map)
		printf("\n    md_map: %s ", md_errmsg());
	CU_ASSERT_PTR_NOT_NULL_FATAL(map);
	CU_ASSERT_EQUAL(md_map_state(map), MD_MAP_LIVE);
	return map;
}

int leased_file_main(const char *suite, const struct unit_case *cases, int argc, char **argv)
{
	static const char *const directories[] = { "/dev/shm", "/tmp" };
	char name[64];
	int failed = 0;

	for (int i = 0; i < 4; i++) {
		directory = directories[i / 2];
		threaded = i % 2;
		snprintf(name, sizeof(name), "%s (%s, %s)", suite, directory,
			 threaded ? "thread" : "md_process");
		failed |= unit_main(name, cases, set_up, tear_down, argc, argv);
	}
	return failed;
}
