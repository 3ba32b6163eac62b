/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/*
 * What is looked at, one file for each. A probe adds its findings to the
 * report and changes nothing on the machine, save that to open a file breaks
 * leases of fcntl(2) on it. The root is that of tree.h.
 */
#ifndef MD_DOCTOR_PROBE_H
#define MD_DOCTOR_PROBE_H

#include "report.h"

/*
 * Version and configuration of the kernel. They are a lack only if the module is
 * @needed, which a device-dax does without; and so below.
 */
void probe_kernel(struct report *r, const char *root, bool needed);

/* The module's file, the module in the kernel, its device. */
void probe_module(struct report *r, const char *root, bool needed);

/*
 * Namespaces of persistent memory, device-dax. With @needed it is a lack if
 * there is none that a DAX file system can be on.
 */
void probe_pmem(struct report *r, const char *root, bool needed);

/* File systems mounted on DAX devices; @needed likewise. */
void probe_mount(struct report *r, const char *root, bool needed);

/*
 * A file, directory or device-dax: what md_query() says of it. In a directory it
 * is asked of a file without a name. Of the root only the module's device and the
 * sizes of other devices are used.
 */
void probe_path(struct report *r, const char *root, const char *path);

/* RDMA devices, their ports and device nodes. */
void probe_rdma(struct report *r, const char *root);

/* User, group and capabilities of this process. */
void probe_rights(struct report *r, const char *root);

/* RLIMIT_MEMLOCK, and the settings of leases. */
void probe_limits(struct report *r, const char *root, bool needed);

#endif
