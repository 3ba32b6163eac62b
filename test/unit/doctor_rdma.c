// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What md_doctor says of RDMA devices, with a libibverbs of our own. */

#include <errno.h>
#include <string.h>

#include <infiniband/verbs.h>

#include "fake_tree.h"
#include "probe.h"

/* The device that libibverbs knows, and whether it can be opened. */
static struct ibv_device device;
static struct ibv_device *list[2];
static struct ibv_context context;
static int open_error;
static int opened, lists;

/* These come before those of libibverbs. */
struct ibv_device **ibv_get_device_list(int *count)
{
	if (count)
		*count = 1;
	list[0] = device.name[0] ? &device : NULL;
	lists++;
	return list;
}

void ibv_free_device_list(struct ibv_device **l)
{
	CU_ASSERT_PTR_EQUAL(l, list);
	lists--;
	errno = 0;
}

const char *ibv_get_device_name(struct ibv_device *dev)
{
	return dev->name;
}

struct ibv_context *ibv_open_device(struct ibv_device *dev)
{
	CU_ASSERT_PTR_EQUAL(dev, &device);
	if (open_error) {
		errno = open_error;
		return NULL;
	}
	opened++;
	return &context;
}

int ibv_close_device(struct ibv_context *ctx)
{
	CU_ASSERT_PTR_EQUAL(ctx, &context);
	opened--;
	return 0;
}

static void setup(void)
{
	open_error = 0;
	strcpy(device.name, "rxe0");
	fake_tree_setup();
	fake_machine();
	fake_file("/sys/class/infiniband/rxe0/ports/1/state", "4: ACTIVE\n");
	fake_file("/dev/infiniband/uverbs0", "");
	fake_file("/dev/infiniband/rdma_cm", "");
}

static void teardown(void)
{
	CU_ASSERT_EQUAL(opened, 0);
	CU_ASSERT_EQUAL(lists, 0);
	fake_tree_teardown();
}

static void rdma__active_port__ok(void)
{
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_OK, "RDMA device", "rxe0", "port 1 ACTIVE"));
	CU_ASSERT(found(STATUS_OK, "/dev/infiniband", "uverbs*", "1 can be opened"));
	CU_ASSERT(found(STATUS_OK, "/dev/infiniband", "rdma_cm", "1 can be opened"));
	CU_ASSERT_EQUAL(report.count, 3);
}

static void rdma__no_device__missing_says_what_could_be_loaded(void)
{
	fake_remove("/sys/class/infiniband");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_MISSING, "RDMA device", NULL, "there is none"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("RDMA device"), "modprobe rdma_rxe"));
	/* Device nodes cannot be there, and are not another lack. */
	CU_ASSERT_EQUAL(report.count, 1);
	forget();
	fake_remove("/lib/modules");
	probe_rdma(&report, fake_root);
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("RDMA device"), "no rdma_rxe"));
}

static void rdma__no_port_is_active__missing(void)
{
	fake_file("/sys/class/infiniband/rxe0/ports/1/state", "1: DOWN\n");
	fake_file("/sys/class/infiniband/rxe0/ports/2/state", "2: INIT\n");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_WARN, "RDMA device", "rxe0", "port 1 DOWN, port 2 INIT"));
	CU_ASSERT(found(STATUS_MISSING, "RDMA device", NULL, "none can be used"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("RDMA device"), "link"));
}

static void rdma__one_of_two_ports_active__ok(void)
{
	fake_file("/sys/class/infiniband/rxe0/ports/1/state", "1: DOWN\n");
	fake_file("/sys/class/infiniband/rxe0/ports/2/state", "4: ACTIVE\n");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_OK, "RDMA device", "rxe0", "port 2 ACTIVE"));
	forget();
	fake_file("/sys/class/infiniband/rxe0/ports/1/state", "4: ACTIVE\n");
	fake_file("/sys/class/infiniband/rxe0/ports/2/state", "1: DOWN\n");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_OK, "RDMA device", "rxe0", "port 1 ACTIVE, port 2 DOWN"));
}

static void rdma__second_device_not_usable__ready_with_a_warning(void)
{
	fake_file("/sys/class/infiniband/other0/ports/1/state", "4: ACTIVE\n");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_WARN, "RDMA device", "other0", "does not know it"));
	CU_ASSERT(found(STATUS_OK, "RDMA device", "rxe0", "ACTIVE"));
	CU_ASSERT_EQUAL(report_missing(&report), 0);
}

static void rdma__not_known_to_verbs__missing(void)
{
	device.name[0] = '\0';
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_WARN, "RDMA device", "rxe0", "libibverbs does not know it"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("RDMA device"), "ibverbs-providers"));
	CU_ASSERT(found(STATUS_MISSING, "RDMA device", NULL, "none can be used"));
}

static void rdma__cannot_be_opened__missing_with_the_reason(void)
{
	open_error = EACCES;
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_WARN, "RDMA device", "rxe0", "Permission denied"));
	CU_ASSERT(found(STATUS_MISSING, "RDMA device", NULL, "none can be used"));
}

static void rdma__device_nodes__missing_unless_they_can_be_opened(void)
{
	fake_remove("/dev/infiniband");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_MISSING, "/dev/infiniband", "uverbs*", "not there"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("/dev/infiniband"), "modprobe ib_uverbs"));
	CU_ASSERT(found(STATUS_WARN, "/dev/infiniband", "rdma_cm", "not there"));
	forget();
	fake_dir("/dev/infiniband/uverbs0");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_MISSING, "/dev/infiniband", "uverbs*", "0 of 1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("/dev/infiniband"), "container"));
	forget();
	fake_file("/dev/infiniband/uverbs1", "");
	probe_rdma(&report, fake_root);
	CU_ASSERT(found(STATUS_WARN, "/dev/infiniband", "uverbs*", "1 of 2"));
}

static const struct unit_case cases[] = {
	UNIT_CASE(rdma__active_port__ok),
	UNIT_CASE(rdma__no_device__missing_says_what_could_be_loaded),
	UNIT_CASE(rdma__no_port_is_active__missing),
	UNIT_CASE(rdma__one_of_two_ports_active__ok),
	UNIT_CASE(rdma__second_device_not_usable__ready_with_a_warning),
	UNIT_CASE(rdma__not_known_to_verbs__missing),
	UNIT_CASE(rdma__cannot_be_opened__missing_with_the_reason),
	UNIT_CASE(rdma__device_nodes__missing_unless_they_can_be_opened),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("doctor_rdma", cases, setup, teardown, argc, argv);
}
