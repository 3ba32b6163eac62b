# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Fails when a source in ROOT is not as .clang-format wants it. The module is
# left to the kernel's own checker.
find_program(CLANG_FORMAT clang-format REQUIRED)
file(GLOB_RECURSE sources
	${ROOT}/bench/*.[ch]
	${ROOT}/include/*.h
	${ROOT}/src/lib/*.[ch]
	${ROOT}/examples/*.[ch]
	${ROOT}/test/*.[ch]
	${ROOT}/tools/*.[ch])
execute_process(COMMAND ${CLANG_FORMAT} --dry-run -Werror ${sources}
	COMMAND_ERROR_IS_FATAL ANY)
