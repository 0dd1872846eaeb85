#!/usr/bin/env bash
# Peregrine's replay beside what people write in Python, over the same clip with the same model, in one interleaved run.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/compare-loops.sh --shared DIR [--clip FILE] [--rounds N] [--threads N] [--frames N] [--ultralytics] [--binary FILE]
                                [--json FILE]

DIR holds models/ (yolov8n_640.onnx and yolov8n_640_int8.onnx) and data/video/vtest.avi. Prints frames a second, processor time a frame and
memory of `peregrine replay` (int8, and float by tract), of a loop of OpenCV and ONNX Runtime, and with --ultralytics of Ultralytics' tracker
loop: medians of N (3) rounds. Python packages are installed into .cache/loops-venv and .cache/ultralytics-venv (torch: several gigabytes);
PEREGRINE_LOOPS_PYTHON and PEREGRINE_ULTRALYTICS_PYTHON name interpreters that have them already.

  --frames N   only the clip's first N frames (ffmpeg cuts it), to see that all of it works
TEXT
}

shared='' clip='' binary='' frames='' ultralytics=0 more=()
while [ $# -gt 0 ]; do
  case $1 in
    --shared) shared=$(realpath "${2:?--shared needs a folder}"); shift ;;
    --clip) clip=$(realpath "${2:?--clip needs a file}"); shift ;;
    --rounds | --threads | --json) more+=("$1" "${2:?$1 needs a value}"); shift ;;
    --frames) frames=${2:?--frames needs a number}; shift ;;
    --ultralytics) ultralytics=1 ;;
    --binary) binary=${2:?--binary needs a path}; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[ -n "$shared" ] || usage_error "--shared is missing"
[ -n "$clip" ] || clip="$shared/data/video/vtest.avi"

# venv NAME REQUIREMENTS: makes the environment where it is missing or old, and prints its interpreter.
venv() {
  local folder="$PWD/.cache/$1"
  if ! cmp -s "$here/loops/$2" "$folder/installed.txt"; then
    python3 -m venv "$folder"
    "$folder/bin/pip" install --quiet --disable-pip-version-check -r "$here/loops/$2" >&2
    cp "$here/loops/$2" "$folder/installed.txt"
  fi
  echo "$folder/bin/python"
}

python=${PEREGRINE_LOOPS_PYTHON:-$(venv loops-venv requirements.txt)}
if [ "$ultralytics" = 1 ]; then
  more+=(--ultralytics "${PEREGRINE_ULTRALYTICS_PYTHON:-$(venv ultralytics-venv requirements-ultralytics.txt)}")
fi
if [ -z "$binary" ]; then
  cargo build --release --locked --quiet
  binary=${CARGO_TARGET_DIR:-target}/release/peregrine
fi
[ -x "$binary" ] || fail "$binary: no such program"
if [ -n "$frames" ]; then
  cut=$(mktemp -d)
  trap 'rm -rf "$cut"' EXIT
  ffmpeg -v error -y -i "$clip" -frames:v "$frames" -c copy "$cut/cut.avi" </dev/null
  clip="$cut/cut.avi"
fi
"$python" "$here/loops/compare.py" --daemon "$binary" --python "$python" --clip "$clip" \
  --float-model "$shared/models/yolov8n_640.onnx" --int8-model "$shared/models/yolov8n_640_int8.onnx" "${more[@]}"
