#!/usr/bin/env bash
# Capture-to-publish latency, resident memory and time to the first detection of the real daemon with one RTSP camera and a real broker.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/measure-latency.sh --model MODEL [--size WxH] [--seconds S] [--engine E] [--threads N]

Builds the release, starts a gst-rtsp-server with a moving test picture, a mosquitto and the daemon on loopback, lets them run for S seconds
(30 if not given) and prints one JSON line.
TEXT
}

model='' size=1920x1080 seconds=30 engine=auto threads=1
while [ $# -gt 0 ]; do
  case $1 in
    --model) model=$2; shift ;;
    --size) size=$2; shift ;;
    --seconds) seconds=$2; shift ;;
    --engine) engine=$2; shift ;;
    --threads) threads=$2; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[ -n "$model" ] || usage_error "--model is missing"
[ ! -e "$model" ] || model=$(realpath "$model")

cargo build --release --quiet
work=$(mktemp -d)
pids=()
at_end() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap at_end EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
broker=$(free_port) api=$(free_port)
printf 'listener %s 127.0.0.1\nallow_anonymous true\n' "$broker" >"$work/mosquitto.conf"
PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1 &
pids+=($!)
mkfifo "$work/rtsp.in"
/usr/bin/python3 tests/data/rtsp_server.py --size "$size" <"$work/rtsp.in" >"$work/rtsp.out" &
pids+=($!)
exec 9>"$work/rtsp.in"
until [ -s "$work/rtsp.out" ]; do sleep 0.1; done
rtsp=$(head -n 1 "$work/rtsp.out")
cat >"$work/peregrine.toml" <<TOML
[device]
name = "measure"
[mqtt]
broker = "mqtt://127.0.0.1:$broker"
[api]
listen = "127.0.0.1:$api"
[detect]
model = "$model"
engine = "$engine"
threads = $threads
[camera.cam]
source = "rtsp://127.0.0.1:$rtsp/cam"
TOML
stdbuf -oL mosquitto_sub -h 127.0.0.1 -p "$broker" -t 'peregrine/+/camera/+/detections' -C 1 -F '%U' >"$work/first" &
first=$!
begun=$(date +%s.%N)
target/release/peregrine run --config "$work/peregrine.toml" >"$work/daemon.log" 2>&1 &
pids+=($!)
wait "$first" || fail "no detections came; the daemon said: $(tail -n 5 "$work/daemon.log")"
sleep "$seconds"
python3 - "$api" "$begun" "$(cat "$work/first")" "$size" <<'PY'
import json, sys, urllib.request
api, begun, first, size = sys.argv[1:]
stats = json.load(urllib.request.urlopen(f"http://127.0.0.1:{api}/stats"))
print(json.dumps({"size": size, "first_detection_s": round(float(first) - float(begun), 2), "stats": stats}))
PY
