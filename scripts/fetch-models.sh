#!/usr/bin/env bash
# Brings models and clips that models/manifest.toml names into a folder, each checked against its sha256.
# Sources, in this order: ../shared beside the checkout, then what the manifest lists (a crate, a Debian package, a URL).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/fetch-models.sh [--to DIR] [--accept-licence] [--list] [NAME...]

  NAME              a model or a clip of models/manifest.toml, e.g. yolov12n_640 or vtest; all that can be had if none is named
  --to DIR          where to put the files (default: models-cache)
  --accept-licence  do not ask before files under the AGPL are fetched
  --list            say what there is, and fetch nothing
TEXT
}

to="$root/models-cache" accept=0 list=0 names=()
while [ $# -gt 0 ]; do
  case $1 in
    --to) to=${2:?--to needs a folder}; shift ;;
    --accept-licence) accept=1 ;;
    --list) list=1 ;;
    -h | --help) usage; exit 0 ;;
    -*) usage_error "unknown option $1" ;;
    *) names+=("$1") ;;
  esac
  shift
done

need_packages python3
manifest="$root/models/manifest.toml"
[ -f "$manifest" ] || fail "$manifest is not there"
entries() { python3 "$here/manifest.py" "$manifest" "$@"; }
if [ "$list" = 1 ]; then
  entries --list
  exit 0
fi
table=$(entries "${names[@]}") || exit 1
mkdir -p "$to"
to=$(cd "$to" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

matches() { [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# A model's licence is shown before it is fetched; the AGPL binds those who run a service with it, so it is asked about.
agree() {
  local name=$1 licence=$2 about=$3
  say "$name: $about"
  say "  licence: $licence"
  case $licence in *AGPL*) ;; *) return 0 ;; esac
  [ "$accept" = 1 ] && return 0
  [ -t 0 ] || fail "$name is under $licence: say --accept-licence to fetch it"
  local answer
  read -r -p "  fetch it under these terms? [y/N] " answer
  [[ $answer == [yY]* ]] || fail "not fetched"
}

# cargo's own client downloads and checks the crate; a manifest without anything else in it is enough to ask for it.
from_crate() {
  local name=$1 version=$2 sha256=$3 member=$4 unzip=$5 out=$6
  # shellcheck disable=SC2119  # nothing beside cargo and rustc
  need_rust
  mkdir -p "$work/crate/src"
  printf '[package]\nname = "fetch"\nversion = "0.0.0"\nedition = "2021"\n[workspace]\n[dependencies]\n%s = { version = "=%s", default-features = false }\n' \
    "$name" "$version" >"$work/crate/Cargo.toml"
  : >"$work/crate/src/lib.rs"
  (cd "$work/crate" && cargo fetch --quiet) || return 1
  local crate folder registry="${CARGO_HOME:-$HOME/.cargo}/registry"
  crate=$(find "$registry/cache" -name "$name-$version.crate" | head -n 1)
  matches "$crate" "$sha256" || fail "$name-$version.crate is not the one that the manifest names"
  folder=$(find "$registry/src" -maxdepth 2 -name "$name-$version" | head -n 1)
  if [ -n "$unzip" ]; then
    python3 -c 'import sys, zipfile
sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' "$folder/$member" "$unzip" >"$out"
  else
    cp "$folder/$member" "$out"
  fi
}

# The package is unpacked, not installed.
from_deb() {
  local package=$1 member=$2 out=$3
  command -v apt-get >/dev/null || return 1
  mkdir -p "$work/deb/tree"
  (cd "$work/deb" && { apt-get download -qq "$package" || { as_root apt-get update -qq && apt-get download -qq "$package"; }; }) >&2 2>"$work/apt" || {
    cat "$work/apt" >&2
    return 1
  }
  dpkg-deb --fsys-tarfile "$work"/deb/"$package"_*.deb | tar -x -C "$work/deb/tree" "./$member"
  cp "$work/deb/tree/$member" "$out"
}

from_url() {
  need_packages curl ca-certificates
  curl --fail --location --silent --show-error --retry 2 --proto '=https' --output "$2" "$1"
}

# fetch KIND FIELD…: puts what a source has into $work/file.
fetch() {
  local kind=$1
  shift
  case $kind in
    crate) from_crate "$@" "$work/file" ;;
    deb) from_deb "$1" "$2" "$work/file" ;;
    url) from_url "$1" "$work/file" ;;
    *) fail "the manifest names a source of kind $kind, which this script does not know" ;;
  esac
}

# keep FILE SHA256 DEST: puts a file in its place if it is the right one.
keep() {
  if matches "$1" "$2"; then
    mv "$1" "$3"
  else
    say "  $(basename "$3"): what came has another sha256 than the manifest names; not kept"
    return 1
  fi
}

from_shared() {
  local file=$1 sha256=$2 folder
  for folder in "$root/../shared/models" "$root/../shared/data/video"; do
    if matches "$folder/$file" "$sha256"; then
      cp "$folder/$file" "$to/$file"
      chmod 644 "$to/$file"
      # Class names that lie beside a model.
      cp -n "$folder"/*.txt "$to/" 2>/dev/null || true
      return 0
    fi
  done
  return 1
}

failed=0
# Fields are separated by a character that no value holds, since empty ones count.
while IFS=$'\x1f' read -r -u 3 name file sha256 licence about kind a b c d e; do
  [ "$name" != "${done_name:-}" ] || continue
  if matches "$to/$file" "$sha256"; then
    say "$name: there already"
  elif from_shared "$file" "$sha256"; then
    say "$name: from ../shared ($licence)"
  elif [ "$kind" = manual ]; then
    say "$name: cannot be fetched; $a"
    # Only what was asked for by name is missed.
    [ "${#names[@]}" = 0 ] || failed=1
    continue
  else
    agree "$name" "$licence" "$about"
    if ! fetch "$kind" "$a" "$b" "$c" "$d" "$e" || ! keep "$work/file" "$sha256" "$to/$file"; then
      failed=1
      continue
    fi
    say "$name: $to/$file"
  fi
  done_name=$name
done 3<<<"$table"
exit "$failed"
