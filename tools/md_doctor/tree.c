// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tree.h"

static bool join(char path[PATH_MAX], const char *root, const char *fmt, va_list ap)
{
	int n = snprintf(path, PATH_MAX, "%s", root);

	if (n < 0 || n >= PATH_MAX)
		return false;
	return vsnprintf(path + n, PATH_MAX - n, fmt, ap) < PATH_MAX - n;
}

/* The path of a function's variable arguments. */
#define JOIN(path, root, fmt, joined)                                                              \
	do {                                                                                       \
		va_list ap_;                                                                       \
                                                                                                   \
		va_start(ap_, fmt);                                                                \
		(joined) = join(path, root, fmt, ap_);                                             \
		va_end(ap_);                                                                       \
	} while (0)

bool tree_path(char path[PATH_MAX], const char *root, const char *fmt, ...)
{
	bool joined;

	JOIN(path, root, fmt, joined);
	return joined;
}

FILE *tree_open(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool joined;

	JOIN(path, root, fmt, joined);
	return joined ? fopen(path, "re") : NULL;
}

bool tree_exists(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool joined;

	JOIN(path, root, fmt, joined);
	return joined && !access(path, F_OK);
}

static bool first_line(char line[TREE_LINE], const char *path)
{
	FILE *f = fopen(path, "re");
	bool got = f && fgets(line, TREE_LINE, f);

	if (f)
		fclose(f);
	if (got)
		line[strcspn(line, "\n")] = '\0';
	else
		line[0] = '\0';
	return got;
}

bool tree_line(char line[TREE_LINE], const char *root, const char *fmt, ...)
{
	char path[PATH_MAX];
	bool joined;

	JOIN(path, root, fmt, joined);
	line[0] = '\0';
	return joined && first_line(line, path);
}

long long tree_number(const char *root, const char *fmt, ...)
{
	char path[PATH_MAX], line[TREE_LINE];
	long long number;
	bool joined;
	char *end;

	JOIN(path, root, fmt, joined);
	if (!joined || !first_line(line, path))
		return -1;
	number = strtoll(line, &end, 0);
	return end == line ? -1 : number;
}

void tree_glob(glob_t *found, const char *root, const char *pattern)
{
	char path[PATH_MAX];

	*found = (glob_t){};
	if (tree_path(path, root, "%s", pattern) && glob(path, 0, NULL, found))
		found->gl_pathc = 0;
}

bool tree_value(char value[TREE_LINE], const char *root, const char *path, const char *key)
{
	FILE *f = tree_open(root, "%s", path);
	size_t size = 0, length = strlen(key);
	char *line = NULL;
	bool found = false;

	value[0] = '\0';
	while (f && !found && getline(&line, &size, f) > 0) {
		if (strncmp(line, key, length))
			continue;
		found = true;
		line[strcspn(line, "\n")] = '\0';
		snprintf(value, TREE_LINE, "%s", line + length + strspn(line + length, " \t"));
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

bool tree_capable(const char *root, unsigned int cap)
{
	unsigned int inside, outside, count;
	char line[TREE_LINE];

	/* Without namespaces in the kernel there is no such file. */
	if (tree_line(line, root, "/proc/self/uid_map") &&
	    (sscanf(line, "%u %u %u", &inside, &outside, &count) != 3 || inside || outside ||
	     count != UINT_MAX))
		return false;
	tree_value(line, root, "/proc/self/status", "CapEff:");
	return strtoull(line, NULL, 16) >> cap & 1;
}

/* In file names of modules - and _ are the same. */
static bool same_module(const char *file, const char *module)
{
	for (; *module; file++, module++)
		if ((*file == '-' ? '_' : *file) != *module)
			return false;
	return !strncmp(file, ".ko", 3);
}

bool tree_has_module(const char *root, const char *release, const char *module)
{
	FILE *f = tree_open(root, "/lib/modules/%s/modules.dep", release);
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (f && !found && getline(&line, &size, f) > 0) {
		line[strcspn(line, ":\n")] = '\0';
		found = same_module(tree_base(line), module);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

const char *tree_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}
