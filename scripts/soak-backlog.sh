#!/usr/bin/env bash
# Measures how fast a long backlog drains, and how late alerts of the moment are meanwhile: fills a store as an outage of the broker would,
# then lets the real daemon bring it to a real mosquitto. docs/soak.md has the figures. Needs mosquitto, gst-launch-1.0, python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/soak-backlog.sh [--events N] [--profile release|dev] [--binary PATH] [--filler PATH]

  --events N     events that wait when the broker comes (518400: 72 hours at 2 a second)
  --profile P    how to build: release (default), or dev
  --binary PATH  measure this program; it is not built
  --filler PATH  fill the store with this build of tests/benches/store.rs; it is not built
TEXT
}

events=518400 profile=release binary="" filler=""
while [ $# -gt 0 ]; do
  case $1 in
    --events) events=${2:?--events needs a number}; shift ;;
    --profile) profile=${2:?--profile needs a name}; shift ;;
    --binary) binary=${2:?--binary needs a path}; shift ;;
    --filler) filler=${2:?--filler needs a path}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[[ $profile =~ ^(release|dev)$ ]] || usage_error "--profile is release or dev, not $profile"

need_packages "${PACKAGES_RUN[@]}" mosquitto mosquitto-clients gstreamer1.0-tools python3-venv
python=$("$here/soak/venv.sh")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$root"
if [ -z "$binary" ] || [ -z "$filler" ]; then
  # shellcheck disable=SC2119  # nothing beside cargo and rustc
  need_rust
fi
if [ -z "$binary" ]; then
  say "building ($profile)"
  cargo build --locked --quiet --profile "$profile" --bin peregrine
  target=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  binary="$target/${profile/dev/debug}/peregrine"
fi
if [ -n "$filler" ]; then
  "$filler" "$events" "$work/state/events"
else
  cargo bench --locked --quiet --profile "$profile" --bench store -- "$events" "$work/state/events"
fi
"$python" "$here/soak/backlog.py" --daemon "$binary" --work "$work"
