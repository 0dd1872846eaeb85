#!/usr/bin/env bash
# Cuts the power and kills the writer many times, and looks after each whether everything that was said to be durable is there, the store
# opens by itself and goes on. The test itself stands in tests/store/losses.rs. Power cuts need root (loop devices).
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

if [ "${1:-}" = --help ]; then
  say "usage: power-cuts.sh [CUTS [KILLS]]   (300 and 100 if not said)"
  exit 0
fi
cd "$here/.."
PEREGRINE_POWER_CUTS=${1:-300} PEREGRINE_KILLS=${2:-100} \
  cargo test --test main store::losses -- --nocapture
