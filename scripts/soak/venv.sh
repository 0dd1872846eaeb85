#!/usr/bin/env bash
# Makes the soak's Python environment where it is missing or old, and prints its interpreter's path.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv="$here/../../.cache/soak-venv"
if ! cmp -s "$here/requirements.txt" "$venv/installed.txt"; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$venv/installed.txt"
fi
echo "$venv/bin/python"
