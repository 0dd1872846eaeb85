#!/usr/bin/env bash
# Throws hostile model files at the ONNX reader and the int8 engine: half the time real files that are damaged, half the time models drawn by lot.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/fuzz.sh [SECONDS]

Fuzzes for so many seconds (default: 600), after building. It ends with an error at the first panic, bad access, difference between two
kernels, file that takes more than 10 s or 512 MB; the file that did it then lies in fuzz/artifacts. Needs a nightly toolchain and cargo-fuzz.
TEXT
}

seconds=600
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  '') ;;
  *[!0-9]*) usage_error "SECONDS is a number, not \"$1\"" ;;
  *) seconds=$1 ;;
esac

cargo +nightly --version >/dev/null 2>&1 || fail "a nightly toolchain is missing; with rustup: rustup toolchain install nightly"
cargo fuzz --version >/dev/null 2>&1 || fail "cargo-fuzz is missing: cargo install cargo-fuzz --locked"

cd "$here/../fuzz"
mkdir -p corpus/onnx corpus/qdq
cargo run --quiet --bin seeds -- corpus/onnx corpus/qdq
cp ../tests/data/*.onnx corpus/onnx/
for target in onnx qdq; do
  say "== $target: $((seconds / 2)) s"
  cargo +nightly fuzz run "$target" -- -max_total_time=$((seconds / 2)) -rss_limit_mb=512 -timeout=10 -max_len=10000
done
