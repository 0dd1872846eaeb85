#!/usr/bin/env bash
# A board's own libraries and headers, for scripts/cross-build.sh --sysroot: what Debian's tree cannot be for a Jetson, which runs Ubuntu.
set -euo pipefail
cross=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$cross/../scripts/lib.sh"

usage() {
  cat <<'TEXT'
Usage: cross/copy-sysroot.sh USER@HOST DIR

Copies /usr/lib/aarch64-linux-gnu, /usr/include and what names the system from a board into DIR, by tar over ssh, 1 to 4 GB. On the board, first:

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
mkdir -p "$folder"

# Where /lib is a link to usr/lib, as everywhere since Ubuntu 20.04, only the link is copied.
folders="lib/aarch64-linux-gnu lib/ld-linux-aarch64.so.1 usr/lib/ld-linux-aarch64.so.1 usr/lib/aarch64-linux-gnu usr/lib/os-release etc/os-release usr/include usr/share/pkgconfig"
if [ "$host" = - ]; then
  tar -x -C "$folder"
else
  say "copying from $host, this takes minutes"
  # shellcheck disable=SC2029  # the list is this side's
  ssh "$host" "cd / && { [ -L lib ] && echo lib; for f in $folders; do [ ! -e \$f ] || [ -L lib -a \${f#lib/} != \$f ] || echo \$f; done; } |
    tar -c --ignore-failed-read --exclude=*.a --exclude=usr/lib/aarch64-linux-gnu/dri -T -" | tar -x -C "$folder"
fi

# Links that begin with / mean the board's root, not this machine's.
find "$folder" -type l -lname '/*' -print0 | while IFS= read -r -d '' link; do
  ln -sfn "$(realpath -ms --relative-to="$(dirname "$link")" "$folder$(readlink "$link")")" "$link"
done
# libc.so and its like are texts that name files; the linker looks for those in the sysroot by itself.
[ -f "$folder/usr/lib/aarch64-linux-gnu/pkgconfig/gstreamer-1.0.pc" ] ||
  fail "$folder has no gstreamer-1.0.pc: on the board, apt-get install libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"
say "$folder: $(du -sh "$folder" | cut -f 1), $(sed -n 's/^PRETTY_NAME=//p' "$folder/usr/lib/os-release" | tr -d '"')"
