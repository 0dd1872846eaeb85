#!/usr/bin/env bash
# The package's life in a Debian 12 that is not this machine: installed, upgraded, gone back from, removed, purged. No systemd runs there:
# what the service does then is for scripts/test-systemd.sh; here it is what lies on the disk after each step.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/test-deb.sh [--profile P] [FILE.deb]

Takes FILE.deb for this machine's architecture (made by scripts/build-deb.sh --profile P, release by default, if none is named) through
installation, upgrade, downgrade, removal and purge in a root of its own under ~/.cache/peregrine (made once, some minutes). Needs root.
TEXT
}

deb="" profile=release
while [ $# -gt 0 ]; do
  case $1 in
    --profile) profile=${2:?--profile needs a name}; shift ;;
    -h | --help) usage; exit 0 ;;
    -*) usage_error "unknown option $1" ;;
    *) deb=$1 ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || fail "a root of its own takes root: sudo $0"
need_packages mmdebstrap dpkg-dev
[ -n "$deb" ] || deb=$("$here/build-deb.sh" --fast --profile "$profile")
[ -f "$deb" ] || fail "$deb is not there"

work=$(mktemp -d)
at_end() {
  local status=$?
  trap - EXIT
  ! mountpoint --quiet "$work/root/proc" || umount "$work/root/proc"
  ! mountpoint --quiet "$work/root" || umount "$work/root"
  rm -rf --one-file-system "$work"
  exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What the package says that it needs, and nothing else: a library that it forgot is missing here.
needed() {
  dpkg-deb --field "$deb" Depends | tr ',' '\n' | sed 's/|.*//; s/(.*//; s/ //g' | grep -v '^libc6$' | sort -u
}

base_root() {
  local cache root lists
  cache="${XDG_CACHE_HOME:-$HOME/.cache}/peregrine"
  root="$cache/deb-root-$(needed | sha256sum | cut -c1-12)"
  if [ ! -d "$root" ]; then
    say "making a Debian 12 with what the package depends on in $root"
    mkdir -p "$cache"
    mapfile -t lists < <(debian_sources)
    rm -rf --one-file-system "$root.new"
    # Half a root in the cache would be taken for a whole one.
    mmdebstrap --quiet --variant=minbase --include="$(needed | paste -sd,)" --aptopt='APT::Install-Recommends "false"' \
      --dpkgopt='path-exclude=/usr/share/locale/*' bookworm "$root.new" "${lists[@]}" >&2 || {
      rm -rf --one-file-system "$root.new"
      fail "mmdebstrap could not make $root"
    }
    mv "$root.new" "$root"
  fi
  printf '%s\n' "$root"
}

base=$(base_root) || exit 1
mkdir "$work/root" "$work/upper" "$work/inner"
if ! mount -t overlay overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/inner" "$work/root" 2>/dev/null; then
  cp -a "$base/." "$work/root"
fi
root="$work/root"

# version_of DEB VERSION: the same package under another version, its binary another one by its last bytes.
version_of() {
  dpkg-deb --raw-extract "$1" "$work/raw"
  printf 'version %s' "$2" >>"$work/raw/usr/bin/peregrine"
  sed -i "s/^Version: .*/Version: $2/" "$work/raw/DEBIAN/control"
  [ -z "${3:-}" ] || printf '%s\n' "$3" >>"$work/raw/etc/peregrine/peregrine.toml"
  rm -f "$work/raw/DEBIAN/md5sums"
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$work/raw" "$root/srv/$2.deb" >/dev/null
  rm -rf "$work/raw"
}

inside() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 "$@"; }
dpkg_inside() { inside dpkg --force-confold "$@" >"$work/dpkg.log" 2>&1 || { cat "$work/dpkg.log" >&2; fail "dpkg $*"; }; }
sum() { sha256sum <"$root/$1" | cut -d' ' -f1; }
files() { (cd "$root" && find . -xdev \( -path ./proc -o -path ./sys -o -path ./dev -o -path ./srv -o -path ./tmp -o -path ./run -o -path ./var/cache \
  -o -path ./var/lib/dpkg -o -path ./var/log \) -prune -o -print | sort); }

passed=0
# so WORDS COMMAND…: what holds is counted, what does not ends the run.
so() {
  local words=$1
  shift
  "$@" >"$work/said" 2>&1 || { cat "$work/said" >&2; fail "not so: $words"; }
  passed=$((passed + 1))
  say "  ok: $words"
}
no() { ! "$@"; }
contains() { grep -qF "$2" "$root/$1"; }

previous=usr/lib/peregrine/previous
for version in 0.0.1-1 0.0.2-1; do
  version_of "$deb" "$version"
done
version_of "$deb" 0.0.3-1 "# A later version says more here."
files >"$work/before"

say "installed where an image is made, without /proc"
dpkg_inside --install /srv/0.0.1-1.deb
so "the service is enabled for the first start" test -L "$root/etc/systemd/system/multi-user.target.wants/peregrine.service"
dpkg_inside --purge peregrine
mount -t proc proc "$root/proc"

say "installed"
dpkg_inside --install /srv/0.0.1-1.deb
so "the binary runs with nothing but what the package depends on" inside peregrine --version
so "it can be asked what this machine offers" inside sh -c 'peregrine probe >/dev/null'
so "the configuration that comes along is valid" inside peregrine check
so "the service's user is there" inside getent passwd peregrine
so "it may not log in" inside sh -c 'getent passwd peregrine | grep -q nologin$'
so "the folder of its state is its own" test "$(inside stat -c '%U:%G %a' /var/lib/peregrine)" = "peregrine:peregrine 700"
so "the folder of credentials is root's alone" test "$(inside stat -c '%U:%G %a' /etc/peregrine/credentials)" = "root:root 700"
so "the service is enabled" test -L "$root/etc/systemd/system/multi-user.target.wants/peregrine.service"
so "nothing is kept of a version before" no test -e "$root/$previous"
so "the unit's words are there to read" test -f "$root/usr/share/doc/peregrine/operations.md"
so "going back is refused where there is nothing to go back to" no inside /usr/lib/peregrine/rollback

say "upgraded, after an edit and with state"
first=$(sum usr/bin/peregrine)
echo "# edited here" >>"$root/etc/peregrine/peregrine.toml"
mkdir "$root/var/lib/peregrine/events"
echo kept >"$root/var/lib/peregrine/events/segment"
dpkg_inside --install /srv/0.0.2-1.deb
so "the binary of the version before is kept" test "$(sum $previous/peregrine)" = "$first"
so "it is said which version that is" contains $previous/version 0.0.1-1
so "it runs" inside /$previous/peregrine --version
so "the edit is kept" contains etc/peregrine/peregrine.toml "# edited here"
so "the state is kept" contains var/lib/peregrine/events/segment kept
so "nothing is left of the way there" no test -e "$root/$previous.new"

say "installed once more"
dpkg_inside --install /srv/0.0.2-1.deb
so "the version before is still the one before" test "$(sum $previous/peregrine)" = "$first"

say "gone back by the kept binary, then upgraded"
second=$(sum usr/bin/peregrine)
inside /usr/lib/peregrine/rollback
so "the service is set to run the kept binary" contains etc/systemd/system/peregrine.service.d/rollback.conf "ExecStart=/$previous/peregrine run"
inside dpkg-reconfigure --frontend=noninteractive peregrine
so "a configuration of the same version does not end that" test -e "$root/etc/systemd/system/peregrine.service.d/rollback.conf"
so "it says so" inside sh -c '/usr/lib/peregrine/rollback --status | grep -qx "set to run: previous"'
dpkg_inside --install /srv/0.0.2-1.deb
so "the same version installed once more is run" no test -e "$root/etc/systemd/system/peregrine.service.d"
so "the good binary is still the kept one" test "$(sum $previous/peregrine)" = "$first"
inside /usr/lib/peregrine/rollback
dpkg_inside --install /srv/0.0.3-1.deb
so "the good binary was not given up for the one that was no good" test "$(sum $previous/peregrine)" = "$first"
so "the new version is run" no test -e "$root/etc/systemd/system/peregrine.service.d"
so "the edit is kept where the package's own file changed" contains etc/peregrine/peregrine.toml "# edited here"
so "the package's own file lies beside it" contains etc/peregrine/peregrine.toml.dpkg-dist "A later version says more"

say "downgraded"
third=$(sum usr/bin/peregrine)
dpkg_inside --install /srv/0.0.2-1.deb
so "the binary is the older one" test "$(sum usr/bin/peregrine)" = "$second"
so "the newer one is kept" test "$(sum $previous/peregrine)" = "$third"
so "the state is kept" contains var/lib/peregrine/events/segment kept

say "removed"
dpkg_inside --remove peregrine
so "the binary is gone" no test -e "$root/usr/bin/peregrine"
so "so is the kept one" no test -e "$root/usr/lib/peregrine"
so "the state is kept" contains var/lib/peregrine/events/segment kept
so "the edit is kept" contains etc/peregrine/peregrine.toml "# edited here"

say "installed again, disabled by hand, upgraded"
dpkg_inside --install /srv/0.0.1-1.deb
so "the edit is in force" contains etc/peregrine/peregrine.toml "# edited here"
inside systemctl --quiet disable peregrine.service 2>/dev/null
dpkg_inside --install /srv/0.0.2-1.deb
so "who disabled the service finds it disabled" no test -e "$root/etc/systemd/system/multi-user.target.wants/peregrine.service"

say "purged"
touch "$root/etc/peregrine/peregrine.toml.previous" "$root/etc/peregrine/peregrine.toml.new"
dpkg_inside --purge peregrine
so "the state is gone" no test -e "$root/var/lib/peregrine"
so "the configuration is gone" no test -e "$root/etc/peregrine"
so "the user stays, so that its number goes to nobody else" inside getent passwd peregrine
files >"$work/after"
# The user itself, and what its making leaves.
left=$(comm -13 "$work/before" "$work/after" | grep -vE '^\./etc/(passwd|group|shadow|gshadow)-?$|^\./etc/\.pwd\.lock$|^\./root/\.cache' || true)
so "nothing else is left${left:+: $left}" test -z "$left"

say "purged with something of the owner's beside our files"
dpkg_inside --install /srv/0.0.1-1.deb
echo secret >"$root/etc/peregrine/credentials/mqtt-password"
dpkg_inside --purge peregrine
so "the owner's file stays" test -f "$root/etc/peregrine/credentials/mqtt-password"
say "$passed checks passed"
