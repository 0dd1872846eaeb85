#!/usr/bin/env bash
# The arm64 package on an arm64 machine, which is emulated (qemu-system-aarch64 -M virt -cpu cortex-a72): Debian 12 with its own kernel, systemd and
# MQTT broker, a camera of the kernel's and one by RTSP over a network that loses and delays. What is asked stands in tests/vm/guest.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")
gnu=aarch64-linux-gnu

usage() {
  cat <<'TEXT'
Usage: scripts/test-vm-arm.sh [--log FILE] [PACKAGE.deb]

Tests the package, or one that scripts/cross-build.sh --deb makes first. Needs no KVM, no root within the machine's disk, and no network.

  --log FILE   what the machine said, and its journal
TEXT
}

deb="" log=""
while [ $# -gt 0 ]; do
  case $1 in
    --log) log=${2:?--log needs a file}; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage_error "unknown option $1" ;;
    *) deb=$1 ;;
  esac
  shift
done

need_packages qemu-system-arm gcc-aarch64-linux-gnu pkg-config cpio kmod e2fsprogs gstreamer1.0-tools gstreamer1.0-plugins-base \
  gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly
# modprobe lies where only root looks.
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
machine=""
at_end() {
  [ -z "$machine" ] || kill "$machine" 2>/dev/null || true
  rm -rf "$work"
}
trap at_end EXIT
if [ -z "$deb" ]; then
  deb=$("$here/cross-build.sh" --target aarch64 --deb --out "$work" | tail -n 1)
fi
[ "$(dpkg-deb --field "$deb" Architecture)" = arm64 ] || fail "$deb is no package for arm64"
tree=$("$here/arm64-tree.sh")

# The disk is made once for a tree, and no run changes it. Of two runs at once, one makes it.
disk=$tree.ext4
exec 9>"$tree.lock"
flock 9
if ! [ "$disk" -nt "$tree.list" ]; then
  say "making the disk"
  as_root rm -f "$disk" "$disk.new"
  as_root mke2fs -q -t ext4 -d "$tree" "$disk.new" 2600M
  as_root mv "$disk.new" "$disk"
fi
exec 9>&-

# initrd: busybox, the modules that reach the disk and the folder, and tests/vm/init.
initrd() {
  local folder=$work/initrd release module file
  release=$(ls "$tree/usr/lib/modules")
  mkdir -p "$folder"/{bin,modules,proc,sys,dev,new}
  cp "$tree/usr/bin/busybox" "$folder/bin/busybox"
  cp "$root/tests/vm/init" "$folder/init"
  chmod +x "$folder/init"
  : >"$folder/modules/list"
  for module in virtio_pci virtio_mmio virtio_blk ext4 crc32c_generic 9pnet_virtio 9p; do
    modprobe -d "$tree" -S "$release" --show-depends "$module" | awk '$1 == "insmod" { print $2 }' | while read -r file; do
      grep -qxF "$(basename "$file")" "$folder/modules/list" || basename "$file" >>"$folder/modules/list"
      cp "$file" "$folder/modules/"
    done
  done
  (cd "$folder" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$work/initrd.gz"
}

# share: what the guest sees under /mnt.
share() {
  local libraries=$tree/usr/lib/$gnu flags
  mkdir "$work/share"
  cp "$deb" "$work/share/peregrine.deb"
  cp "$root"/tests/vm/{guest.sh,guest.service,peregrine.toml} "$root/tests/data/tiny_detector.onnx" "$work/share/"
  gst-launch-1.0 --quiet videotestsrc num-buffers=300 pattern=ball ! video/x-raw,format=I420,width=320,height=240,framerate=15/1 \
    ! x264enc speed-preset=ultrafast key-int-max=15 ! video/x-h264,profile=baseline ! h264parse ! mpegtsmux ! filesink location="$work/share/loop.ts"
  flags=$(PKG_CONFIG_SYSROOT_DIR=$tree PKG_CONFIG_LIBDIR=$libraries/pkgconfig:$tree/usr/share/pkgconfig \
    pkg-config --cflags --libs gstreamer-rtsp-server-1.0)
  # shellcheck disable=SC2086  # flags are words
  $gnu-gcc --sysroot="$tree" -O1 -Wl,-rpath-link,"$libraries" "$root/tests/vm/camera.c" -o "$work/share/camera" $flags
}

initrd
share
# The kernel is readable for everybody, the disk is only read: what is written goes to a file that vanishes.
begun=$SECONDS
say "booting"
timeout 900 qemu-system-aarch64 -M virt -cpu cortex-a72 -accel tcg,thread=multi -smp 2 -m 1536 -nodefaults -display none -no-reboot -nic none \
  -kernel "$(find "$tree/boot" -name 'vmlinuz-*')" -initrd "$work/initrd.gz" \
  -append "console=ttyAMA0 root=/dev/vda rw quiet systemd.show_status=0 panic=-1" -serial stdio \
  -drive "file=$disk,format=raw,if=virtio,snapshot=on,cache=unsafe" \
  -virtfs "local,path=$work/share,mount_tag=share,security_model=none,multidevs=remap" -device virtio-rng-pci \
  </dev/null >"$work/console" 2>&1 &
machine=$!
wait "$machine" || say "the emulator ended with $?"
machine=""
if [ -n "$log" ]; then
  {
    cat "$work/console"
    cat "$work/share/journal.txt" 2>/dev/null
  } >"$log"
fi
result=$work/share/result.txt
[ -s "$result" ] || fail "the machine did not come to the test:
$(tail -n 40 "$work/console")"
cat "$result" >&2
tail -n 1 "$result" | grep -q ' passed, 0 failed$' || fail "not everything is right; peregrine's journal:
$(grep -a peregrine "$work/share/journal.txt" 2>/dev/null | tail -n 40)"
say "$((SECONDS - begun)) s in the machine, boot and all"
