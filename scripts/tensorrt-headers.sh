#!/usr/bin/env bash
# TensorRT's headers for a machine without TensorRT: two crates carry them (see scripts/tensorrt-headers), which are fetched and not built.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

usage() {
  cat <<'TEXT'
Usage: eval "$(scripts/tensorrt-headers.sh [--rtx])"

Fetches the headers of TensorRT 10 and 11 and prints the variables with which a build finds them. On a device with TensorRT there is no
need: its own headers are found.

  --rtx   those of TensorRT-RTX as well, whose builder and parser run without a GPU: for tests
TEXT
}

[ $# -le 1 ] || usage_error "unknown argument $2"
rtx=0
case ${1:-} in
  "") ;;
  --rtx) rtx=1 ;;
  -h | --help) usage; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

need_packages python3
need_rust

# headers MANIFEST FOLDER: where the crate that the manifest asks for keeps that folder of headers.
headers() {
  local manifest=$here/tensorrt-headers/$1/Cargo.toml folder
  cargo fetch --quiet --locked --manifest-path "$manifest" >&2 || fail "could not fetch the headers of TensorRT ($manifest)"
  folder=$(cargo metadata --offline --locked --format-version 1 --manifest-path "$manifest" | python3 -c '
import json, os, sys
paths = [p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "trtx-sys"]
print(os.path.join(os.path.dirname(paths[0]), "TensorRT-Headers"))')/$2
  [ -f "$folder/NvInfer.h" ] || fail "no NvInfer.h in $folder"
  printf '%s\n' "$folder"
}

print_variable() {
  local folder
  folder=$(headers "$2" "$3")
  printf 'export PEREGRINE_TENSORRT_INCLUDE_%s=%q\n' "$1" "$folder"
}

print_variable 10 10 TRT-Enterprise-10.16
print_variable 11 11 TRT-Enterprise-11.4
[ "$rtx" = 0 ] || print_variable RTX 11 TRT-RTX-1.7
