// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* What md_doctor says of kernel, module, rights and limits. */

#include <errno.h>
#include <grp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <mapdirect/uapi.h>

#include "fake_tree.h"
#include "probe.h"

/* What the device answers; abi 0: it is another. The linker sends it here. */
static struct mapdirect_info answer;

int __wrap_ioctl(int fd, unsigned long request, ...);

int __wrap_ioctl(int fd, unsigned long request, ...)
{
	struct mapdirect_info *info;
	va_list ap;

	(void)fd;
	va_start(ap, request);
	info = va_arg(ap, struct mapdirect_info *);
	va_end(ap);
	if (request != MAPDIRECT_IOC_INFO || !answer.abi) {
		errno = ENOTTY;
		return -1;
	}
	*info = answer;
	return 0;
}

/* What the system knows; the linker sends these calls here, too. */
#define MANY 300
static struct group group = { .gr_name = "mapdirect", .gr_gid = 999 };
static bool group_is_known;
static gid_t groups[MANY];
static int group_count;

struct group *__wrap_getgrnam(const char *name);
int __wrap_getgroups(int size, gid_t *list);

struct group *__wrap_getgrnam(const char *name)
{
	return group_is_known && !strcmp(name, group.gr_name) ? &group : NULL;
}

int __wrap_getgroups(int size, gid_t *list)
{
	if (size)
		memcpy(list, groups, group_count * sizeof(*list));
	return group_count;
}

static void in_groups(gid_t first, gid_t second)
{
	groups[0] = first;
	groups[1] = second;
	group_count = 2;
}

static void setup(void)
{
	group_is_known = true;
	in_groups(27, 999);
	answer = (struct mapdirect_info){ .abi = MAPDIRECT_ABI_VERSION,
					  .mode = MAPDIRECT_MODE_PINNED,
					  .features = MAPDIRECT_FEATURE_HUGE };
	fake_tree_setup();
	fake_machine();
}

/* ---- kernel ------------------------------------------------------------- */

static bool kernel(const char *release, const char *arch, enum status status)
{
	forget();
	fake_file("/proc/sys/kernel/osrelease", release);
	fake_file("/proc/sys/kernel/arch", arch);
	probe_kernel(&report, fake_root, true);
	return found(status, "kernel", NULL, release);
}

static void kernel__version__missing_outside_the_modules_range(void)
{
	CU_ASSERT(kernel("6.1.0-50-amd64", "x86_64", STATUS_OK));
	CU_ASSERT(kernel("6.12.95+deb13", "x86_64", STATUS_OK));
	CU_ASSERT(kernel("6.0.19", "x86_64", STATUS_MISSING));
	CU_ASSERT(kernel("5.15.0", "x86_64", STATUS_MISSING));
	CU_ASSERT(kernel("6.15.0-rc1", "x86_64", STATUS_MISSING));
	CU_ASSERT(kernel("7.3.4", "x86_64", STATUS_MISSING));
	CU_ASSERT_STRING_NOT_EQUAL(remedy_of("kernel"), "");
}

static void kernel__not_tested__warn(void)
{
	CU_ASSERT(kernel("6.14.99", "x86_64", STATUS_WARN));
	CU_ASSERT(kernel("6.10", "x86_64", STATUS_WARN));
	CU_ASSERT(kernel("6.1.0", "aarch64", STATUS_WARN));
	CU_ASSERT(kernel("odd", "x86_64", STATUS_WARN));
}

static bool config(const char *text, enum status status, const char *words)
{
	forget();
	fake_file("/boot/config-" KERNEL, text);
	probe_kernel(&report, fake_root, true);
	return found(status, "kernel configuration", NULL, words);
}

static void kernel__option_not_set__missing_by_its_name(void)
{
	probe_kernel(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "kernel configuration", NULL, "layout leases"));
	CU_ASSERT(config("CONFIG_FS_DAX=y\n# CONFIG_EXPORTFS_BLOCK_OPS is not set\n"
			 "CONFIG_INFINIBAND_USER_ACCESS=m\n",
			 STATUS_MISSING, "without CONFIG_EXPORTFS_BLOCK_OPS"));
	CU_ASSERT_STRING_NOT_EQUAL(remedy_of("kernel configuration"), "");
	CU_ASSERT(config("CONFIG_FS_DAX=n\nCONFIG_EXPORTFS_BLOCK_OPS=y\n", STATUS_MISSING,
			 "CONFIG_FS_DAX, CONFIG_INFINIBAND_USER_ACCESS"));
}

static void kernel__configuration_elsewhere_or_not_there__read_or_note(void)
{
	fake_remove("/boot/config-" KERNEL);
	probe_kernel(&report, fake_root, true);
	CU_ASSERT(found(STATUS_NOTE, "kernel configuration", NULL, "nor one in /lib/modules/"));
	forget();
	fake_file("/lib/modules/" KERNEL "/build/.config", "CONFIG_FS_DAX=y\n");
	probe_kernel(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "kernel configuration", NULL, "BLOCK_OPS"));
}

/* ---- module ------------------------------------------------------------- */

static void module__loaded_and_installed__ok(void)
{
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "module", NULL, "installed for " KERNEL));
	CU_ASSERT(found(STATUS_OK, "device", "/dev/mapdirect", "huge"));
	CU_ASSERT_EQUAL(report_missing(&report), 0);
}

static void module__not_loaded__missing_with_a_remedy_that_fits(void)
{
	fake_remove("/sys/module/mapdirect");
	fake_remove("/dev/mapdirect");
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "module", NULL, "not loaded"));
	CU_ASSERT_STRING_EQUAL(remedy_of("module"), "as root: modprobe mapdirect");
	/* One thing is missing, not two. */
	CU_ASSERT(found(STATUS_NOTE, "device", "/dev/mapdirect", "comes with"));
	forget();
	fake_file("/lib/modules/" KERNEL "/modules.dep", "kernel/drivers/notmapdirect.ko:\n"
							 "kernel/x/mapdirect_other.ko:\n");
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "module", NULL, "not installed for " KERNEL));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("module"), "linux-headers-" KERNEL));
}

static void module__loaded_by_hand__note(void)
{
	fake_remove("/lib/modules/" KERNEL "/modules.dep");
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_NOTE, "module", NULL, "loaded by hand: gone after a reboot"));
}

static void module__kernel_locked_down__remedy_says_how_to_enroll_a_key(void)
{
	fake_remove("/sys/module/mapdirect");
	fake_file("/sys/kernel/security/lockdown", "[none] integrity confidentiality\n");
	probe_module(&report, fake_root, true);
	CU_ASSERT_STRING_EQUAL(remedy_of("module"), "as root: modprobe mapdirect");
	forget();
	fake_file("/sys/kernel/security/lockdown", "none [integrity] confidentiality\n");
	probe_module(&report, fake_root, true);
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("module"), "mokutil --import"));
	forget();
	fake_remove("/lib/modules/" KERNEL "/modules.dep");
	probe_module(&report, fake_root, true);
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("module"), "mokutil --import"));
}

static void module__file_is_compressed__installed(void)
{
	fake_remove("/sys/module/mapdirect");
	fake_file("/lib/modules/" KERNEL "/modules.dep", "updates/mapdirect.ko.zst: x.ko\n");
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "module", NULL, "installed, but not loaded"));
}

static void device__not_there_or_another__missing(void)
{
	fake_remove("/dev/mapdirect");
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "device", "/dev/mapdirect", "not there"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("device"), "udev"));
	forget();
	fake_file("/dev/mapdirect", "");
	answer.abi = 0;
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "device", "/dev/mapdirect", "not a device"));
	forget();
	fake_remove("/dev/mapdirect");
	fake_dir("/dev/mapdirect");
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "device", "/dev/mapdirect", "cannot be opened"));
	CU_ASSERT_STRING_NOT_EQUAL(remedy_of("device"), "");
}

static void device__other_interface__missing(void)
{
	answer.abi++;
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "device", "/dev/mapdirect", "interface 2, mode 1"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("device"), "one release"));
	forget();
	answer.abi--;
	answer.mode++;
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "device", "/dev/mapdirect", "interface 1, mode 2"));
}

static void device__test_build__warn(void)
{
	answer.features |= MAPDIRECT_FEATURE_TESTING;
	probe_module(&report, fake_root, true);
	CU_ASSERT(found(STATUS_WARN, "device", "/dev/mapdirect", "test build"));
}

/* ---- for a device-dax --------------------------------------------------- */

static void system__module_not_needed__its_lack_is_noted(void)
{
	fake_file("/proc/sys/kernel/osrelease", "7.3.4");
	fake_file("/lib/modules/7.3.4/config", "CONFIG_FS_DAX=y\n");
	fake_file("/proc/sys/fs/leases-enable", "0\n");
	answer.abi = 0;
	probe_kernel(&report, fake_root, false);
	probe_module(&report, fake_root, false);
	probe_limits(&report, fake_root, false);
	CU_ASSERT(found(STATUS_NOTE, "kernel", NULL, "the module is for Linux"));
	CU_ASSERT(found(STATUS_NOTE, "kernel configuration", NULL, "without"));
	CU_ASSERT(found(STATUS_NOTE, "device", "/dev/mapdirect", "not a device"));
	CU_ASSERT(found(STATUS_NOTE, "leases", NULL, "switched off"));
	CU_ASSERT_EQUAL(report_missing(&report), 0);
	forget();
	fake_remove("/sys/module/mapdirect");
	probe_module(&report, fake_root, false);
	CU_ASSERT(found(STATUS_NOTE, "module", NULL, "not installed"));
	CU_ASSERT_EQUAL(report_missing(&report), 0);
}

/* ---- rights ------------------------------------------------------------- */

static void status_file(const char *uid, const char *gid, const char *caps)
{
	char text[256];

	forget();
	snprintf(text, sizeof(text), "Uid:\t%s\nGid:\t%s\nCapEff:\t%s\n", uid, gid, caps);
	fake_file("/proc/self/status", text);
	probe_rights(&report, fake_root);
}

static void rights__user__by_effective_ids_and_groups(void)
{
	probe_rights(&report, fake_root);
	CU_ASSERT(found(STATUS_OK, "user", NULL, "uid 1000, in group mapdirect"));
	status_file("1000\t0\t0\t0", "5\t5\t5\t5", "0");
	CU_ASSERT(found(STATUS_OK, "user", NULL, "root"));
	in_groups(99, 9);
	status_file("0\t1000\t0\t0", "999\t5\t5\t5", "0");
	CU_ASSERT(found(STATUS_NOTE, "user", NULL, "uid 1000, not in group"));
	group_count = 0;
	status_file("7\t7\t7\t7", "5\t999\t5\t5", "0");
	CU_ASSERT(found(STATUS_OK, "user", NULL, "uid 7, in group"));
	group_is_known = false;
	status_file("7\t7\t7\t7", "5\t999\t5\t5", "0");
	CU_ASSERT(found(STATUS_NOTE, "user", NULL, "there is no group"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("user"), "groupadd --system mapdirect"));
}

static void rights__member_of_many_groups__found_among_them(void)
{
	for (gid_t i = 0; i < MANY; i++)
		groups[i] = 1000000000 + i;
	group_count = MANY;
	groups[MANY - 1] = 999;
	probe_rights(&report, fake_root);
	CU_ASSERT(found(STATUS_OK, "user", NULL, "in group"));
}

/* Bits of linux/capability.h: CAP_IPC_LOCK is 14, CAP_LEASE 28. */
static void rights__capabilities__by_their_bits(void)
{
	status_file("7\t7\t7\t7", "5\t5\t5\t5", "0000000010000000");
	CU_ASSERT(found(STATUS_OK, "CAP_LEASE", NULL, "any user"));
	CU_ASSERT(found(STATUS_NOTE, "CAP_IPC_LOCK", NULL, "not there"));
	status_file("7\t7\t7\t7", "5\t5\t5\t5", "0000000000004000");
	CU_ASSERT(found(STATUS_NOTE, "CAP_LEASE", NULL, "only files that this user owns"));
	CU_ASSERT(found(STATUS_OK, "CAP_IPC_LOCK", NULL, "there"));
}

static void rights__other_user_namespace__no_capability_counts(void)
{
	fake_file("/proc/self/uid_map", "         0          0 4294967295\n");
	status_file("0\t0\t0\t0", "0\t0\t0\t0", "0000003fffffffff");
	CU_ASSERT(found(STATUS_OK, "CAP_LEASE", NULL, "any user"));
	fake_file("/proc/self/uid_map", "         0       1000          1\n");
	status_file("0\t0\t0\t0", "0\t0\t0\t0", "0000003fffffffff");
	CU_ASSERT(found(STATUS_NOTE, "CAP_LEASE", NULL, "not there"));
	CU_ASSERT(found(STATUS_NOTE, "CAP_IPC_LOCK", NULL, "not there"));
	fake_file("/proc/self/uid_map", "         0          0      65536\n");
	status_file("0\t0\t0\t0", "0\t0\t0\t0", "0000003fffffffff");
	CU_ASSERT(found(STATUS_NOTE, "CAP_LEASE", NULL, "not there"));
}

/* ---- limits ------------------------------------------------------------- */

static bool memlock(const char *soft, enum status status)
{
	char text[256];

	forget();
	snprintf(text, sizeof(text), "Max locked memory         %-20s 99999999999 bytes\n", soft);
	fake_file("/proc/self/limits", text);
	probe_limits(&report, fake_root, true);
	return found(status, "RLIMIT_MEMLOCK", NULL, "");
}

static void limits__memlock__missing_below_two_pages(void)
{
	CU_ASSERT(memlock("unlimited", STATUS_OK));
	CU_ASSERT(memlock("67108864", STATUS_OK));
	CU_ASSERT_STRING_EQUAL(remedy_of("RLIMIT_MEMLOCK"), "");
	CU_ASSERT(memlock("67108863", STATUS_WARN));
	CU_ASSERT(memlock("8192", STATUS_WARN));
	CU_ASSERT(memlock("8191", STATUS_MISSING));
	CU_ASSERT(memlock("0", STATUS_MISSING));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("RLIMIT_MEMLOCK"), "ulimit -l"));
	fake_file("/proc/self/status", "CapEff:\t0000000000004000\n");
	CU_ASSERT(memlock("0", STATUS_OK));
	fake_file("/proc/self/uid_map", "         0       1000          1\n");
	CU_ASSERT(memlock("0", STATUS_MISSING));
}

static void limits__leases_off__missing(void)
{
	probe_limits(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "leases", NULL, "on"));
	forget();
	fake_file("/proc/sys/fs/leases-enable", "0\n");
	probe_limits(&report, fake_root, true);
	CU_ASSERT(found(STATUS_MISSING, "leases", NULL, "off"));
	CU_ASSERT_STRING_EQUAL(remedy_of("leases"), "as root: sysctl fs.leases-enable=1");
	forget();
	fake_remove("/proc/sys/fs/leases-enable");
	probe_limits(&report, fake_root, true);
	CU_ASSERT(found(STATUS_NOTE, "leases", NULL, "not known"));
}

static void limits__deadline__time_and_cap(void)
{
	probe_limits(&report, fake_root, true);
	CU_ASSERT(found(STATUS_OK, "deadline of a break", NULL, "45 s, the module's cap is 60000"));
	forget();
	fake_file("/proc/sys/fs/lease-break-time", "0\n");
	fake_remove("/sys/module/mapdirect");
	probe_limits(&report, fake_root, true);
	CU_ASSERT(found(STATUS_NOTE, "deadline of a break", NULL, "is 0, the module's cap"));
}

static bool cap(const char *ms, enum status status, const char *words)
{
	forget();
	fake_file("/sys/module/mapdirect/parameters/break_cap_ms", ms);
	probe_limits(&report, fake_root, true);
	return found(status, "deadline of a break", NULL, words);
}

static void limits__cap_too_short_to_give_way__warn(void)
{
	CU_ASSERT(cap("1000\n", STATUS_OK, "45 s, the module's cap is 1000"));
	CU_ASSERT_STRING_EQUAL(remedy_of("deadline of a break"), "");
	CU_ASSERT(cap("999\n", STATUS_WARN, "cap is 999 ms: too short"));
	CU_ASSERT(cap("0\n", STATUS_WARN, "cap is 0 ms: too short"));
	CU_ASSERT_PTR_NOT_NULL(strstr(remedy_of("deadline of a break"), "break_cap_ms"));
}

static const struct unit_case cases[] = {
	UNIT_CASE(kernel__version__missing_outside_the_modules_range),
	UNIT_CASE(kernel__not_tested__warn),
	UNIT_CASE(kernel__option_not_set__missing_by_its_name),
	UNIT_CASE(kernel__configuration_elsewhere_or_not_there__read_or_note),
	UNIT_CASE(module__loaded_and_installed__ok),
	UNIT_CASE(module__not_loaded__missing_with_a_remedy_that_fits),
	UNIT_CASE(module__loaded_by_hand__note),
	UNIT_CASE(module__kernel_locked_down__remedy_says_how_to_enroll_a_key),
	UNIT_CASE(module__file_is_compressed__installed),
	UNIT_CASE(device__not_there_or_another__missing),
	UNIT_CASE(device__other_interface__missing),
	UNIT_CASE(device__test_build__warn),
	UNIT_CASE(system__module_not_needed__its_lack_is_noted),
	UNIT_CASE(rights__user__by_effective_ids_and_groups),
	UNIT_CASE(rights__member_of_many_groups__found_among_them),
	UNIT_CASE(rights__capabilities__by_their_bits),
	UNIT_CASE(rights__other_user_namespace__no_capability_counts),
	UNIT_CASE(limits__memlock__missing_below_two_pages),
	UNIT_CASE(limits__leases_off__missing),
	UNIT_CASE(limits__deadline__time_and_cap),
	UNIT_CASE(limits__cap_too_short_to_give_way__warn),
	{ 0 },
};

int main(int argc, char **argv)
{
	return unit_main("doctor_system", cases, setup, fake_tree_teardown, argc, argv);
}
