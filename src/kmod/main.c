// SPDX-License-Identifier: GPL-2.0-only
/* /dev/mapdirect: see include/mapdirect/uapi.h and mapdirect(4). */

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>

#include "lease.h"

#define MD_INFO_SIZE_V1 offsetofend(struct mapdirect_info, reserved)
#define MD_LEASE_SIZE_V1 offsetofend(struct mapdirect_lease, generation)

static long md_ioctl_info(void __user *to, size_t size)
{
	struct mapdirect_info info = {
		.abi = MAPDIRECT_ABI_VERSION,
		.mode = MAPDIRECT_MODE_PINNED,
		.features = MAPDIRECT_FEATURE_HUGE,
		.break_cap_ms = md_break_cap_ms(),
	};
	size_t n = min(size, sizeof(info));

#ifdef MAPDIRECT_TESTING
	info.features |= MAPDIRECT_FEATURE_TESTING;
#endif
	if (size < MD_INFO_SIZE_V1)
		return -EINVAL;
	if (copy_to_user(to, &info, n) || clear_user(to + n, size - n))
		return -EFAULT;
	return 0;
}

/* The descriptor is installed last: from then on user space can close it. */
static long md_ioctl_lease(struct mapdirect_lease __user *uarg, size_t size)
{
	struct mapdirect_lease arg;
	struct file *file;
	int fd, err;

	if (size < MD_LEASE_SIZE_V1)
		return -EINVAL;
	err = copy_struct_from_user(&arg, sizeof(arg), uarg, size);
	if (err)
		return err;
	fd = md_acquire(&arg, &file);
	if (fd < 0)
		return fd;
	if (md_fault_here() || put_user(arg.generation, &uarg->generation)) {
		put_unused_fd(fd);
		fput(file);
		return -EFAULT;
	}
	fd_install(fd, file);
	return fd;
}

static long md_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	switch (cmd & ~IOCSIZE_MASK) {
	case MAPDIRECT_IOC_INFO & ~IOCSIZE_MASK:
		return md_ioctl_info((void __user *)arg, _IOC_SIZE(cmd));
	case MAPDIRECT_IOC_LEASE & ~IOCSIZE_MASK:
		return md_ioctl_lease((void __user *)arg, _IOC_SIZE(cmd));
	default:
		return -ENOTTY;
	}
}

static const struct file_operations md_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = md_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice md_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "mapdirect",
	.fops = &md_fops,
	.mode = 0660,
};

static int __init md_init(void)
{
	int err = md_leases_init();

	if (err)
		return err;
	err = md_list_init();
	if (err)
		goto leases;
	err = misc_register(&md_misc);
	if (err)
		goto list;
	return 0;
list:
	md_list_exit();
leases:
	md_leases_exit();
	return err;
}

/* Every lease holds a reference to the module: none is left here. */
static void __exit md_exit(void)
{
	misc_deregister(&md_misc);
	md_list_exit();
	md_leases_exit(); /* waits for the work item that freed the last lease */
}

module_init(md_init);
module_exit(md_exit);
MODULE_DESCRIPTION("RDMA to DAX files under layout leases");
MODULE_LICENSE("GPL");
MODULE_VERSION("0.1.0");
