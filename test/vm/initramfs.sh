#!/bin/bash
# SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only
# Print the path of the guest's initramfs, made first unless it is cached.
#
#   KVER=... MODDIR=... KCACHE=... bash test/vm/initramfs.sh
#
# In it: busybox, test/vm/init, and the modules it needs to reach the host's
# root, in the order to load them.
set -euo pipefail

init=$(realpath "$(dirname "${BASH_SOURCE[0]}")")/init
busybox=$(command -v busybox)
early=(virtio_pci virtio_console qemu_fw_cfg 9pnet_virtio 9p overlay)

key=$(cat "${BASH_SOURCE[0]}" "$init" "$busybox" | sha256sum | cut -c1-16)
image=$KCACHE/initramfs-$key
if [[ -f $image ]]; then
	echo "$image"
	exit
fi

tree=$(mktemp -d "$KCACHE/.initramfs.XXXXXX")
trap 'rm -rf "$tree"' EXIT
root=$tree/root
mkdir -p "$root"/{bin,dev,proc,sys,modules,host,rw,new}
cp "$busybox" "$root/bin/busybox"
cp "$init" "$root/init"
chmod 755 "$root/init"
for module in "${early[@]}"; do
	/sbin/modprobe -d "${MODDIR%/lib/modules}" -S "$KVER" \
		--show-depends "$module"
done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$tree/list"
n=100
while read -r file; do
	cp "$file" "$root/modules/$((n++))-${file##*/}"
done <"$tree/list"

(cd "$root" && find . | cpio -o -H newc --quiet -R 0:0 | gzip -1) \
	>"$tree/image"
find "$KCACHE" -maxdepth 1 -name 'initramfs-*' -mtime +30 -delete
mv "$tree/image" "$image"
echo "$image"
