#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Install by "cmake --install" as README.md says, and use what is there as others
# would: programs and README.md's sample. Make the Debian packages and look at what
# is in them; test/clean.sh and test/dkms.sh install them.
#
#   bash test/install.sh
#
# Prints "ok NAME" or "not ok NAME - why" for each case. Exit code 1 if one failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=cases.sh
source test/cases.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root # of what cmake installs
unpacked=$work/unpacked

by_cmake()
{
	cmake --preset release && cmake --build --preset release &&
		DESTDIR=$root cmake --install build/release
}

packages()
{
	local deb

	bash test/debs.sh || return 1
	mkdir "$unpacked"
	for deb in build/debian/*.deb; do
		dpkg-deb -x "$deb" "$unpacked" || return 1
	done
}

# field PACKAGE FIELD TEXT: has the package's control field that text in it?
field()
{
	local value

	value=$(dpkg-deb -f build/debian/"$1"_*.deb "$2")
	echo "$1: $2 is \"$value\", without \"$3\""
	[[ $value == *"$3"* ]]
}

fields()
{
	field libmapdirect-dev Depends "libmapdirect0 (= " &&
		field mapdirect-examples Depends "libmapdirect0 (= " &&
		field mapdirect-tools Depends "libmapdirect0 (= " &&
		field mapdirect-dkms Architecture all
}

# Each package has its licence, and each file is in one package only.
files()
{
	local deb name twice

	for deb in build/debian/*.deb; do
		name=$(dpkg-deb -f "$deb" Package)
		[[ -s $unpacked/usr/share/doc/$name/copyright ]] || {
			echo "$name has no copyright file"
			return 1
		}
	done
	twice=$(for deb in build/debian/*.deb; do
		dpkg-deb --fsys-tarfile "$deb" | tar -t | grep -v '/$'
	done | sort | uniq -d)
	echo "in two packages: $twice"
	[[ -z $twice ]]
}

# Every function that is exported has a man page, and every program.
man_pages()
{
	local name missing=

	for name in $(nm -D --defined-only "$lib"/libmapdirect.so.0 |
		awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }'); do
		[[ -e $root/usr/local/share/man/man3/$name.3 ]] || missing+=" $name"
	done
	[[ -e $root/usr/local/share/man/man1/md_doctor.1 ]] || missing+=" md_doctor"
	echo "without a man page:$missing"
	[[ -z $missing ]]
}

# With the headers, and the function that the sample leaves to its reader.
readme_sample()
{
	cat >"$work/sample.c" <<-END
		#include <errno.h>
		#include <mapdirect/mapdirect.h>
		int write_page(struct ibv_qp *qp, uint64_t addr, uint32_t rkey);
	END
	sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >>"$work/sample.c"
	grep -q md_grant "$work/sample.c" && grep -q md_remote_get "$work/sample.c" || return 1
	# shellcheck disable=SC2046 # words
	cc -Wall -Wextra -Werror -std=gnu11 $(pkg-config --cflags mapdirect) \
		-c "$work/sample.c" -o "$work/sample.o"
}

# A library alone needs no CUnit.
library_alone()
{
	cmake -S . -B "$work/alone" -DBUILD_TESTING=OFF -DMAPDIRECT_EXAMPLES=OFF \
		-DMAPDIRECT_TOOLS=OFF &&
		cmake --build "$work/alone" -j2 || return 1
	! grep -E '^CUNIT_' "$work/alone/CMakeCache.txt"
}

try install__by_cmake by_cmake
try install__packages packages
((!failed)) || exit 1
lib=$root/usr/local/lib
export PKG_CONFIG_PATH=$lib/pkgconfig
LD_LIBRARY_PATH=$lib CMAKE_PREFIX_PATH=$root/usr/local \
	bash test/install/consume.sh install || failed=1
try install__readme_sample readme_sample
try install__man_page_of_each_function man_pages
try install__library_alone_needs_less library_alone
try install__control_fields fields
try install__licence_and_no_file_twice files
exit "$failed"
