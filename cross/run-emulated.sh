#!/usr/bin/env bash
# An aarch64 peregrine under qemu-user, as a Raspberry Pi 4 (Cortex-A72) and as a Pi 5 (Cortex-A76): what it says of its processor, and what it
# sees in a picture, which must be what this machine's own build sees. Called by scripts/cross-build.sh.
set -euo pipefail
cross=$(cd "$(dirname "$0")" && pwd)
root=$(dirname "$cross")
# shellcheck source=scripts/lib.sh
. "$root/scripts/lib.sh"

usage() {
  cat <<'TEXT'
Usage: cross/run-emulated.sh SYSROOT PROGRAM

Environment:
  PEREGRINE_NATIVE             this machine's own peregrine, of the same sources, to compare with; without it, one is built
  PEREGRINE_NATIVE_TARGET_DIR  cargo's folder for that one (default: CARGO_TARGET_DIR, or target)
TEXT
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
[ $# = 2 ] || usage_error "needs a sysroot and a program"
sysroot=$1
program=$2

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# GStreamer's list of plugins is the emulated system's, and for this once.
export XDG_CACHE_HOME=$work GST_REGISTRY_1_0=$work/registry GST_REGISTRY_FORK=no

# emulated CPU ARGUMENT…
emulated() {
  local cpu=$1
  shift
  qemu-aarch64-static -cpu "$cpu" -L "$sysroot" "$program" "$@"
}

# The same source for this machine. What the tests have built will do; arithmetic does not depend on the profile.
native=${PEREGRINE_NATIVE:-}
[ -z "$native" ] || [ -x "$native" ] || fail "PEREGRINE_NATIVE: no program $native"
if [ -z "$native" ]; then
  say "building peregrine for this machine, to compare with"
  target=${PEREGRINE_NATIVE_TARGET_DIR:-${CARGO_TARGET_DIR:-$root/target}}
  env -u RUSTC CARGO_TARGET_DIR="$target" cargo build --locked --quiet --bin peregrine --manifest-path "$root/Cargo.toml" >&2
  native=$target/debug/peregrine
fi

# probed CPU KERNEL
probed() {
  local cpu=$1 kernel=$2 begun=$SECONDS
  emulated "$cpu" probe >"$work/probe" 2>"$work/probe.err" || fail "probe as $cpu: $(cat "$work/probe.err")"
  grep -q "× aarch64" "$work/probe" || fail "probe as $cpu names no aarch64 processor: $(cat "$work/probe")"
  grep -Eq "^engine +yes +int8 .*kernel $kernel\$" "$work/probe" || fail "probe as $cpu should have the kernel $kernel: $(grep '^engine' "$work/probe")"
  grep -Eq '^decoder +yes' "$work/probe" || fail "probe as $cpu finds no decoder in $sysroot: $(cat "$work/probe")"
  say "as $cpu: probe has kernel $kernel and $(grep -Ec '^decoder +yes' "$work/probe") decoders, $((SECONDS - begun)) s"
}

# detected MODEL PICTURE ENGINE: byte for byte what this machine's build prints.
detected() {
  local model=$1 picture=$2 engine=$3 cpu begun
  "$native" detect --model "$model" --engine "$engine" "$picture" >"$work/here" || fail "this machine's own build does not detect"
  grep -q '"score"' "$work/here" || fail "nothing is seen in $picture: this would compare nothing"
  for cpu in cortex-a72 cortex-a76; do
    begun=$SECONDS
    emulated "$cpu" detect --model "$model" --engine "$engine" "$picture" >"$work/there" 2>"$work/err" || fail "detect as $cpu: $(cat "$work/err")"
    cmp -s "$work/here" "$work/there" || fail "as $cpu, $engine: not what this machine sees
$(diff "$work/here" "$work/there")"
    say "as $cpu: $(basename "$model"), $engine: the same $(grep -o '"score"' "$work/here" | wc -l) objects as here, to the byte, $((SECONDS - begun)) s"
  done
}

# slopes FILE: a picture that no package has to bring.
slopes() {
  python3 - "$1" <<'PYTHON'
import struct, sys, zlib
side = 96
rows = b"".join(b"\0" + bytes(v for x in range(side) for v in (x * 2, y * 2, (x + y) & 255)) for y in range(side))
chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
open(sys.argv[1], "wb").write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))
PYTHON
}

probed cortex-a72 neon
probed cortex-a76 neon-dot
slopes "$work/slopes.png"
detected "$root/tests/data/tiny_detector.onnx" "$work/slopes.png" tract
model=$root/../shared/models/yolov8n_320_int8.onnx
images=$root/../shared/data/coco/val/images
picture=""
if [ -d "$images" ]; then picture=$(find "$images" -name '*.jpg' | sort | sed -n 1p); fi
if [ -f "$model" ] && [ -n "$picture" ]; then
  detected "$model" "$picture" int8
else
  say "skipped: a photograph through YOLOv8n on the int8 engine, for want of ../shared/models and ../shared/data"
fi
