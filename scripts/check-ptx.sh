#!/usr/bin/env bash
# Assembles letterbox.ptx for every generation of boards with NVIDIA's own assembler, and takes no spilled register for an answer.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

case ${1:-} in
  "") ;;
  -h | --help)
    cat <<'TEXT'
Usage: scripts/check-ptx.sh

Fetches ptxas (21 MB, under NVIDIA's licence) from Python's index into the cache unless it is there, and assembles letterbox.ptx with it.
x86-64 only; elsewhere it says so and does nothing.
TEXT
    exit 0
    ;;
  *) usage_error "unknown argument $1" ;;
esac

if [ "$(uname -m)" != x86_64 ]; then
  say "no ptxas for $(uname -m): letterbox.ptx was not assembled"
  exit 0
fi

wheel="nvidia-cuda-nvcc-cu12==12.6.85 --hash=sha256:d75d9d74599f4d7c0865df19ed21b739e6cb77a6497a3f73d6f61e8038a765e4"
folder=${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/ptxas-12.6.85
# Nano, TX2, Xavier, Orin, and what a workstation has; Thor is newer than this assembler.
boards=(sm_53 sm_62 sm_72 sm_87 sm_90)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ ! -x "$folder/ptxas" ]; then
  need_packages python3 python3-venv
  python3 -m venv "$work/venv" >&2
  printf '%s\n' "$wheel" >"$work/wheel.txt"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
    --dest "$work" --requirement "$work/wheel.txt" >&2 || fail "could not fetch $wheel"
  python3 -m zipfile -e "$work"/*.whl "$work/unpacked"
  mkdir -p "$folder"
  install -m 755 "$work/unpacked/nvidia/cuda_nvcc/bin/ptxas" "$folder/ptxas.$$"
  mv -T "$folder/ptxas.$$" "$folder/ptxas"
fi

for board in "${boards[@]}"; do
  told=$("$folder/ptxas" -v "-arch=$board" -o "$work/cubin" "$here/../src/infer/tensorrt/letterbox/letterbox.ptx" 2>&1) ||
    fail "letterbox.ptx does not assemble for $board: $told"
  kernels=$(grep -c ' 0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads' <<<"$told" || true)
  [ "$kernels" = 3 ] || fail "letterbox.ptx spills registers on $board: $told"
  say "$board: $(grep -o 'Used [0-9]* registers' <<<"$told" | sort -u | paste -sd ',' | sed 's/,/, /g')"
done
