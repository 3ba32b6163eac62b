# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Debian packages of what is installed, one for each component:
#
#   cmake --preset debian && cmake --build --preset debian
#   cpack --config build/debian/CPackConfig.cmake -B build/debian
#
# Needs dpkg-dev. Version and maintainer are those of this file; a distribution
# makes its own.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
# Would become the first line of every package's description.
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "")
set(CPACK_PACKAGE_CONTACT "the mapdirect authors <mapdirect@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_GROUPING ONE_PER_GROUP)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_ENABLE_COMPONENT_DEPENDS ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS ${CMAKE_CURRENT_BINARY_DIR}/src/lib)
set(CPACK_STRIP_FILES ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/cmake/debian/modes.cmake)

# deb COMPONENT PACKAGE SECTION SUMMARY DESCRIPTION [DEPENDS]
macro(deb component package section summary description)
	string(TOUPPER ${component} upper)
	list(APPEND CPACK_COMPONENTS_ALL ${component})
	set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${package})
	set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${section})
	set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${ARGN}")
	set(CPACK_DEBIAN_${upper}_DESCRIPTION "${summary}\n${description}")
	# As Debian wants each package to say it.
	install(FILES ${PROJECT_SOURCE_DIR}/cmake/debian/copyright
		DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/${package} COMPONENT ${component})
endmacro()

set(CPACK_COMPONENTS_ALL)
set(same "libmapdirect${MAPDIRECT_SOVERSION} (= ${PROJECT_VERSION})")
deb(library libmapdirect${MAPDIRECT_SOVERSION} libs
	"RDMA to files on a DAX file system, under a layout lease"
	"Registers ranges of DAX files as RDMA memory regions, and takes the regions
down and up again when the file system has to move blocks.")
set(CPACK_DEBIAN_LIBRARY_PACKAGE_RECOMMENDS mapdirect-dkms)
deb(dev libmapdirect-dev libdevel
	"headers, static library and man pages of libmapdirect"
	"What is needed to build programs with libmapdirect."
	"${same}, libibverbs-dev, librdmacm-dev, libpmem-dev")
deb(dkms mapdirect-dkms kernel
	"source of the kernel module mapdirect, for DKMS"
	"The module lets a process hold layout leases of files on XFS in DAX mode. DKMS
builds it for each installed kernel whose headers are there."
	"dkms (>= 2.1.0.0), passwd")
set(CPACK_DEBIAN_DKMS_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_DKMS_PACKAGE_RECOMMENDS "linux-headers-amd64 | linux-headers-generic")
set(CPACK_DEBIAN_DKMS_PACKAGE_CONTROL_EXTRA
	${CMAKE_CURRENT_BINARY_DIR}/dkms/postinst ${CMAKE_CURRENT_BINARY_DIR}/dkms/prerm)
foreach(script postinst prerm)
	configure_file(cmake/debian/dkms.${script}.in dkms/${script} @ONLY
		FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ
		GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
endforeach()
if(MAPDIRECT_EXAMPLES)
	deb(examples mapdirect-examples net
		"example programs of libmapdirect"
		"md_ping, which is rping with its buffer in a DAX file, and md_log, a log in one."
		"${same}")
endif()
if(TARGET md_doctor)
	deb(tools mapdirect-tools admin
		"say what a machine can do with mapdirect"
		"md_doctor looks at kernel, module, file systems, RDMA devices and rights."
		"${same}")
endif()

include(CPack)
