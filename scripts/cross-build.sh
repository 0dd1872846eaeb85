#!/usr/bin/env bash
# The daemon for an aarch64 board, built on another machine: toolchain, a tree with the board's libraries, the build, and a look at what came out,
# down to a picture that an emulated board must see as this machine does. See docs/cross.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")
triple=aarch64-unknown-linux-gnu
gnu=aarch64-linux-gnu

usage() {
  cat <<'TEXT'
Usage: scripts/cross-build.sh --target aarch64 [--deb [--out DIR]] [--sysroot DIR | --suite S] [--profile P]
                              [--glibc X.Y] [--no-run] [--no-build]

Builds peregrine for aarch64, checks it, and prints where it lies.

  --target T      aarch64; there is no other
  --deb           makes a Debian package of it as well (scripts/build-deb.sh) and prints where that lies, instead
  --out DIR       where the package goes (default: debian/ in cargo's folder)
  --sysroot DIR   the board's libraries and headers, as cross/copy-sysroot.sh fetches them from a Jetson; without it, a Debian that
                  scripts/arm64-tree.sh makes
  --suite S       which Debian that is: bookworm (default; Raspberry Pi OS), or bullseye, whose C library is that of Ubuntu 20.04
  --profile P     release (default), dist (what is shipped; minutes more) or dev
  --glibc X.Y     the newest C library that the result may ask for; without it, what cross/boards.tsv says of the sysroot's system
  --no-run        does not run the result under qemu-user
  --no-build      checks what was built before

Environment:
  CARGO_TARGET_DIR             cargo's folder for all that is built (default: target/cross, and target for this machine's own build)
  PEREGRINE_NATIVE             this machine's own peregrine, of the same sources, to compare with; without it, one is built
  PEREGRINE_NATIVE_TARGET_DIR  cargo's folder for that one
TEXT
}

target="" deb=0 out=() sysroot="" suite="" profile=release floor="" run=1 build=1
while [ $# -gt 0 ]; do
  case $1 in
    --target) target=${2:?--target needs a name}; shift ;;
    --deb) deb=1 ;;
    --out) out=(--out "${2:?--out needs a folder}"); shift ;;
    --sysroot) sysroot=${2:?--sysroot needs a folder}; shift ;;
    --suite) suite=${2:?--suite needs a name}; shift ;;
    --profile) profile=${2:?--profile needs a name}; shift ;;
    --glibc) floor=${2:?--glibc needs a version}; shift ;;
    --no-run) run=0 ;;
    --no-build) build=0 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown argument $1" ;;
  esac
  shift
done
case $target in
  aarch64 | arm64 | "$triple") ;;
  "") usage_error "--target aarch64 is missing" ;;
  *) usage_error "--target is aarch64, not $target" ;;
esac
[[ $profile =~ ^(release|dist|dev)$ ]] || usage_error "--profile is release, dist or dev, not $profile"
[ -z "$floor" ] || [[ $floor =~ ^[0-9]+\.[0-9]+$ ]] || usage_error "--glibc is a version as 2.31, not $floor"
[ -z "$sysroot" ] || [ -z "$suite" ] || usage_error "--suite is for the tree that takes the place of --sysroot: one of them"
[ -z "$sysroot" ] || [ -d "$sysroot" ] || usage_error "--sysroot: no folder $sysroot"

need_packages gcc-aarch64-linux-gnu g++-aarch64-linux-gnu gcc g++ libc6-dev pkg-config file python3
[ "$run" = 0 ] || need_packages qemu-user-static "${PACKAGES_BUILD[@]}"
need_rust_target "$triple"
if [ -z "$sysroot" ]; then sysroot=$("$here/arm64-tree.sh" --suite "${suite:-bookworm}"); fi
sysroot=$(cd "$sysroot" && pwd)
[[ $sysroot != *[[:space:]]* ]] || fail "the path of the sysroot has a blank in it, which cargo's flags cannot have: $sysroot"
[ -f "$sysroot/usr/lib/$gnu/pkgconfig/gstreamer-1.0.pc" ] ||
  fail "$sysroot has no usr/lib/$gnu/pkgconfig/gstreamer-1.0.pc: on the device, apt-get install libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev"

# system KEY: from the sysroot's os-release.
system() { sed -n "s/^$1=\"\\{0,1\\}\\([^\"]*\\)\"\\{0,1\\}\$/\\1/p" "$sysroot/usr/lib/os-release" "$sysroot/etc/os-release" 2>/dev/null | sed -n 1p || true; }

if [ -z "$floor" ]; then
  [ -n "$(system ID)" ] || fail "$sysroot has no usr/lib/os-release, so nobody knows which system it is of: say --glibc X.Y, as ldd --version prints it on the device"
  floor=$(awk -F '\t' -v id="$(system ID)" -v version="$(system VERSION_ID)" '$2 == id && $3 == version { print $4; exit }' "$root/cross/boards.tsv")
  [ -n "$floor" ] || fail "cross/boards.tsv does not know $(system PRETTY_NAME): say --glibc X.Y, as ldd --version prints it on the device"
fi
system=$(system PRETTY_NAME)
say "against ${system:-$sysroot}, glibc $floor"

# Host programs of two compilers do not get into each other's way in a folder of their own; this machine's build lies in the usual one. A folder
# that the user names is for both.
export PEREGRINE_NATIVE_TARGET_DIR=${PEREGRINE_NATIVE_TARGET_DIR:-${CARGO_TARGET_DIR:-$root/target}}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/cross}
program=$CARGO_TARGET_DIR/$triple/${profile/dev/debug}/peregrine
begun=$SECONDS

# TensorRT's tables are compiled from headers and nothing of it is linked: what the board has itself, and what is published. The board's lie among
# headers of everything else, whose folder is not for a compiler to be pointed at twice; so they get one of their own.
tensorrt_headers() {
  local variables header own
  local theirs=$sysroot/usr/include/$gnu
  variables=$("$here/tensorrt-headers.sh")
  eval "$variables"
  if grep -q '#define NV_TENSORRT_MAJOR 8' "$theirs/NvInferVersion.h" 2>/dev/null; then
    # Named after what they are, so that other headers are another folder to cargo.
    own=$CARGO_TARGET_DIR/tensorrt-8/$(cat "$theirs"/Nv*.h | sha256sum | cut -c 1-12)
    mkdir -p "$own"
    for header in "$theirs"/Nv*.h; do ln -sf "$(realpath "$header")" "$own/"; done
    export PEREGRINE_TENSORRT_INCLUDE_8=$own
  fi
}

build() (
  # What a user has set for builds of his own is not for this one.
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS CARGO_BUILD_RUSTFLAGS CFLAGS CXXFLAGS LDFLAGS PKG_CONFIG_PATH
  if [ "$run" = 1 ]; then "$root/cross/try-sysroot.sh" --run "$sysroot"; else "$root/cross/try-sysroot.sh" "$sysroot"; fi
  tensorrt_headers
  sysroot_flags "$sysroot"
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=$gnu-gcc
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS=$(printf -- '-C link-arg=%s ' "${SYSROOT_LDFLAGS[@]}")
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS
  export CC_aarch64_unknown_linux_gnu=$gnu-gcc CXX_aarch64_unknown_linux_gnu=$gnu-g++ AR_aarch64_unknown_linux_gnu=$gnu-ar
  export CFLAGS_aarch64_unknown_linux_gnu="${SYSROOT_CFLAGS[*]}" CXXFLAGS_aarch64_unknown_linux_gnu="${SYSROOT_CXXFLAGS[*]}"
  export PKG_CONFIG_ALLOW_CROSS=1 PKG_CONFIG_SYSROOT_DIR_aarch64_unknown_linux_gnu=$sysroot
  export PKG_CONFIG_LIBDIR_aarch64_unknown_linux_gnu=$sysroot/usr/lib/$gnu/pkgconfig:$sysroot/usr/share/pkgconfig
  cargo build --locked --profile "$profile" --target "$triple" --bin peregrine --manifest-path "$root/Cargo.toml" >&2
)

# Start files that leave the constructors to the C library are of glibc 2.34 or newer, and so must the __libc_start_main be that they call.
check_start() {
  local entry begin symbols
  entry=$("$gnu-readelf" --file-header "$program" | sed -n 's/.*Entry point address: *//p')
  begin=$("$gnu-objdump" --disassemble --start-address="$entry" --stop-address=$((entry + 64)) "$program")
  grep -Eq 'mov\s+x3, #0x0' <<<"$begin" || return 0
  symbols=$("$gnu-objdump" --dynamic-syms "$program")
  grep -q 'GLIBC_2\.34.*__libc_start_main' <<<"$symbols" ||
    fail "begins with the start files of a newer C library than it is linked with: its static constructors would never run"
}

# What a board's loader will ask: the machine, the libraries, the C library's age.
check_file() {
  local kind needed stranger newest
  kind=$(file -b "$program")
  say "$kind"
  [[ $kind == 'ELF 64-bit LSB pie executable, ARM aarch64'* ]] || fail "$program is no program for aarch64"
  needed=$("$gnu-readelf" --dynamic "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
  stranger=$(grep -vxFf <(grep -v '^#' "$root/cross/needed.txt") <<<"$needed" || true)
  [ -z "$stranger" ] || fail "linked with $(paste -sd ' ' <<<"$stranger"), which cross/needed.txt does not allow"
  newest=$(newest_glibc "$program" "$gnu-objdump")
  [ -n "$newest" ] || fail "$program asks for no glibc"
  [ "$(printf '%s\n' "$newest" "$floor" | sort -V | tail -n 1)" = "$floor" ] ||
    fail "asks for glibc $newest, newer than $floor: $("$gnu-objdump" --dynamic-syms "$program" | grep -F "GLIBC_$newest" | awk '{ print $NF }' | paste -sd ' ')"
  say "needs $(paste -sd ' ' <<<"$needed")"
  say "newest symbol GLIBC_$newest, allowed $floor; $(stat -c %s "$program") bytes"
}

[ "$build" = 0 ] || build
[ -f "$program" ] || fail "no $program: it was not built yet"
[ "$build" = 0 ] || say "built ($profile) in $((SECONDS - begun)) s"
check_file
check_start
[ "$run" = 0 ] || "$root/cross/run-emulated.sh" "$sysroot" "$program"
if [ "$deb" = 1 ]; then
  "$here/build-deb.sh" --target "$triple" --profile "$profile" --no-build "${out[@]}"
else
  printf '%s\n' "$program"
fi
