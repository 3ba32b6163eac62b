# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# The directories of the packages were made under the umask of who runs cpack.
file(GLOB_RECURSE entries LIST_DIRECTORIES true ${CPACK_TEMPORARY_DIRECTORY}/*)
foreach(entry ${entries})
	if(IS_DIRECTORY ${entry})
		file(CHMOD ${entry} PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
			GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
	endif()
endforeach()
