#!/usr/bin/env bash
# Many RTSP cameras on the real daemon with a real broker: fair shares, latency, gaps, memory over time, processor time by stage.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/measure-cameras.sh --model MODEL [--cameras N] [--minutes M] [--size WxH] [--fps F] [--engine E] [--threads N]
                                  [--clip FILE] [--faults] [--dead N] [--config-more FILE] [--binary FILE] [--json FILE] [--work DIR]

Builds the release (or takes --binary), starts N (16) RTSP cameras of WxH (640x360) at F (10) frames a second on loopback, a mosquitto and the
daemon, and watches them for M (20) minutes once all stream. The cameras send --clip, encoded once, or a moving test picture.

  --faults             meanwhile one camera stalls, one floods, one changes its picture's size and one dies and comes back, each for 10 s
  --dead N             N cameras more that are not there: they refuse, stay silent or swallow every packet
  --config-more FILE   more sections for the daemon's configuration
  --json FILE          the report for machines
  --work DIR           keep configuration and logs there
TEXT
}

binary='' more=()
while [ $# -gt 0 ]; do
  case $1 in
    --model | --clip) more+=("$1" "$(if [ -e "${2:?$1 needs a value}" ]; then realpath "$2"; else printf '%s' "$2"; fi)"); shift ;;
    --cameras | --minutes | --size | --fps | --engine | --threads | --dead | --config-more | --json | --work)
      more+=("$1" "${2:?$1 needs a value}")
      shift
      ;;
    --faults) more+=(--faults) ;;
    --binary) binary=${2:?--binary needs a path}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[[ " ${more[*]} " == *" --model "* ]] || usage_error "--model is missing"
need_packages "${PACKAGES_RUN[@]}" mosquitto mosquitto-clients gstreamer1.0-plugins-ugly gir1.2-gst-rtsp-server-1.0 \
  gir1.2-gst-plugins-base-1.0 python3-gi
if [ -z "$binary" ]; then
  cargo build --release --locked --quiet
  binary=${CARGO_TARGET_DIR:-target}/release/peregrine
fi
[ -x "$binary" ] || fail "$binary: no such program"
exec /usr/bin/python3 "$here/cameras/measure.py" --daemon "$binary" "${more[@]}"
