#!/usr/bin/env bash
# A board's own libraries and headers, for scripts/cross-build.sh --sysroot: what Debian's tree cannot be for a Jetson, which runs Ubuntu.
set -euo pipefail
cross=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$cross/../scripts/lib.sh"

usage() {
  cat <<'TEXT'
Usage: cross/copy-sysroot.sh USER@HOST DIR

Copies /usr/lib/aarch64-linux-gnu, /usr/include and what names the system from a board into DIR, by tar over ssh, 1 to 4 GB, and tries to link a
small program against it. On the board, first:

  sudo apt-get install libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev

CUDA and its models stay where they are; TensorRT's headers come along where the board has them. DIR serves builds, and programs under
qemu-user; HOST may be root@… or anybody who can read those folders. With HOST "-" a tar of those folders is read from standard input.
TEXT
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
[ $# = 2 ] || usage_error "needs USER@HOST and a folder"
host=$1
folder=$2
[ ! -e "$folder" ] || [ -z "$(ls -A "$folder")" ] || fail "$folder is not empty"
config=usr/lib/aarch64-linux-gnu/pkgconfig/gstreamer-1.0.pc
absent="has no $config: on the board, apt-get install libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"
if [ "$host" != - ]; then
  # Before gigabytes are under way.
  # shellcheck disable=SC2029  # the path is this side's
  ssh -n "$host" "test -f /$config" || case $? in
    255) fail "cannot log in to $host" ;;
    *) fail "$host $absent" ;;
  esac
fi
# What is only half there shall not look like a sysroot.
part=${folder%/}.part
rm -rf "$part"
mkdir -p "$part"
trap 'rm -rf "$part"' EXIT

# Where /lib is a link to usr/lib, as everywhere since Ubuntu 20.04, only the link is copied. etc/alternatives is what libblas.so.3 goes through.
folders="lib/aarch64-linux-gnu lib/ld-linux-aarch64.so.1 usr/lib/ld-linux-aarch64.so.1 usr/lib/aarch64-linux-gnu usr/lib/os-release etc/os-release etc/alternatives usr/include usr/share/pkgconfig"
# Static libraries of NVIDIA's are gigabytes that nothing here links; those of the C library are small, and libc.so, libm.so name some of them.
heavy="--exclude='libcudnn*.a' --exclude='libnv*_static*.a' --exclude=usr/lib/aarch64-linux-gnu/dri"
if [ "$host" = - ]; then
  tar -x -C "$part"
else
  say "copying from $host, this takes minutes"
  # shellcheck disable=SC2029  # the lists are this side's
  ssh "$host" "cd / && { [ -L lib ] && echo lib; for f in $folders; do [ ! -e \$f ] || [ -L lib -a \${f#lib/} != \$f ] || echo \$f; done; } |
    tar -c --ignore-failed-read $heavy -T -" | tar -x -C "$part"
fi

"$cross/relative-links.sh" "$part"
[ -f "$part/$config" ] || fail "what was copied $absent"
"$cross/try-sysroot.sh" --run "$part"
[ ! -d "$folder" ] || rmdir "$folder"
mv "$part" "$folder"
say "$folder: $(du -sh "$folder" | cut -f 1), $(sed -n 's/^PRETTY_NAME=//p' "$folder/usr/lib/os-release" | tr -d '"')"
