#!/usr/bin/env bash
# The int8 engine for aarch64 on any Debian machine: builds tests/arm for aarch64 and runs it under an emulator, once as a Raspberry Pi 4
# (Cortex-A72), once as a Raspberry Pi 5 (Cortex-A76), once with everything that the emulator knows (i8mm among it). First the tests of
# the kernels; then, where ../shared has a model and pictures, a whole model, whose output must be this machine's to the bit.
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

need_packages qemu-user-static
need_static_aarch64
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$root/target/arm}
manifest=$root/tests/arm/Cargo.toml
while read -r cpu kernels; do
  say "as $cpu: $kernels"
  CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu $cpu" PEREGRINE_TEST_KERNELS=$kernels \
    cargo test --quiet --lib --manifest-path "$manifest" --target "$target" </dev/null
done <<'CPUS'
cortex-a72 neon scalar
cortex-a76 neon-dot neon scalar
max i8mm neon-dot neon scalar
CPUS

model=$root/../shared/models/yolov8n_320_int8.onnx
images=$root/../shared/data/coco/val/images
if ! [ -f "$model" ] || ! [ -d "$images" ]; then
  say "skipped: whole models, for want of $model and $images"
  exit 0
fi
side=320
number=20
need_packages ffmpeg
pictures=$(mktemp -d)
trap 'rm -rf "$pictures"' EXIT
find "$images" -name '*.jpg' | sort | sed "${number}q" | while read -r image; do
  ffmpeg -v error -i "$image" -vf "scale=$side:$side" -pix_fmt rgb24 -f rawvideo "$pictures/$(basename "$image" .jpg).rgb" </dev/null
done
cargo build --quiet --release --bin peregrine-arm --manifest-path "$manifest"
cargo build --quiet --release --bin peregrine-arm --manifest-path "$manifest" --target "$target"
here_program=$CARGO_TARGET_DIR/release/peregrine-arm
arm_program=$CARGO_TARGET_DIR/$target/release/peregrine-arm

# hashes KERNEL THREADS COMMAND…: a line a picture, the kernel's name left out; fails when another kernel has answered.
hashes() {
  local kernel=$1 threads=$2
  shift 2
  PEREGRINE_KERNEL=$kernel "$@" model "$model" "$pictures"/*.rgb --threads "$threads" |
    awk -v kernel="$kernel" '$2 != kernel { print "not by " kernel ": " $0 >"/dev/stderr"; exit 1 } { print $1 }'
}

want=$(hashes scalar 1 "$here_program")
[ "$(sort -u <<<"$want" | wc -l)" = "$number" ] || fail "$number pictures should give as many outputs, not: $want"
# check NAME KERNEL THREADS COMMAND…
check() {
  local name=$1 got begin=$SECONDS
  shift
  got=$(hashes "$@")
  [ "$got" = "$want" ] || fail "$name, $1, $2 threads: another output than this machine's scalar kernel:
$(diff <(echo "$want") <(echo "$got"))"
  say "$name, $1, $2 threads: $number outputs the same to the bit, $((SECONDS - begin)) s"
}
for threads in 1 2; do
  for kernel in $("$here_program" kernels); do
    check "this machine" "$kernel" "$threads" "$here_program"
  done
  check cortex-a72 neon "$threads" qemu-aarch64-static -cpu cortex-a72 "$arm_program"
  check cortex-a76 neon-dot "$threads" qemu-aarch64-static -cpu cortex-a76 "$arm_program"
  check max i8mm "$threads" qemu-aarch64-static -cpu max "$arm_program"
done
