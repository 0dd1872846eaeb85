#!/usr/bin/env bash
# What [attend] saves and what it costs: the whole pipeline over recorded clips with several settings, scored against every frame looked at.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/measure-attention.sh --shared DIR [--binary FILE] [--model NAME] [--engine E] [--out DIR]

DIR holds models/, data/ and tools/. Plays vtest.avi and the two other clips of DIR/data/video, and a still scene made of one frame with a
sensor's noise (and one without), and prints one line a run: frames inferred, MOTA and IDF1 (vtest: against its labels; the others: against
the tracks of the run that looks at every frame), and the crossings of each line.
PEREGRINE_PYTHON names a Python with the packages of tests/requirements.txt.
TEXT
}

shared='' binary=target/release/peregrine model=yolov8n_640_int8 engine=int8 out=''
while [ $# -gt 0 ]; do
  case $1 in
    --shared) shared=$(realpath "$2"); shift ;;
    --binary) binary=$2; shift ;;
    --model) model=$2; shift ;;
    --engine) engine=$2; shift ;;
    --out) out=$2; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[ -n "$shared" ] || usage_error "--shared is missing"
[ -x "$binary" ] || fail "$binary: no such program; cargo build --release"
python=${PEREGRINE_PYTHON:-python3}
[ -n "$out" ] || out=$(mktemp -d)
mkdir -p "$out"

# lines CLIP: those of tests/data/vtest-lines.md; in the others a grid, since nobody has counted there.
lines() {
  if [ "$1" = vtest ]; then
    printf '[camera.clip.line.%s]\npoints = %s\ndirections = ["there", "back"]\n' \
      west '[[0.25, 0.28], [0.25, 0.62]]' road '[[0.86, 0.20], [0.86, 0.42]]' \
      lawn '[[0.0, 0.53], [0.30, 0.58], [0.50, 0.72], [0.68, 0.86]]'
  else
    printf '[camera.clip.line.%s]\npoints = %s\ndirections = ["there", "back"]\n' \
      x25 '[[0.25, 0.0], [0.25, 1.0]]' x50 '[[0.5, 0.0], [0.5, 1.0]]' x75 '[[0.75, 0.0], [0.75, 1.0]]' \
      y50 '[[0.0, 0.5], [1.0, 0.5]]' y75 '[[0.0, 0.75], [1.0, 0.75]]'
  fi
}

# play CLIP FILE CLASSES NAME ATTEND...: one run, one line.
play() {
  local clip=$1 file=$2 classes=$3 name=$4
  shift 4
  local run="$out/$clip-$name"
  {
    printf '[detect]\nmodel = "%s"\nengine = "%s"\nconfidence = 0.4\nclasses = [%s]\n' \
      "$shared/models/$model.onnx" "$engine" "$classes"
    printf '[ingest]\nstall_ms = 60000\n[track]\nmax_age_frames = 10\n[attend]\n'
    printf '%s\n' "$@"
    printf '[camera.clip]\nsource = "test:"\n'
    lines "$clip"
  } >"$run.toml"
  "$binary" replay "$file" --config "$run.toml" --camera clip --mot "$run.mot" --out "$run.jsonl" 2>"$run.log" ||
    { cat "$run.log" >&2; fail "$clip $name"; }
  local truth="$out/$clip-every.truth" inferred scores crossed
  if [ "$clip" = vtest ]; then
    truth="$shared/data/mot/PETS09-S2L1/gt.txt"
  elif [ "$name" = every ]; then
    # As labels: confidence 1.
    awk -F, -v OFS=, '{ $7 = 1; print }' "$run.mot" >"$truth"
  fi
  inferred=$(grep -o 'frames: .*' "$run.log" || echo 'frames: all inferred')
  scores='no tracks'
  if [ -s "$truth" ] && [ -s "$run.mot" ]; then
    scores=$("$python" -W ignore "$shared/tools/eval_mot.py" "clip=$truth,$run.mot" | tail -n 1)
  fi
  crossed=$(grep -o '"event":"crossed".*' "$run.jsonl" |
    sed -E 's/.*"line":"([^"]*)".*"direction":"([^"]*)".*/\1 \2/' | sort | uniq -c | tr -s ' \n' ' ' || true)
  printf '%s | %s | %s | %s | %s\n' "$clip" "$name" "$inferred" "$scores" "$crossed"
}

# settings CLIP FILE CLASSES: every setting over one clip.
settings() {
  play "$@" every 'enabled = false'
  local n
  for n in 2 3 4 6; do
    play "$@" "$n" 'enabled = true' "interval = $n" "max_interval = $n"
  done
  play "$@" adaptive 'enabled = true'
  play "$@" adaptive-gate 'enabled = true' 'motion_gate = true'
  play "$@" 3-gate 'enabled = true' 'interval = 3' 'max_interval = 3' 'motion_gate = true'
}

video="$shared/data/video"
settings vtest "$video/vtest.avi" '"person"'
# One frame for a minute: with a grain that is new in every frame, as sensors have it, and coded without loss; and the same bits again.
still() { ffmpeg -v error -y -i "$video/vtest.avi" -frames:v 1 "$out/frame.png" </dev/null &&
  ffmpeg -v error -y -loop 1 -framerate 10 -i "$out/frame.png" -t 60 -vf "${1}format=yuv420p" -c:v libx264 -qp "$2" "$3" </dev/null; }
still 'noise=alls=12:allf=t,' 10 "$out/noisy.mp4"
still '' 0 "$out/same.mp4"
for clip in noisy same; do
  play "$clip" "$out/$clip.mp4" '"person"' every 'enabled = false'
  play "$clip" "$out/$clip.mp4" '"person"' adaptive 'enabled = true'
  play "$clip" "$out/$clip.mp4" '"person"' adaptive-gate 'enabled = true' 'motion_gate = true'
done
settings car "$video/intel_car-detection.mp4" ''
settings person "$video/intel_one-by-one-person-detection.mp4" '"person"'
