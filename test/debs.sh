#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Make the Debian packages, in build/debian, as README.md says, unless those that
# are there are of these sources: a guest may just be reading them.
#
#   bash test/debs.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
sources=(CMakeLists.txt CMakePresets.json LICENSES cmake examples include src tools)
mkdir -p build/debian
exec {lock}>build/debian/.lock
flock "$lock"
oldest=$(find build/debian -maxdepth 1 -name '*.deb' -printf '%T@ %p\n' |
	sort -n | head -n 1 | cut -d' ' -f2-)
[[ ! $oldest || $(find "${sources[@]}" -newer "$oldest" -print -quit) ]] || exit 0

cmake --preset debian
cmake --build --preset debian
rm -f build/debian/*.deb
cpack --config build/debian/CPackConfig.cmake -B build/debian
