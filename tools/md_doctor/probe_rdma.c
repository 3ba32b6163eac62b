// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <infiniband/verbs.h>

#include "probe.h"
#include "tree.h"

#define CHECK "RDMA device"

enum opened {
	OPENED,
	NOT_KNOWN,
	NOT_OPENED
};

/* Does libibverbs know the device, and can this process use it? */
static enum opened try_verbs(const char *name)
{
	struct ibv_device **list = ibv_get_device_list(NULL);
	enum opened result = NOT_KNOWN;

	for (struct ibv_device **dev = list; dev && *dev; dev++) {
		struct ibv_context *ctx;

		if (strcmp(ibv_get_device_name(*dev), name))
			continue;
		ctx = ibv_open_device(*dev);
		result = ctx ? OPENED : NOT_OPENED;
		if (ctx)
			ibv_close_device(ctx);
	}
	if (list) {
		int err = errno;

		ibv_free_device_list(list);
		errno = err;
	}
	return result;
}

/* Text for all ports, as "port 1 ACTIVE, port 2 DOWN"; is one active? */
static bool describe_ports(const char *dir, char *text, size_t size)
{
	bool active = false;
	glob_t ports;
	size_t n = 0;

	text[0] = '\0';
	tree_glob(&ports, dir, "/ports/*");
	for (size_t i = 0; i < ports.gl_pathc && n < size; i++) {
		char state[TREE_LINE];
		const char *word;

		/* "4: ACTIVE" */
		tree_line(state, ports.gl_pathv[i], "/state");
		word = strchr(state, ' ');
		word = word ? word + 1 : "unknown";
		active |= !strcmp(word, "ACTIVE");
		n += snprintf(text + n, size - n, "%sport %s %s", n ? ", " : "",
			      tree_base(ports.gl_pathv[i]), word);
	}
	globfree(&ports);
	return active;
}

static void check_device(struct report *r, const char *dir)
{
	const char *name = tree_base(dir);
	char ports[TREE_LINE];
	bool active = describe_ports(dir, ports, sizeof(ports));

	switch (try_verbs(name)) {
	case NOT_KNOWN:
		report_add(r, STATUS_WARN, CHECK, name, "%s; libibverbs does not know it", ports);
		report_remedy(r, "as root: apt install ibverbs-providers; modprobe ib_uverbs");
		break;
	case NOT_OPENED:
		report_add(r, STATUS_WARN, CHECK, name, "%s; it cannot be opened: %s", ports,
			   strerror(errno));
		report_remedy(r, "see the findings about /dev/infiniband");
		break;
	case OPENED:
		report_add(r, active ? STATUS_OK : STATUS_WARN, CHECK, name, "%s", ports);
		if (!active)
			report_remedy(r,
				      "bring its link up: rdma link show; ip link set NETDEV up");
	}
}

static void check_any(struct report *r, const char *root, bool seen)
{
	char release[TREE_LINE];

	if (report_has(r, CHECK, STATUS_OK))
		return;
	report_add(r, STATUS_MISSING, CHECK, NULL, seen ? "none can be used" : "there is none");
	tree_line(release, root, "/proc/sys/kernel/osrelease");
	if (seen)
		report_remedy(r, "see above");
	else if (tree_has_module(root, release, "rdma_rxe"))
		report_remedy(
			r,
			"load the adapter's driver; or, to try things, as root: modprobe rdma_rxe; rdma link add rxe0 type rxe netdev NETDEV");
	else
		report_remedy(
			r,
			"load the adapter's driver; this kernel has no rdma_rxe (soft-RoCE) either");
}

/* Can the nodes be opened? The kernel makes them for all users (mode 0666). */
static void check_nodes(struct report *r, const char *root, const char *pattern, const char *module,
			enum status lack)
{
	const char *kind = tree_base(pattern);
	size_t opened = 0;
	int err = 0;
	glob_t nodes;

	tree_glob(&nodes, root, pattern);
	for (size_t i = 0; i < nodes.gl_pathc; i++) {
		int fd = open(nodes.gl_pathv[i], O_RDWR | O_CLOEXEC);

		if (fd >= 0) {
			opened++;
			close(fd);
		} else {
			err = errno;
		}
	}
	if (!nodes.gl_pathc) {
		report_add(r, lack, "/dev/infiniband", kind, "not there");
		report_remedy(r, "as root: modprobe %s", module);
	} else if (err) {
		report_add(r, opened ? STATUS_WARN : lack, "/dev/infiniband", kind,
			   "%zu of %zu can be opened: %s", opened, nodes.gl_pathc, strerror(err));
		report_remedy(
			r,
			"the kernel gives them to all users: look for a udev rule, or a container, that does not");
	} else {
		report_add(r, STATUS_OK, "/dev/infiniband", kind, "%zu can be opened", opened);
	}
	globfree(&nodes);
}

void probe_rdma(struct report *r, const char *root)
{
	glob_t devices;
	bool seen;

	tree_glob(&devices, root, "/sys/class/infiniband/*");
	seen = devices.gl_pathc;
	for (size_t i = 0; i < devices.gl_pathc; i++)
		check_device(r, devices.gl_pathv[i]);
	globfree(&devices);
	check_any(r, root, seen);
	if (!seen)
		return;
	check_nodes(r, root, "/dev/infiniband/uverbs*", "ib_uverbs", STATUS_MISSING);
	/* The library does without, connections by librdmacm do not. */
	check_nodes(r, root, "/dev/infiniband/rdma_cm", "rdma_ucm", STATUS_WARN);
}
