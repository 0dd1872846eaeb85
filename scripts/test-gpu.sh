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

Runs the tests that need libcuda.so.1 and a GPU, once as they are and, where compute-sanitizer is installed, once under it, and those of
the tables on NVIDIA's real libraries, which go further where there is a GPU: on x86-64 headers and libraries are fetched for them
(scripts/tensorrt-headers.sh, scripts/tensorrt-libraries.sh), elsewhere they take the headers of the system. Fails where there is no GPU,
and where no test ran.
TEXT
    exit 0
    ;;
  *) usage_error "unknown argument $1" ;;
esac

need_rust
if [ "$(uname -m)" = x86_64 ]; then
  variables=$(scripts/tensorrt-headers.sh --rtx && scripts/tensorrt-libraries.sh)
  eval "$variables"
fi
export PEREGRINE_TEST_GPU=1
binary=$(cargo test --locked --lib --no-run 2>&1 | tee /dev/stderr | sed -n 's/.*Executable unittests.*(\(.*\))/\1/p')
[ -x "$binary" ] || fail "cargo named no test binary"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# run_tests FILTER COMMAND…: a filter that fits no test, as after a renaming, is a failure too.
run_tests() {
  local filter=$1
  shift
  "$@" --nocapture --test-threads 1 "$filter" 2>&1 | tee "$log"
  grep -q '^test result: ok\. [1-9]' "$log" || fail "no test ran of $filter"
}

gpu_tests=infer::tensorrt::letterbox::gpu_tests
date -u '+%Y-%m-%dT%H:%M:%SZ' >&2
run_tests "$gpu_tests" "$binary"
! grep 'skipped: ' "$log" || fail "a test that needs the GPU was skipped"
run_tests infer::tensorrt::tests "$binary"
if command -v compute-sanitizer >/dev/null; then
  run_tests "$gpu_tests" compute-sanitizer --leak-check full --error-exitcode 1 "$binary"
else
  say "no compute-sanitizer: invalid accesses and leaks on the GPU were not looked for"
fi
