#!/usr/bin/env bash
# What a release consists of, in one folder: both Debian packages, the list of what is in them (SBOM), checksums, notes. Uploads nothing.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/release.sh [--check] [--profile P] [--amd64-only] [--advisories DIR] [--out DIR]

Checks that Cargo.toml, CHANGELOG.md, packaging/debian/changelog and the manual page name the same version and that nothing is uncommitted,
then makes the packages, their SBOM (CycloneDX), the notes of this version and SHA256SUMS.

  --check            the versions alone, the licences of what is linked in, and cargo-deny's judgement where it is installed; makes nothing
  --profile P        how the packages are built: dist (default), release or dev
  --amd64-only       leave the package for arm64 out, which scripts/cross-build.sh builds
  --advisories DIR   a clone of https://github.com/rustsec/advisory-db for cargo-deny, where this machine cannot fetch one itself
  --out DIR          where all of it goes (default: release-VERSION in cargo's folder); must be empty
TEXT
}

check_only=0 profile=dist arm=1 advisories="" out=""
while [ $# -gt 0 ]; do
  case $1 in
    --check) check_only=1 ;;
    --profile) profile=${2:?--profile needs a name}; shift ;;
    --amd64-only) arm=0 ;;
    --advisories) advisories=${2:?--advisories needs a folder}; shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
need_packages gcc libc6-dev python3
# shellcheck disable=SC2119  # nothing beside cargo and rustc
need_rust
metadata=$(cargo metadata --locked --no-deps --format-version 1)
field() { python3 -c 'import json, sys; m = json.load(sys.stdin); print(m["packages"][0]["version"] if sys.argv[1] == "version" else m[sys.argv[1]])' "$1" <<<"$metadata"; }
version=$(field version)

# notes: what CHANGELOG.md says about this version, without its heading.
notes() { awk -v heading="## [$version]" 'index($0, "## [") == 1 { on = index($0, heading) == 1; next } on' CHANGELOG.md; }

same_version() {
  grep -qE "^## \[${version//./\\.}\] - [0-9]{4}-[0-9]{2}-[0-9]{2}$" CHANGELOG.md || fail "CHANGELOG.md has no \"## [$version] - YYYY-MM-DD\""
  notes | grep -q '^- ' || fail "CHANGELOG.md says nothing about $version"
  head -n 1 packaging/debian/changelog | grep -qF "peregrine ($version-1)" || fail "packaging/debian/changelog does not begin with $version-1"
  grep -qF "\"peregrine $version\"" packaging/man/peregrine.1 || fail "packaging/man/peregrine.1 is not of $version: run the tests once with PEREGRINE_WRITE=1"
}

licences() {
  local target
  for target in x86_64 aarch64; do
    python3 scripts/third_party.py --target "$target-unknown-linux-gnu"
  done
}

same_version
licences
say "everything says $version"
if [ "$check_only" = 1 ]; then
  # Its installation takes minutes, and advisories a database from elsewhere: both are for a release.
  if has_cargo_tool cargo-deny "$CARGO_DENY_VERSION"; then
    cargo deny --locked check licenses bans sources
  else
    say "skipped: cargo deny, which a release installs"
  fi
  exit 0
fi
[ -z "$(git status --porcelain)" ] || fail "there are changes that are not committed"

need_cargo_tool cargo-deny "$CARGO_DENY_VERSION"
need_cargo_tool cargo-cyclonedx "$CARGO_CYCLONEDX_VERSION"
cargo deny --locked check licenses bans sources
if [ -n "$advisories" ]; then
  # cargo-deny looks for clones in a folder of them, each under a name that it makes of the address.
  databases=$(mktemp -d)
  git clone --quiet "$advisories" "$databases/advisory-db-3157b0e258782691"
  sed "s|^\[advisories\]|&\ndb-path = \"$databases\"|" deny.toml >"$databases/deny.toml"
  cargo deny --offline --locked --config "$databases/deny.toml" check advisories
  rm -rf "$databases"
else
  cargo deny --locked check advisories || fail "advisories; where the database cannot be fetched, --advisories names a clone of it"
fi

out=${out:-$(field target_directory)/release-$version}
# A folder that somebody named may hold what is not ours.
[ -z "$(ls -A "$out" 2>/dev/null)" ] || fail "$out is not empty: take it away, or name another by --out"
mkdir -p "$out"
triples=(x86_64-unknown-linux-gnu)
[ "$arm" = 0 ] || triples+=(aarch64-unknown-linux-gnu)
for triple in "${triples[@]}"; do
  if [ "$triple" = aarch64-unknown-linux-gnu ] && [ "$(uname -m)" != aarch64 ]; then
    # It packs what it has built itself, in cargo's folder for it.
    scripts/cross-build.sh --target aarch64 --profile "$profile" --deb --out "$out"
  else
    scripts/build-deb.sh --target "$triple" --profile "$profile" --out "$out"
  fi
  # What only built it is not in it.
  cargo cyclonedx --quiet --no-build-deps --format json --spec-version 1.5 --target "$triple" --override-filename "peregrine-$version-$triple.cdx"
  # Where the sources lay is nobody's business.
  sed "s|path+file://$PWD#|#|g" "peregrine-$version-$triple.cdx.json" >"$out/peregrine-$version-$triple.cdx.json"
  rm "peregrine-$version-$triple.cdx.json"
done
scripts/check-deb.sh "$out"/*.deb
notes >"$out/NOTES.md"
(cd "$out" && sha256sum -- * >SHA256SUMS)
say "in $out:"
(cd "$out" && ls -l)
