#!/usr/bin/env bash
# NVIDIA's own libraries for tests without a GPU, by package from Python's index into a folder of the cache that is kept.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

case ${1:-} in
  "") ;;
  -h | --help)
    cat <<'TEXT'
Usage: eval "$(scripts/tensorrt-libraries.sh)"

Fetches what scripts/tensorrt-libraries.txt lists (180 MB, 440 MB unpacked, under NVIDIA's licence) unless it is there, and prints the
variable with which the tests find it. x86-64 only; elsewhere it prints nothing, and the tests skip.
TEXT
    exit 0
    ;;
  *) usage_error "unknown argument $1" ;;
esac

if [ "$(uname -m)" != x86_64 ]; then
  say "no NVIDIA libraries for tests on $(uname -m)"
  exit 0
fi

list=$here/tensorrt-libraries.txt
want=$(sha256sum <"$list" | cut -c1-16)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/tensorrt/$want

work=
trap '[ -z "$work" ] || rm -rf "$work"' EXIT

fetch() {
  local parent wheel
  need_packages python3 python3-venv
  parent=$(dirname "$folder")
  mkdir -p "$parent"
  # Beside its place, so that it can be moved there in one step.
  work=$(mktemp -d "$parent/part.XXXXXX")
  python3 -m venv "$work/venv" >&2
  # One at a time: two versions of a package are wanted.
  grep -v '^#' "$list" | while read -r line; do
    printf '%s\n' "$line" >"$work/one.txt"
    "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: --require-hashes \
      --dest "$work/wheels" --requirement "$work/one.txt" >&2 || fail "could not fetch $line"
  done
  mkdir "$work/libraries"
  for wheel in "$work"/wheels/*.whl; do
    python3 -m zipfile -e "$wheel" "$work/unpacked"
    find "$work/unpacked" -name 'lib*.so.*' -exec mv -n {} "$work/libraries/" \;
    rm -r "$work/unpacked"
  done
  # Who fetched at the same time may have been first; its libraries are the same.
  mv -T "$work/libraries" "$folder" 2>/dev/null || [ -d "$folder" ] || fail "could not move the libraries to $folder"
}

[ -d "$folder" ] || fetch
printf 'export PEREGRINE_TENSORRT_LIBS=%q\n' "$folder"
