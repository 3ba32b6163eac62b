/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* A file to be leased by fcntl(2), on the file systems of /dev/shm and of /tmp. */
#ifndef MD_TEST_LEASED_FILE_H
#define MD_TEST_LEASED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fixture.h"

#define LENGTH ((size_t)FILE_PAGES * PAGE)

extern char path[64];
extern int leased; /* PATH, open, as the application has it */

/* Another of the same length; sets its name. */
int new_file(char *name, size_t size);

/* md_map() by MD_PROVIDER_FCNTL, which may fail; of LEASED, which must work. */
struct md_map *try_map(int fd, uint32_t flags, size_t length);
struct md_map *map_leased(uint32_t flags);

/* Memory that can be read; a reservation cannot. */
bool accessible(const void *addr, size_t length);

/* How many threads the library has to hear of breaks. */
int count_watches(void);

/* The cases on both file systems, with a service thread and without. */
int leased_file_main(const char *suite, const struct unit_case *cases, int argc, char **argv);

#endif
