#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Print the path of the guest's initramfs, made first unless it is cached.
#
#   KVER=... MODDIR=... KCACHE=... bash test/vm/initramfs.sh
#
# In it: busybox, test/vm/init, and the modules: those that reach the host's
# root, those that the tests stand on, and those that join guests. Loading them
# from here, in order, is much faster than modprobe in an emulated guest. Not
# compressed for the same reason.
set -euo pipefail

init=$(realpath "$(dirname "${BASH_SOURCE[0]}")")/init
busybox=$(command -v busybox)
early=(virtio_pci virtio_console qemu_fw_cfg 9pnet_virtio 9p overlay)
late=(nfit nd_pmem dummy rdma_rxe ib_uverbs rdma_ucm xfs)
net=(virtio_net)

key=$(cat "${BASH_SOURCE[0]}" "$init" "$busybox" | sha256sum | cut -c1-16)
image=$KCACHE/initramfs-$key
if [[ -f $image ]]; then
	echo "$image"
	exit
fi

tree=$(mktemp -d "$KCACHE/.initramfs.XXXXXX")
trap 'rm -rf "$tree"' EXIT
root=$tree/root
mkdir -p "$root"/{bin,dev,proc,sys,early,late,net,host,rw,new}
cp "$busybox" "$root/bin/busybox"
cp "$init" "$root/init"
chmod 755 "$root/init"
# The files of modules and all that they need, in the order to load them.
# What the host's administrator set for his modules is not meant here.
files()
{
	local module

	for module; do
		/sbin/modprobe -C /dev/null -d "${MODDIR%/lib/modules}" \
			-S "$KVER" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

n=0
first=$(files "${early[@]}" | wc -l)
rest=$(files "${early[@]}" "${late[@]}" | wc -l)
while read -r file; do
	where=net
	((n >= rest)) || where=late
	((n >= first)) || where=early
	printf -v copy '%s/%03d-%s' "$where" "$((n++))" "${file##*/}"
	cp "$file" "$root/$copy"
done < <(files "${early[@]}" "${late[@]}" "${net[@]}")

(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0) >"$tree/image"
find "$KCACHE" -maxdepth 1 -name 'initramfs-*' -mtime +30 -delete
mv "$tree/image" "$image"
echo "$image"
