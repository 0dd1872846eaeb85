#!/usr/bin/env bash
# What a Debian package of ours must hold, looked at without installing it: Debian's own opinion (lintian), then the layout that the unit,
# the scripts and the documents rely on.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/check-deb.sh FILE.deb…

Fails on lintian's errors and warnings (exceptions, each with its reason: packaging/debian/lintian-overrides) and where a file is missing.
TEXT
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
  "") usage_error "which package?" ;;
  -*) usage_error "unknown option $1" ;;
esac
need_packages lintian dpkg-dev python3

# The paths that others rely on; each has to be there once at least.
WANTED=(
  ./usr/bin/peregrine ./usr/lib/peregrine/rollback ./etc/peregrine/peregrine.toml
  ./usr/lib/systemd/system/peregrine.service ./usr/lib/sysusers.d/peregrine.conf ./usr/lib/tmpfiles.d/peregrine.conf
  ./usr/share/peregrine/systemd/jetson.conf ./usr/share/peregrine/systemd/raspberry-pi.conf
  ./usr/share/peregrine/config.schema.json ./usr/share/peregrine/default.toml ./usr/share/peregrine/profiles/raspberry-pi-5.toml
  ./usr/share/peregrine/schemas/event.schema.json
  ./usr/share/man/man1/peregrine.1.gz ./usr/share/man/man1/peregrine-run.1.gz ./usr/share/man/man1/peregrine-model-fetch.1.gz
  ./usr/share/bash-completion/completions/peregrine ./usr/share/zsh/vendor-completions/_peregrine
  ./usr/share/fish/vendor_completions.d/peregrine.fish
  ./usr/share/doc/peregrine/copyright ./usr/share/doc/peregrine/changelog.Debian.gz ./usr/share/doc/peregrine/changelog.gz
  ./usr/share/doc/peregrine/THIRD-PARTY.txt.gz ./usr/share/doc/peregrine/operations.md
)

check() {
  local deb=$1 path listed unpacked
  [ -f "$deb" ] || fail "$deb is not there"
  lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$deb" || fail "lintian has something to say about $deb"
  listed=$(dpkg-deb --contents "$deb" | awk '{ print $6 }')
  for path in "${WANTED[@]}"; do
    grep -qxF "$path" <<<"$listed" || fail "$deb has no $path"
  done
  # Drop-ins for boards are chosen by whoever sets the board up.
  ! grep -q 'peregrine\.service\.d' <<<"$listed" || fail "$deb brings a drop-in that is in force everywhere"
  ! dpkg-deb --contents "$deb" | awk '$2 != "root/root"' | grep . || fail "$deb has files that are not root's"
  dpkg-deb --field "$deb" Depends | grep -q 'libc6 (>= 2\.' || fail "$deb does not say which glibc it needs"
  unpacked=$(mktemp -d)
  dpkg-deb --extract "$deb" "$unpacked"
  (cd "$unpacked" && dpkg-deb --ctrl-tarfile "$deb" | tar -xO ./md5sums | md5sum --check --quiet) || fail "$deb: md5sums are not those of its files"
  python3 "$here/packaged_docs.py" --check "$unpacked" || fail "$deb: links of its documents lead nowhere"
  rm -rf "$unpacked"
  say "$(basename "$deb"): as it should be; $(stat -c %s "$deb") bytes, installed $(dpkg-deb --field "$deb" Installed-Size) KiB"
}

for deb in "$@"; do
  check "$deb"
done
