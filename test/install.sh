#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Make the Debian packages, unpack them, and use what is in them as others would:
# programs built by pkg-config and by find_package, shared and static, C and C++,
# the README's sample, the module's source, the man pages.
#
#   bash test/install.sh [--kernel=K]...
#
# --kernel=K  build the module's source for it (test/vm/kernel.sh)
#
# Prints "ok NAME" or "not ok NAME - why" for each case. Exit code 1 if one failed.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
kernels=()
while (($#)); do
	case $1 in
	--kernel=*)	kernels+=("${1#*=}"); shift ;;
	*)		echo "install: unknown option $1" >&2; exit 2 ;;
	esac
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
failed=0

# try NAME COMMAND...: one case
try()
{
	local name=$1

	shift
	if "$@" >"$work/log" 2>&1; then
		echo "ok install__$name"
	else
		echo "not ok install__$name - $(tail -n 1 "$work/log")"
		sed 's/^/    /' "$work/log"
		failed=1
	fi
}

packages()
{
	local deb

	cmake --preset debian && cmake --build --preset debian || return 1
	rm -f build/debian/*.deb
	cpack --config build/debian/CPackConfig.cmake -B build/debian || return 1
	mkdir "$root"
	for deb in build/debian/*.deb; do
		dpkg-deb -x "$deb" "$root" || return 1
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
	field libmapdirect0 Depends libibverbs1 &&
		field libmapdirect0 Depends libpmem1 &&
		field libmapdirect-dev Depends "libmapdirect0 (= " &&
		field libmapdirect-dev Depends libibverbs-dev &&
		field mapdirect-examples Depends librdmacm1 &&
		field mapdirect-tools Depends "libmapdirect0 (= " &&
		field mapdirect-tools Depends libibverbs1 &&
		field mapdirect-dkms Depends dkms &&
		field mapdirect-dkms Architecture all
}

# Each package has its licence, and each file is in one package only.
files()
{
	local deb name twice

	for deb in build/debian/*.deb; do
		name=$(dpkg-deb -f "$deb" Package)
		[[ -s $root/usr/share/doc/$name/copyright ]] || {
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

# Every function that is exported has a man page.
man_pages()
{
	local name missing=

	for name in $(nm -D --defined-only "$lib"/libmapdirect.so.0 |
		awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }') md_errmsg; do
		[[ -e $root/usr/share/man/man3/$name.3 ]] || missing+=" $name"
	done
	echo "without a man page:$missing"
	[[ -z $missing ]]
}

# With the library of the packages; 1 says that something is missing, as it may.
doctor()
{
	local status=0

	[[ -e $root/usr/share/man/man1/md_doctor.1 ]] || return 1
	LD_LIBRARY_PATH=$lib "$root/usr/bin/md_doctor" || status=$?
	((status < 2))
}

pc()
{
	PKG_CONFIG_PATH=$lib/pkgconfig pkg-config "$@" mapdirect
}

strict=(-Wall -Wextra -Werror -pedantic -D_GNU_SOURCE)

by_pkg_config()
{
	# shellcheck disable=SC2046 # words
	cc "${strict[@]}" -std=gnu11 $(pc --cflags) test/install/consumer.c \
		-o "$work/shared" $(pc --libs) || return 1
	LD_LIBRARY_PATH=$lib "$work/shared"
}

# "-Bstatic -lmapdirect" for the library, whatever the rest is.
by_pkg_config_static()
{
	local libs

	libs=$(pc --static --libs)
	# shellcheck disable=SC2046,SC2086 # words
	cc "${strict[@]}" -std=gnu11 $(pc --cflags) test/install/consumer.c \
		-o "$work/static" ${libs/-lmapdirect/-l:libmapdirect.a} || return 1
	! ldd "$work/static" | grep libmapdirect || return 1
	"$work/static"
}

by_cxx()
{
	# shellcheck disable=SC2046 # words
	c++ "${strict[@]}" -std=gnu++17 $(pc --cflags) -x c++ \
		test/install/consumer.c -o "$work/cxx" -x none $(pc --libs) || return 1
	LD_LIBRARY_PATH=$lib "$work/cxx"
}

by_find_package()
{
	cmake -S test/install -B "$work/cmake" -DCMAKE_PREFIX_PATH="$root/usr" &&
		cmake --build "$work/cmake" || return 1
	! ldd "$work/cmake/static" | grep libmapdirect || return 1
	"$work/cmake/static" && "$work/cmake/shared"
}

# With the two functions that the sample leaves to its reader.
readme_sample()
{
	sed -n '/^```c$/,/^```$/p' README.md | sed '/^```/d' >"$work/sample.c"
	grep -q md_map "$work/sample.c" || return 1
	cat >"$work/peer.h" <<-END
		void tell_peer(struct ibv_qp *qp, void *addr, unsigned int rkey);
		void stop_peer(struct ibv_qp *qp);
	END
	# shellcheck disable=SC2046 # words
	cc -Wall -Wextra -Werror -std=gnu11 $(pc --cflags) -I"$work" \
		-c "$work/sample.c" -o "$work/sample.o"
}

# A library alone needs neither CUnit nor librdmacm.
library_alone()
{
	cmake -S . -B "$work/alone" -DBUILD_TESTING=OFF -DMAPDIRECT_EXAMPLES=OFF \
		-DMAPDIRECT_TOOLS=OFF &&
		cmake --build "$work/alone" -j2 || return 1
	! grep -E '^(CUNIT|RDMACM)_' "$work/alone/CMakeCache.txt"
}

# As DKMS does it: from a copy of what is in /usr/src.
module_source()
{
	local assignments

	assignments=$(bash test/vm/kernel.sh --kernel "$1") || return 1
	eval "$assignments"
	cp -r "$root"/usr/src/mapdirect-* "$work/kmod-$1"
	make -C "$KDIR" M="$work/kmod-$1" CONFIG_DEBUG_INFO_BTF_MODULES= modules &&
		[[ -s $work/kmod-$1/mapdirect.ko ]]
}

try packages packages
((!failed)) || exit 1
lib=$(dirname "$(find "$root/usr/lib" -name libmapdirect.so.0)")
try control_fields fields
try licence_and_no_file_twice files
try man_page_of_each_function man_pages
try doctor_runs doctor
try pkg_config_shared by_pkg_config
try pkg_config_static by_pkg_config_static
try cxx by_cxx
try find_package_shared_and_static by_find_package
try readme_sample readme_sample
try library_alone_needs_less library_alone
for kernel in "${kernels[@]}"; do
	try "module_source_$kernel" module_source "$kernel"
done
((!failed))
