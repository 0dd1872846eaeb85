#!/usr/bin/env bash
# Compiles TensorRT's tables with every warning an error: natively with g++ and, where it is there, clang++, and on x86-64 for aarch64. The build
# itself (build.rs) takes whatever compiler a user has, and lets warnings be warnings.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
shim=$(dirname "$here")/src/infer/tensorrt/shim

case ${1:-} in
  "") ;;
  -h | --help) echo "Usage: scripts/tensorrt-tables.sh    (headers by PEREGRINE_TENSORRT_INCLUDE_{8,10,11,RTX}, see scripts/tensorrt-headers.sh)"; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags=(-O2 -fPIC -Wall -Wextra -Werror -fvisibility=hidden)

# table COMPILER NAME FOLDER: one table by one compiler; it may want nothing but libc and what runtime.c gives.
table() {
  local compiler=$1 name=${2,,} folder=$3 object=$work/$1-${2,,}.o rtx=() wants
  [ "$name" != rtx ] || rtx=(-DPEREGRINE_TENSORRT_RTX)
  "$compiler" -std=c++17 "${flags[@]}" -Wno-deprecated-declarations -fno-exceptions -fno-rtti "${rtx[@]}" \
    "-DPEREGRINE_TABLE=peregrine_tensorrt_table_$name" "-Dnvinfer1=nvinfer1_$name" "-Dnvonnxparser=nvonnxparser_$name" \
    -I"$shim/cuda" -isystem "$folder" -c "$shim/shim.cpp" -o "$object"
  wants=$(nm -u "$object" | awk '{ print $2 }' | grep -vxE \
    'calloc|free|malloc|memset|memcpy|strcmp|_ZdlPv|_ZdlPvm|__cxa_pure_virtual|__tls_get_addr|_GLOBAL_OFFSET_TABLE_' || true)
  [ -z "$wants" ] || fail "table $name by $compiler wants more than libc: $wants"
  say "table $name: $compiler"
}

compilers=(g++)
# Debian's package clang-14 brings the name with the number alone.
for clang in clang++ clang++-14; do
  ! command -v "$clang" >/dev/null || { compilers+=("$clang"); break; }
done
[ "$(uname -m)" != x86_64 ] || compilers+=(aarch64-linux-gnu-g++)

count=0
for compiler in "${compilers[@]}"; do
  command -v "$compiler" >/dev/null || fail "no $compiler"
  for name in 8 10 11 RTX; do
    variable=PEREGRINE_TENSORRT_INCLUDE_$name
    [ -n "${!variable:-}" ] || continue
    table "$compiler" "$name" "${!variable}"
    count=$((count + 1))
  done
done
[ "$count" -gt 0 ] || fail "no headers: eval \"\$(scripts/tensorrt-headers.sh)\" first"
cc -std=c11 "${flags[@]}" -c "$shim/runtime.c" -o "$work/runtime.o"
