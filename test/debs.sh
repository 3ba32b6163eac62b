#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Make the Debian packages anew, in build/debian, as README.md says.
#
#   bash test/debs.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
cmake --preset debian
cmake --build --preset debian
rm -f build/debian/*.deb
cpack --config build/debian/CPackConfig.cmake -B build/debian
