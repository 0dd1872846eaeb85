#!/usr/bin/env bash
# Cuts the power and kills the writer many times, and looks after each whether everything that was said to be durable is there, the store
# opens by itself and goes on. The test itself stands in tests/store/losses.rs. Power cuts need root (loop devices).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

usage() {
  echo "Usage: scripts/power-cuts.sh [CUTS [KILLS]]   (300 and 100 if not said)"
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
for number in "$@"; do
  [[ $number =~ ^[0-9]+$ ]] || usage_error "$number is no number of cuts or kills"
done
[ $# -le 2 ] || usage_error "two numbers at most"
cd "$here/.."
PEREGRINE_POWER_CUTS=${1:-300} PEREGRINE_KILLS=${2:-100} \
  cargo test --test main store::losses -- --nocapture
