#!/usr/bin/env bash
# The way from the shim's tables to TensorRT, as an aarch64 processor goes it: compiles the shim, the libraries that stand in for NVIDIA's
# (tests/tensorrt/nvinfer) and tests/tensorrt/arm_run.cpp, and runs them: on x86-64 across and under an emulator. For each TensorRT whose headers are
# named: PEREGRINE_TENSORRT_INCLUDE_10, PEREGRINE_TENSORRT_INCLUDE_11.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")

case ${1:-} in
  "") ;;
  -h | --help) echo "Usage: scripts/test-tensorrt-arm.sh"; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

if [ -z "${PEREGRINE_TENSORRT_INCLUDE_10:-}${PEREGRINE_TENSORRT_INCLUDE_11:-}" ]; then
  say "skipped: neither PEREGRINE_TENSORRT_INCLUDE_10 nor PEREGRINE_TENSORRT_INCLUDE_11 names TensorRT's headers"
  exit 0
fi
system=/usr/aarch64-linux-gnu/lib
case $(uname -m) in
  x86_64)
    need_packages g++-aarch64-linux-gnu qemu-user python3
    compiler=aarch64-linux-gnu-g++
    # Through the loader: the emulator does not run every program that starts threads otherwise.
    run=(qemu-aarch64 -E "LD_LIBRARY_PATH=.:$system" "$system/ld-linux-aarch64.so.1")
    ;;
  aarch64)
    need_packages g++ python3
    compiler=g++
    run=(env LD_LIBRARY_PATH=.)
    ;;
  *)
    say "skipped: no compiler for aarch64 on $(uname -m)"
    exit 0
    ;;
esac
shim=$root/src/infer/tensorrt/shim
tests=$root/tests/tensorrt
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

# compile HEADERS ARGUMENT…
compile() {
  local headers=$1
  shift
  "$compiler" -std=c++17 -Wall -Wextra -Werror -Wno-deprecated-declarations -I"$shim" -I"$shim/cuda" -isystem "$headers" "$@"
}

# stand_in MAJOR HEADERS: the libraries, into the present folder.
stand_in() {
  local major=$1 headers=$2 nvinfer=$tests/nvinfer
  python3 "$nvinfer/generate.py" "$headers" VHostMemory VRuntime VCudaEngine VExecutionContext VBuilder VBuilderConfig \
    VNetworkDefinition VTensor VOptimizationProfile VTimingCache >defaults.h
  python3 "$nvinfer/generate.py" "$headers" IParser IParserError >parser_defaults.h
  compile "$headers" -fPIC -shared -Wno-unused-parameter -I. -Wl,-soname,"libnvinfer.so.$major" -o "libnvinfer.so.$major" \
    "$nvinfer"/{runtime,builder,model,object,wire}.cpp -ldl
  compile "$headers" -fPIC -shared -Wno-unused-parameter -I. -Wl,-soname,"libnvonnxparser.so.$major" -o "libnvonnxparser.so.$major" \
    "$nvinfer/parser.cpp" "libnvinfer.so.$major"
}

# check MAJOR HEADERS
check() {
  local major=$1 headers=$2 begun=$SECONDS
  local table=-DPEREGRINE_TABLE=peregrine_tensorrt_table_$major
  mkdir "$folder/$major"
  cd "$folder/$major"
  stand_in "$major" "$headers" &
  compile "$headers" "$table" -fno-exceptions -fno-rtti -O2 -c -o shim.o "$shim/shim.cpp"
  compile "$headers" "$table" -o arm_run "$tests/arm_run.cpp" shim.o -ldl
  wait $!
  "${run[@]}" ./arm_run >out 2>&1 || fail "TensorRT $major on aarch64:
$(cat out)"
  grep -q "^stand-in" out && fail "TensorRT $major on aarch64: $(grep "^stand-in" out)"
  say "$(tail -n 1 out) on aarch64: $(grep -c "^ok" out) checks, $((SECONDS - begun)) s"
}

for major in 10 11; do
  named=PEREGRINE_TENSORRT_INCLUDE_$major
  if [ -n "${!named:-}" ]; then
    check "$major" "${!named}"
  else
    say "skipped: TensorRT $major: $named is not set"
  fi
done
