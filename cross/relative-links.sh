#!/usr/bin/env bash
# In a tree that is another system's root, a link that begins with / means that root, but the linker and the emulator follow it into this machine's:
# libm.so, which libc6-dev has as a link to /lib/…, would be this machine's library or none. Such links are made relative. For
# scripts/arm64-tree.sh and cross/copy-sysroot.sh.
set -euo pipefail
cross=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$cross/../scripts/lib.sh"

case ${1:-} in
  -h | --help) echo "Usage: cross/relative-links.sh TREE"; exit 0 ;;
  -*) usage_error "unknown option $1" ;;
esac
[ $# = 1 ] || usage_error "needs a tree"
tree=$(cd "$1" && pwd)

folders=()
for folder in lib usr etc/alternatives; do
  [ ! -e "$tree/$folder" ] || folders+=("$tree/$folder")
done
# What a kernel provides is the kernel's in any root: systemd knows a unit that is masked by its link to /dev/null.
find "${folders[@]}" -type l -lname '/*' ! -lname '/dev/*' ! -lname '/proc/*' ! -lname '/run/*' ! -lname '/sys/*' -print0 |
  while IFS= read -r -d '' link; do
    ln -sfn "$(realpath -ms --relative-to="$(dirname "$link")" "$tree$(readlink "$link")")" "$link"
  done
