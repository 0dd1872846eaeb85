#!/usr/bin/env bash
# People tracked in a recorded clip, from a bare Debian machine on: installs what is missing, gets a model and a clip, builds, starts an
# MQTT broker on a free loopback port, runs the daemon with the clip as its camera, and prints what arrives at an MQTT client.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/demo.sh [--once] [--seconds N] [--broker mqtt://HOST:PORT] [--profile release|dev] [--accept-licence]

  --once            end after the clip, with exit code 0 if people were tracked; without it the clip repeats until Ctrl-C
  --seconds N       end after N seconds, if the clip has not ended before
  --broker URL      use this broker; a private one is started on a free loopback port if none is named
  --profile P       how to build: release (default), or dev, which the tests have built already
  --accept-licence  do not ask before a model under the AGPL is fetched
TEXT
}

once=0 seconds=0 broker="" profile=release licence=()
while [ $# -gt 0 ]; do
  case $1 in
    --once) once=1 ;;
    --seconds) seconds=${2:?--seconds needs a number}; shift ;;
    --broker) broker=${2:?--broker needs a URL}; shift ;;
    --profile) profile=${2:?--profile needs a name}; shift ;;
    --accept-licence) licence=(--accept-licence) ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[[ $seconds =~ ^[0-9]+$ ]] || usage_error "--seconds takes whole seconds, not $seconds"
[[ $profile =~ ^(release|dev)$ ]] || usage_error "--profile is release or dev, not $profile"
host=127.0.0.1 port=""
if [ -n "$broker" ]; then
  [[ $broker =~ ^mqtt://([^/:@]+)(:([0-9]+))?$ ]] || usage_error "--broker takes mqtt://HOST:PORT, not $broker"
  host=${BASH_REMATCH[1]} port=${BASH_REMATCH[3]:-1883}
fi

need_packages "${PACKAGES_BUILD[@]}" "${PACKAGES_RUN[@]}" "${PACKAGES_DEMO[@]}"
# shellcheck disable=SC2119  # nothing beside cargo and rustc
need_rust
# Debian keeps the broker where only root's PATH looks.
PATH="$PATH:/usr/sbin"

# What lies in ../shared costs no download; the fetched model has the same head and classes.
models="$root/models-cache" clip=vtest.avi
if [ -f "$root/../shared/models/yolov8n_320_int8.onnx" ]; then
  model=yolov8n_320_int8
else
  model=yolov12n_640
fi
"$here/fetch-models.sh" --to "$models" "${licence[@]}" "$model" vtest

cd "$root"
say "building ($profile)"
cargo build --locked --quiet --profile "$profile" --bin peregrine
target=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
peregrine="$target/${profile/dev/debug}/peregrine"

work=$(mktemp -d)
pids=()
# The daemon first: its last messages still find the broker and the reader.
at_end() {
  local status=$? pid
  trap - EXIT
  for pid in "${daemon:-}" "${reader:-}" "${pids[@]}"; do
    [ -z "$pid" ] || kill "$pid" 2>/dev/null || true
    [ -z "$pid" ] || wait "$pid" 2>/dev/null || true
  done
  rm -rf "$work"
  exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

listens() { mosquitto_pub -h "$host" -p "$port" -t "$1" -m "?"; }

probe="peregrine-demo/$$"
if [ -z "$broker" ]; then
  port=$(free_port)
  printf 'listener %s 127.0.0.1\nallow_anonymous true\npersistence false\n' "$port" >"$work/mosquitto.conf"
  mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
  pids+=($!)
fi
wait_for 5 listens "$probe" || fail "no MQTT broker answers at $host:$port"

# A name of its own, so that two demonstrations on one broker do not mix.
device="demo-$$"
cat >"$work/peregrine.toml" <<TOML
[device]
name = "$device"
[paths]
models = "$models"
[mqtt]
broker = "mqtt://$host:$port"
[detect]
model = "$model"
classes = ["person"]
[track]
max_age_frames = 10
[camera.demo]
source = "$models/$clip"
repeat = $([ "$once" = 1 ] && echo false || echo true)
[api]
listen = "127.0.0.1:$(free_port)"
TOML

mkfifo "$work/messages"
mosquitto_sub -h "$host" -p "$port" -t "peregrine/$device/#" -t "$probe" -F '%t %p' >"$work/messages" &
pids+=($!)
python3 -u "$here/messages.py" --state "$work" <"$work/messages" &
reader=$!
# The daemon starts when the reader is known to hear what is said.
heard() { listens "$probe" && [ -e "$work/heard" ]; }
wait_for 5 heard || fail "nothing that is sent to $host:$port comes back"

say "peregrine on $clip with $model, messages from mqtt://$host:$port (Ctrl-C ends it)"
"$peregrine" run --config "$work/peregrine.toml" >"$work/peregrine.log" 2>&1 &
daemon=$!

daemon_fails() {
  tail -n 30 "$work/peregrine.log" >&2
  fail "$1; the daemon's last lines stand above"
}
gone() { ! kill -0 "$daemon" 2>/dev/null; }
begun=$SECONDS
until [ -e "$work/ended" ]; do
  ! gone || daemon_fails "peregrine ended by itself"
  [ "$seconds" = 0 ] || [ $((SECONDS - begun)) -lt "$seconds" ] || break
  sleep 0.2
done

kill -TERM "$daemon"
wait_for 10 gone || daemon_fails "peregrine did not stop within 10 s"
status=0
wait "$daemon" || status=$?
daemon=""
[ "$status" = 0 ] || daemon_fails "peregrine ended with exit code $status"
# The device's own farewell is the last message.
wait_for 5 test -e "$work/offline" || fail "the device never said that it went offline"
tracks=$(cat "$work/tracks" 2>/dev/null || echo 0)
say "tracks seen: $tracks"
[ "$tracks" -gt 0 ] || daemon_fails "nobody was tracked"
