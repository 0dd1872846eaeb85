#!/usr/bin/env bash
# A Debian for aarch64 in a folder: headers and libraries for the cross build, the root of programs under qemu-user, and the root of the virtual
# machine. Its packages are unpacked, not installed: nothing of aarch64 runs, so no emulator is registered with the kernel, and it takes a minute.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/arm64-tree.sh [--suite bookworm|bullseye] [--fresh]

Prints the folder, which it makes in the user's cache where it is not there yet or was made with another list of packages. bookworm is what
Raspberry Pi OS stands on; bullseye has the C library of Ubuntu 20.04 (JetPack 5) and serves for builds alone, not as a machine.

  --suite S   which Debian (default: bookworm)
  --fresh     make it anew, with the packages of today
TEXT
}

suite=bookworm
fresh=0
while [ $# -gt 0 ]; do
  case $1 in
    --suite) suite=${2:?a suite}; shift ;;
    --fresh) fresh=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown argument $1" ;;
  esac
  shift
done
[[ $suite =~ ^(bookworm|bullseye)$ ]] || usage_error "--suite is bookworm or bullseye, not $suite"

# What a build needs, what a program needs that was built, and base-files, whose os-release says which system it is.
packages=(base-files libc6-dev libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev "${PACKAGES_RUN[@]}")
case $suite in
  bullseye) packages+=(libgcc-10-dev libstdc++-10-dev) ;;
  bookworm)
    packages+=(libgcc-12-dev libstdc++-12-dev)
    # What Debian takes for granted of any system, and what a machine needs that boots, with a broker and a camera by RTSP.
    packages+=(base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip hostname
      init-system-helpers libc-bin libpam-runtime login mawk mount ncurses-base ncurses-bin passwd perl-base sed sysvinit-utils tar util-linux
      adduser busybox-static dbus iproute2 kmod libgstrtspserver-1.0-dev linux-image-arm64 mosquitto mosquitto-clients procps
      systemd systemd-sysv udev)
    ;;
esac

list="$suite: ${packages[*]} $(cat "$root/cross/finish-tree.sh" "$root/cross/relative-links.sh" | sha256sum)"
tree=${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/arm64-$suite
mkdir -p "$(dirname "$tree")"
# Of two that want it at once, one makes it.
exec 9>"$tree.lock"
flock -n 9 || { say "waiting for whoever is making $tree" && flock 9; }
if [ "$fresh" = 0 ] && [ "$(cat "$tree.list" 2>/dev/null)" = "$list" ]; then
  printf '%s\n' "$tree"
  exit 0
fi

need_packages mmdebstrap kmod systemd libglib2.0-bin
archive=$(debian_mirror Debian)
security=$(debian_mirror Debian-Security)
# Where this machine has no mirror of Debian's, mmdebstrap knows one.
sources=()
if [ -n "$archive" ]; then
  sources+=("deb $archive $suite main")
  # What is out of support has no updates on the mirrors; nobody runs it, it is linked against.
  [ "$suite" = bullseye ] || sources+=("deb $archive $suite-updates main")
  [ "$suite" = bullseye ] || [ -z "$security" ] || sources+=("deb $security $suite-security main")
fi
begun=$SECONDS
say "unpacking Debian $suite for aarch64 into $tree"
as_root rm -rf "$tree.new"
as_root mmdebstrap --quiet --arch=arm64 --variant=extract --include="$(IFS=, && echo "${packages[*]}")" \
  --setup-hook="bash '$root/cross/finish-tree.sh' --begin \"\$1\"" --extract-hook="bash '$root/cross/finish-tree.sh' \"\$1\"" "$suite" "$tree.new" \
  "${sources[@]}" >&2
# The one that was there serves until now, and remains where this one fails.
rm -f "$tree.list"
as_root rm -rf "$tree"
as_root mv "$tree.new" "$tree"
printf '%s\n' "$list" >"$tree.list"
say "$tree: $(as_root du -sh "$tree" | cut -f 1), $((SECONDS - begun)) s"
printf '%s\n' "$tree"
