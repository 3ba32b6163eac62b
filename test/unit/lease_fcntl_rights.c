// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
/* Leases of fcntl(2) for who has no right to them: only root can try. */

#include <fcntl.h>
#include <unistd.h>

#include "leased_file.h"

#define NOBODY 65534

/* In all threads, for the time being: rights to the file and CAP_LEASE go, or come back. */
static void become(uid_t uid)
{
	CU_ASSERT_EQUAL_FATAL(seteuid(uid), 0);
}

static void map__not_the_owner__eperm(void)
{
	become(NOBODY);
	CU_ASSERT_PTR_NULL(try_map(leased, 0, LENGTH));
	ASSERT_FAILED(EPERM, "only the owner");
	become(0);
	fixture_unmap(map_leased(0));
}

static const struct unit_case cases[] = {
	UNIT_CASE(map__not_the_owner__eperm),
	{ 0 },
};

int main(int argc, char **argv)
{
	if (geteuid())
		return unit_skip("lease_fcntl_rights", "only root can become somebody else");
	return leased_file_main("lease_fcntl_rights", cases, argc, argv);
}
