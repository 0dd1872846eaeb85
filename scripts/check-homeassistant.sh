#!/usr/bin/env bash
# Holds what we announce to Home Assistant's own schemas and templates: tests/homeassistant.rs with Home Assistant at hand. Not a part of
# test.sh: the packages take some 600 MB, and a Python that Debian 12 does not have.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/check-homeassistant.sh

Installs tests/requirements-ha.txt into .venv-ha (604 MB) and runs the tests that need it.

  PYTHON313             the Python to make the folder with, 3.13 or newer; python3.13 if not set
  PEREGRINE_HA_PYTHON   a Python that has the packages already; nothing is installed then
TEXT
}

case ${1:-} in
  "") ;;
  -h | --help) usage; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

venv() {
  local python=${PYTHON313:-python3.13} want
  command -v "$python" >/dev/null || fail "$python is missing: Home Assistant needs Python 3.13; PYTHON313 names one"
  "$python" -c 'import sys; sys.exit(sys.version_info < (3, 13))' || fail "$python is older than 3.13"
  want=$(sha256sum <tests/requirements-ha.txt)
  if [ "$(cat .venv-ha/requirements.sha256 2>/dev/null)" != "$want" ]; then
    rm -rf .venv-ha
    "$python" -m venv .venv-ha
    .venv-ha/bin/pip install --quiet --disable-pip-version-check -r tests/requirements-ha.txt
    printf '%s\n' "$want" >.venv-ha/requirements.sha256
  fi
  PEREGRINE_HA_PYTHON="$PWD/.venv-ha/bin/python"
}

need_rust
[ -n "${PEREGRINE_HA_PYTHON:-}" ] || venv
export PEREGRINE_HA_PYTHON
cargo test --locked --test main -- homeassistant::
