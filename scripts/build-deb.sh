#!/usr/bin/env bash
# The Debian package, from the sources on. What lies where stands in Cargo.toml, [package.metadata.deb]; this lays down what has to be
# made first (binary, manual pages, notices of others' licences), lets cargo-deb pack it, and adds the glibc that the binary asks for.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/build-deb.sh [--target TRIPLE] [--profile P] [--no-build] [--fast] [--deb-version V] [--out DIR]

Builds peregrine and packs it; the last line printed is the package's path.

  --target TRIPLE   x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu (this machine's own by default). For another machine than this
                    one the binary is not built here: scripts/cross-build.sh makes it
  --profile P       release (default), dist (smaller, as releases are), or dev, which the tests have built already
  --no-build        take the binary as it lies in cargo's folder
  --fast            pack quickly and larger: for tests
  --deb-version V   in place of the version in Cargo.toml with "-1" behind it
  --out DIR         where the package goes (default: debian/ in cargo's folder)
TEXT
}

host="$(uname -m)-unknown-linux-gnu"
target="$host" profile=release build=1 packing=(-Zxz) out="" version=()
while [ $# -gt 0 ]; do
  case $1 in
    --target) target=${2:?--target needs a triple}; shift ;;
    --profile) profile=${2:?--profile needs a name}; shift ;;
    --no-build) build=0 ;;
    --fast) packing=(-Zgzip -z1) ;;
    --deb-version) version=(--deb-version "${2:?--deb-version needs a version}"); shift ;;
    --out) out=${2:?--out needs a folder}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
case $target in
  x86_64-unknown-linux-gnu) tools=x86_64-linux-gnu ;;
  aarch64-unknown-linux-gnu) tools=aarch64-linux-gnu ;;
  *) usage_error "--target is x86_64-unknown-linux-gnu or aarch64-unknown-linux-gnu, not $target" ;;
esac
[[ $profile =~ ^(release|dist|dev)$ ]] || usage_error "--profile is release, dist or dev, not $profile"

if [ "$target" = "$host" ]; then binutils=binutils; else binutils="binutils-${tools//_/-}"; fi
need_packages "$binutils" dpkg-dev python3
# shellcheck disable=SC2119  # nothing beside cargo and rustc
need_rust
need_cargo_tool cargo-deb "$CARGO_DEB_VERSION"

folder=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
binary="$folder/${profile/dev/debug}/peregrine"
if [ "$target" != "$host" ]; then
  binary="$folder/$target/${profile/dev/debug}/peregrine"
  [ -x "$binary" ] || fail "$binary is not there: scripts/cross-build.sh makes it"
elif [ "$build" = 1 ]; then
  need_packages "${PACKAGES_BUILD[@]}"
  cargo build --locked --quiet --profile "$profile" --bin peregrine
fi
[ -x "$binary" ] || fail "$binary is not there: leave --no-build out"

# cargo-deb takes a folder of cargo's for its own; this one holds what belongs into the package and nothing else.
stage="$folder/deb/$target"
laid="$stage/$target/release"
rm -rf "$stage"
mkdir -p "$laid/man"
"$tools-strip" --strip-unneeded --remove-section=.comment -o "$laid/peregrine" "$binary"
for page in packaging/man/*.1; do
  gzip -9nc "$page" >"$laid/man/$(basename "$page").gz"
done
gzip -9nc CHANGELOG.md >"$laid/changelog.gz"
python3 scripts/packaged_docs.py "$laid/doc"
python3 scripts/third_party.py --target "$target" --out "$laid/THIRD-PARTY.txt"
gzip -9n "$laid/THIRD-PARTY.txt"

# It is packed once more below, so this needs not be small.
packed=$(CARGO_TARGET_DIR="$stage" cargo-deb --locked --no-build --no-strip --fast --target "$target" "${version[@]}" --output "$stage" | tail -n 1)

glibc=$(newest_glibc "$laid/peregrine" "$tools-objdump")
[ -n "$glibc" ] || fail "$binary asks for no glibc: is it a binary for $target?"
unpacked="$stage/unpacked"
dpkg-deb --raw-extract "$packed" "$unpacked"
sed -i "s/^\(Depends:.*\)\blibc6,/\1libc6 (>= $glibc),/" "$unpacked/DEBIAN/control"
grep -q "libc6 (>= $glibc)" "$unpacked/DEBIAN/control" || fail "the package's Depends names no libc6"
# What debsums and dpkg --verify compare with.
(cd "$unpacked" && find usr -type f -print0 | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
out=${out:-$folder/debian}
mkdir -p "$out"
name=$(basename "$packed")
dpkg-deb --root-owner-group --uniform-compression "${packing[@]}" --build "$unpacked" "$out/$name" >/dev/null
rm -rf "$stage"
say "$name: $(stat -c %s "$out/$name") bytes, glibc $glibc or newer"
printf '%s\n' "$(cd "$out" && pwd)/$name"
