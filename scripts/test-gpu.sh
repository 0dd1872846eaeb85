#!/usr/bin/env bash
# What only a real NVIDIA GPU can show, for machines that have one: the driver, its memory, graphs, the kernel against the processor.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

case ${1:-} in
  "") ;;
  -h | --help)
    cat <<'TEXT'
Usage: scripts/test-gpu.sh

Runs the tests that need libcuda.so.1 and a GPU, once as they are and, where compute-sanitizer is installed, once under it. Fails where
there is no GPU.
TEXT
    exit 0
    ;;
  *) usage_error "unknown argument $1" ;;
esac

need_rust
export PEREGRINE_TEST_GPU=1
binary=$(cargo test --locked --lib --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable unittests.*(\(.*\))/\1/p')
[ -x "$binary" ] || fail "cargo named no test binary"

date -u '+%Y-%m-%dT%H:%M:%SZ' >&2
"$binary" --nocapture --test-threads 1 infer::tensorrt::letterbox::gpu_tests
if command -v compute-sanitizer >/dev/null; then
  compute-sanitizer --leak-check full --error-exitcode 1 "$binary" --test-threads 1 infer::tensorrt::letterbox::gpu_tests
else
  say "no compute-sanitizer: invalid accesses and leaks on the GPU were not looked for"
fi
