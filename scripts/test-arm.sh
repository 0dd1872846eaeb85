#!/usr/bin/env bash
# The int8 kernels for aarch64 on any Debian machine: builds tests/arm for aarch64 and runs its tests under an emulator, once as a
# Raspberry Pi 4 (Cortex-A72), once as a Raspberry Pi 5 (Cortex-A76), once with everything that the emulator knows (i8mm among it).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")
target=aarch64-unknown-linux-gnu

case ${1:-} in
  "") ;;
  -h | --help) echo "Usage: scripts/test-arm.sh"; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

need_rust
need_packages gcc-aarch64-linux-gnu qemu-user-static
# rustup brings the standard library for aarch64 where it can; Debian's compiler beside Debian's library does as well.
if [ ! -d "$(rustc --print sysroot)/lib/rustlib/$target/lib" ]; then
  if ! [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ]; then
    as_root dpkg --add-architecture arm64
    need_packages rustc-web libstd-rust-web-dev libstd-rust-web-dev:arm64
  fi
  export RUSTC=/usr/bin/rustc
fi

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/arm}
# Static, so that the emulator needs no aarch64 file system.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
while read -r cpu kernels; do
  say "as $cpu: $kernels"
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $cpu" PEREGRINE_TEST_KERNELS=$kernels \
    cargo test --quiet --lib --manifest-path "$root/tests/arm/Cargo.toml" --target "$target" </dev/null
done <<'CPUS'
cortex-a72 neon scalar
cortex-a76 neon-dot neon scalar
max i8mm neon-dot neon scalar
CPUS
