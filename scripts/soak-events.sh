#!/usr/bin/env bash
# Proves that no event is lost: the real daemon on a clip whose frames code a script, a real mosquitto, outages and kill -9, and a
# verdict over every event that was due. docs/soak.md says what is checked. Needs mosquitto, gst-launch-1.0 and python3 with venv.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/soak-events.sh [--outages N] [--kills K] [--events M] [--cameras C] [--seed S] [--slack-ms MS]
                              [--profile release|dev] [--binary PATH] [--work DIR] [--json FILE] [--quiet]

  --outages N    outages of the broker: TERM, KILL, STOP, deaf, mute, session wiped, in turns (6)
  --kills K      kill -9 of the daemon (10)
  --events M     go on until so many events came (1000)
  --cameras C    cameras, each with some 10 events a second (4)
  --seed S       when what happens (1)
  --slack-ms MS  how much of what was seen just before it a kill may cost (3000)
  --profile P    how to build: release (default), or dev
  --binary PATH  test this program; nothing is built
  --work DIR     keep clip, configuration, logs and state there
  --json FILE    the report for machines
  --quiet        the verdict alone
  --self-test    the harness against itself: a daemon that stands in, with and without mistakes

The bars of the project: scripts/soak-events.sh --outages 60 --kills 100 --events 100000
TEXT
}

profile=release binary="" self_test=0 more=()
while [ $# -gt 0 ]; do
  case $1 in
    --outages | --kills | --events | --cameras | --seed | --slack-ms | --work | --json)
      more+=("$1" "${2:?$1 needs a value}")
      shift
      ;;
    --profile) profile=${2:?--profile needs a name}; shift ;;
    --binary) binary=${2:?--binary needs a path}; shift ;;
    --quiet) more+=(--quiet) ;;
    --self-test) self_test=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[[ $profile =~ ^(release|dev)$ ]] || usage_error "--profile is release or dev, not $profile"

need_packages "${PACKAGES_RUN[@]}" mosquitto gstreamer1.0-tools python3-venv
python=$("$here/soak/venv.sh")

if [ "$self_test" = 1 ]; then
  exec "$python" "$here/soak/self_test.py"
fi
if [ -z "$binary" ]; then
  # shellcheck disable=SC2119  # nothing beside cargo and rustc
  need_rust
  cd "$root"
  say "building ($profile)"
  cargo build --locked --quiet --profile "$profile" --bin peregrine
  target=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
  binary="$target/${profile/dev/debug}/peregrine"
  cd - >/dev/null
fi
exec "$python" "$here/soak/run.py" --daemon "$binary" "${more[@]}"
