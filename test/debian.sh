# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# shellcheck shell=bash
# What is known of this machine's Debian; sourced. Sets cache, a directory for
# what took long to fetch or to make: $MAPDIRECT_CACHE, or mapdirect in the
# user's cache directory.
cache=${MAPDIRECT_CACHE:-${XDG_CACHE_HOME:-~/.cache}/mapdirect}
mkdir -p "$cache"
cache=$(realpath "$cache")

# The suites that the machine's package sources name, with the address of each.
configured()
{
	apt-get indextargets --format '$(RELEASE) $(REPO_URI)' \
		'Created-By: Packages' 'Component: main'
}
