// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/*
 * What a use of a map costs: md_map_get() and md_map_put(), beside the least that
 * could count it, an atomic addition and an atomic subtraction on a cache line that
 * no other thread touches; and beside two calls of a shared library that do nothing.
 */

#include <fcntl.h>
#include <getopt.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mapdirect/mapdirect.h>

#include "clock.h"
#include "must.h"
#include "number.h"
#include "sample.h"
#include "stats.h"

#define PAGE 4096
#define LINE 64
#define THREADS_MAX 64
#define LIST_MAX 16
#define ROUNDS_MAX 1000

static const char usage[] =
	"Usage: md_guard --file=FILE [OPTION]...\n"
	"What md_map_get() and md_map_put() cost, in ns for both.\n"
	"\n"
	"  --file=FILE       on a DAX file system; its first page is leased\n"
	"  --fcntl           by a lease of fcntl(2): any file will do, and no module is\n"
	"                    needed; the guard is the same\n"
	"  --threads=N,...   how many at a time, 1 to 64 (default 1,2,4)\n"
	"  --rounds=N        of each, of which the median counts (default 7)\n"
	"  --pairs=N         of each thread in a round (default 2000000)\n"
	"  --samples=FILE    append each measurement to FILE\n"
	"  -h, --help        this\n"
	"\n"
	"rmw2 is two atomic read-modify-writes on a cache line of the thread's own, call2 two\n"
	"calls of md_map_length(), in the same loop. Rounds of all take turns. Each thread has\n"
	"a CPU of its own if there are enough.\n";

struct options {
	const char *file;
	enum md_provider provider;
	uint64_t threads[LIST_MAX];
	int n;
	unsigned int rounds;
	unsigned int pairs;
};

enum what {
	PAIR,
	RMW2,
	CALL2
};

struct worker {
	_Alignas(LINE) _Atomic int64_t uses; /* what rmw2 counts in */
	_Alignas(LINE) pthread_t thread;
	enum what what;
	struct md_map *map;
	pthread_barrier_t *barrier;
	unsigned int pairs;
	int cpu; /* -1: any */
	uint64_t ns;
};

/* ---- the loops --------------------------------------------------------- */

static __attribute__((noinline)) void use_map(struct md_map *map, unsigned int pairs)
{
	for (unsigned int i = 0; i < pairs; i++) {
		if (md_map_get(map))
			errx(1, "%s", md_errmsg());
		md_map_put(map);
	}
}

static __attribute__((noinline)) void use_atomics(_Atomic int64_t *uses, unsigned int pairs)
{
	for (unsigned int i = 0; i < pairs; i++) {
		atomic_fetch_add(uses, 1);
		atomic_fetch_sub(uses, 1);
	}
}

static __attribute__((noinline)) void call(const struct md_map *map, unsigned int pairs)
{
	for (unsigned int i = 0; i < pairs; i++) {
		if (md_map_length(map) + md_map_length(map) != 2 * PAGE)
			errx(1, "the map has another length");
	}
}

static void *work(void *arg)
{
	struct worker *w = arg;
	uint64_t begin;

	if (w->cpu >= 0) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET(w->cpu, &set);
		ERRNO_MUST(pthread_setaffinity_np(pthread_self(), sizeof(set), &set));
	}
	pthread_barrier_wait(w->barrier);
	begin = clock_ns();
	if (w->what == PAIR)
		use_map(w->map, w->pairs);
	else if (w->what == RMW2)
		use_atomics(&w->uses, w->pairs);
	else
		call(w->map, w->pairs);
	w->ns = clock_ns() - begin;
	return NULL;
}

/* The n-th CPU that this process may use; -1: there are no more. */
static int nth_cpu(unsigned int n)
{
	cpu_set_t set;

	MUST(!sched_getaffinity(0, sizeof(set), &set));
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (CPU_ISSET(cpu, &set) && !n--)
			return cpu;
	}
	return -1;
}

/* ns for a pair: the mean of the threads. */
static double measure(const struct options *o, unsigned int threads, enum what what,
		      struct md_map *map)
{
	static struct worker worker[THREADS_MAX];
	bool pinned = nth_cpu(threads - 1) >= 0;
	pthread_barrier_t barrier;
	double ns = 0;

	ERRNO_MUST(pthread_barrier_init(&barrier, NULL, threads));
	for (unsigned int i = 0; i < threads; i++) {
		struct worker *w = &worker[i];

		*w = (struct worker){
			.what = what,
			.map = map,
			.barrier = &barrier,
			.pairs = o->pairs,
			.cpu = pinned ? nth_cpu(i) : -1,
		};
		ERRNO_MUST(pthread_create(&w->thread, NULL, work, w));
	}
	for (unsigned int i = 0; i < threads; i++) {
		ERRNO_MUST(pthread_join(worker[i].thread, NULL));
		ns += (double)worker[i].ns / o->pairs / threads;
	}
	pthread_barrier_destroy(&barrier);
	return ns;
}

static void run(const struct options *o, struct md_map *map, unsigned int threads)
{
	static double pair[ROUNDS_MAX], rmw2[ROUNDS_MAX], call2[ROUNDS_MAX];
	double p, r, c;

	for (unsigned int i = 0; i < o->rounds; i++) {
		rmw2[i] = measure(o, threads, RMW2, map);
		pair[i] = measure(o, threads, PAIR, map);
		call2[i] = measure(o, threads, CALL2, map);
		sample(pair[i], "ns", "guard/pair/%u", threads);
		sample(rmw2[i], "ns", "guard/rmw2/%u", threads);
		sample(call2[i], "ns", "guard/call2/%u", threads);
	}
	stats_sort(pair, o->rounds);
	stats_sort(rmw2, o->rounds);
	stats_sort(call2, o->rounds);
	p = stats_percentile(pair, o->rounds, 50);
	r = stats_percentile(rmw2, o->rounds, 50);
	c = stats_percentile(call2, o->rounds, 50);
	printf("%-7u %6s %9.1f %9.1f %9.1f %6.2f\n", threads,
	       nth_cpu(threads - 1) < 0 ? "no" : "yes", p, r, c, p / r);
}

/* ---- begin ------------------------------------------------------------- */

static void parse(struct options *o, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "file", required_argument, NULL, 'f' },
		{ "fcntl", no_argument, NULL, 'l' },
		{ "threads", required_argument, NULL, 't' },
		{ "rounds", required_argument, NULL, 'r' },
		{ "pairs", required_argument, NULL, 'p' },
		{ "samples", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	int option;

	*o = (struct options){ .threads = { 1, 2, 4 }, .n = 3, .rounds = 7, .pairs = 2000000 };
	while ((option = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
		switch (option) {
		case 'f':
			o->file = optarg;
			break;
		case 'l':
			o->provider = MD_PROVIDER_FCNTL;
			break;
		case 't':
			o->n = (int)numbers("--threads", optarg, 1, THREADS_MAX, o->threads,
					    LIST_MAX);
			break;
		case 'r':
			o->rounds = (unsigned int)number("--rounds", optarg, 1, ROUNDS_MAX);
			break;
		case 'p':
			o->pairs = (unsigned int)number("--pairs", optarg, 1, 1000000000);
			break;
		case 's':
			sample_open(optarg);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			refuse("there is no such option");
		}
	}
	if (optind < argc)
		refuse("there are arguments that are no options");
	if (!o->file)
		refuse("--file is missing");
}

static struct md_map *lease(struct md_context *ctx, const struct options *o)
{
	const struct md_map_attr attr = {
		.size = sizeof(attr),
		.flags = MD_MAP_ALLOCATE,
		.provider = o->provider,
	};
	int fd = open(o->file, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	struct md_map *map;
	off_t end;

	if (fd < 0)
		err(1, "cannot open %s", o->file);
	end = lseek(fd, 0, SEEK_END);
	if (end < PAGE)
		MUST(!ftruncate(fd, PAGE));
	map = md_map(ctx, fd, 0, PAGE, &attr);
	if (!map)
		errx(errno == ENOENT || errno == ENODEV || errno == EOPNOTSUPP ? EXIT_CANNOT : 1,
		     "%s", md_errmsg());
	close(fd);
	return map;
}

int main(int argc, char **argv)
{
	struct md_context *ctx;
	struct md_map *map;
	struct options o;

	parse(&o, argc, argv);
	MD_MUST(ctx = md_open(NULL));
	map = lease(ctx, &o);
	setlinebuf(stdout);
	printf("%-7s %6s %9s %9s %9s %6s\n", "threads", "pinned", "pair/ns", "rmw2/ns", "call2/ns",
	       "ratio");
	for (int i = 0; i < o.n; i++)
		run(&o, map, (unsigned int)o.threads[i]);
	MD_MUST(!md_unmap(map) && !md_close(ctx));
	return 0;
}
