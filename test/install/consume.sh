#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Use the library that is installed as a program of somebody else does: found by
# pkg-config and by find_package, shared and static, in C and C++.
#
#   bash test/install/consume.sh NAME
#
# Prints "ok NAME__CASE" or "not ok NAME__CASE - why" for each case. Exit code 1
# if one failed. What is not in a place of the system is found as always:
# PKG_CONFIG_PATH, CMAKE_PREFIX_PATH, LD_LIBRARY_PATH.
set -euo pipefail

name=$1
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck source=../cases.sh
source ../cases.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

strict=(-Wall -Wextra -Werror -pedantic -D_GNU_SOURCE)

pc()
{
	pkg-config "$@" mapdirect
}

by_pkg_config()
{
	# shellcheck disable=SC2046 # words
	cc "${strict[@]}" -std=gnu11 $(pc --cflags) consumer.c \
		-o "$work/by_pc" $(pc --libs) || return 1
	"$work/by_pc"
}

# "-Bstatic -lmapdirect" for the library, whatever the rest is.
by_pkg_config_static()
{
	local libs

	libs=$(pc --static --libs)
	# shellcheck disable=SC2046,SC2086 # words
	cc "${strict[@]}" -std=gnu11 $(pc --cflags) consumer.c \
		-o "$work/static" ${libs/-lmapdirect/-l:libmapdirect.a} || return 1
	! ldd "$work/static" | grep libmapdirect || return 1
	"$work/static"
}

by_cxx()
{
	# shellcheck disable=SC2046 # words
	c++ "${strict[@]}" -std=gnu++17 $(pc --cflags) -x c++ consumer.c \
		-o "$work/cxx" -x none $(pc --libs) || return 1
	"$work/cxx"
}

by_find_package()
{
	cmake -S . -B "$work/cmake" && cmake --build "$work/cmake" || return 1
	! ldd "$work/cmake/static" | grep libmapdirect || return 1
	"$work/cmake/static" && "$work/cmake/shared"
}

try "${name}__pkg_config_shared" by_pkg_config
try "${name}__pkg_config_static" by_pkg_config_static
try "${name}__cxx" by_cxx
try "${name}__find_package_shared_and_static" by_find_package
exit "$failed"
