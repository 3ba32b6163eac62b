// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mapdirect/uapi.h>

#include "probe.h"
#include "tree.h"

#define DEVICE "/dev/mapdirect"
#define ENROLL                                                                                     \
	"; if its key is rejected: mokutil --import /var/lib/dkms/mok.pub, then reboot and enroll it"
#define ONE_RELEASE "install module and library from one release, then load the module anew"

static bool is_loaded(const char *root)
{
	return tree_exists(root, "/sys/module/mapdirect");
}

/* "none [integrity] confidentiality"; then only modules that are signed load. */
static bool is_locked_down(const char *root)
{
	char line[TREE_LINE];

	return tree_line(line, root, "/sys/kernel/security/lockdown") && !strstr(line, "[none]");
}

static void check_module(struct report *r, const char *root, enum status lack)
{
	char release[TREE_LINE];
	bool installed;

	tree_line(release, root, "/proc/sys/kernel/osrelease");
	installed = tree_has_module(root, release, "mapdirect");
	if (is_loaded(root) && installed) {
		report_add(r, STATUS_OK, "module", NULL, "loaded, and installed for %s", release);
	} else if (is_loaded(root)) {
		report_add(r, STATUS_NOTE, "module", NULL, "loaded by hand: gone after a reboot");
	} else if (installed) {
		report_add(r, lack, "module", NULL, "installed, but not loaded");
		report_remedy(r, "as root: modprobe mapdirect%s",
			      is_locked_down(root) ? ENROLL : "");
	} else {
		report_add(r, lack, "module", NULL, "not installed for %s", release);
		report_remedy(
			r,
			"as root: install mapdirect-dkms (the README says how) and linux-headers-%s, then modprobe mapdirect%s",
			release, is_locked_down(root) ? ENROLL : "");
	}
}

/* ---- the device --------------------------------------------------------- */

static void cannot_open(struct report *r, enum status lack, const char *path)
{
	int err = errno;
	struct stat st;

	if (err == ENOENT) {
		report_add(r, lack, "device", DEVICE, "not there");
		report_remedy(r,
			      "have udev make it (udevadm trigger); a container must be given it");
	} else if ((err == EACCES || err == EPERM) && !stat(path, &st) && !st.st_gid) {
		report_add(r, lack, "device", DEVICE, "for root only");
		report_remedy(
			r,
			"as root: groupadd --system mapdirect, install 60-mapdirect.rules; then udevadm control --reload; udevadm trigger");
	} else if (err == EACCES || err == EPERM) {
		report_add(r, lack, "device", DEVICE, "no permission to open it");
		report_remedy(r, "as root: adduser USER mapdirect; then log in again");
	} else {
		report_add(r, lack, "device", DEVICE, "cannot be opened: %s", strerror(err));
		report_remedy(r, "as root: rmmod mapdirect; modprobe mapdirect");
	}
}

static void check_info(struct report *r, enum status lack, int fd)
{
	struct mapdirect_info info = {};

	if (ioctl(fd, MAPDIRECT_IOC_INFO, &info) < 0) {
		report_add(r, lack, "device", DEVICE, "not a device of the module: %s",
			   strerror(errno));
		report_remedy(r, ONE_RELEASE);
	} else if (info.abi != MAPDIRECT_ABI_VERSION || info.mode != MAPDIRECT_MODE_PINNED) {
		report_add(r, lack, "device", DEVICE,
			   "interface %u, mode %u; the library needs %d, %d", info.abi, info.mode,
			   MAPDIRECT_ABI_VERSION, MAPDIRECT_MODE_PINNED);
		report_remedy(r, ONE_RELEASE);
	} else if (info.features & MAPDIRECT_FEATURE_TESTING) {
		report_add(r, STATUS_WARN, "device", DEVICE,
			   "interface %u of a test build, whose protections can be switched off",
			   info.abi);
		report_remedy(r, "load the normal build before there is data that matters");
	} else {
		report_add(r, STATUS_OK, "device", DEVICE, "interface %u, pinned pages%s", info.abi,
			   info.features & MAPDIRECT_FEATURE_HUGE ? ", huge mappings" : "");
	}
}

static void check_device(struct report *r, const char *root, enum status lack)
{
	char path[PATH_MAX];
	int fd;

	if (!tree_path(path, root, DEVICE))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0) {
		check_info(r, lack, fd);
		close(fd);
	} else if (errno == ENOENT && !is_loaded(root)) {
		report_add(r, STATUS_NOTE, "device", DEVICE, "comes with the module");
	} else {
		cannot_open(r, lack, path);
	}
}

void probe_module(struct report *r, const char *root, bool needed)
{
	enum status lack = needed ? STATUS_MISSING : STATUS_NOTE;

	check_module(r, root, lack);
	check_device(r, root, lack);
}
