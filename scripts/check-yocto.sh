#!/usr/bin/env bash
# The Yocto layer as far as it can be checked without other layers: oelint, bitbake's own parser over every recipe for every board, crates
# and their licences against Cargo.lock, kas' own reader over every kas file. What needs the layers themselves is a check by hand:
# docs/yocto.md.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
cd "$here/.."

usage() {
  cat <<'TEXT'
Usage: scripts/check-yocto.sh

Installs yocto/requirements.txt into a folder of its own (60 MB) and checks yocto/meta-peregrine and yocto/kas. Nothing is built.

  PEREGRINE_YOCTO_VENV   that folder; ~/.cache/peregrine/yocto-venv if not set
TEXT
}

case ${1:-} in
  "") ;;
  -h | --help) usage; exit 0 ;;
  *) usage_error "unknown argument $1" ;;
esac

layer=yocto/meta-peregrine
venv=${PEREGRINE_YOCTO_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/yocto-venv}

make_venv() {
  local want
  want=$(sha256sum <yocto/requirements.txt)
  [ "$(cat "$venv/requirements.sha256" 2>/dev/null)" != "$want" ] || return 0
  rm -rf "$venv"
  /usr/bin/python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check -r yocto/requirements.txt
  printf '%s\n' "$want" >"$venv/requirements.sha256"
}

# There is no home page to name yet, and none is asked whether it answers.
lint() {
  find "$layer" -name '*.bb' -o -name '*.bbappend' -o -name '*.conf' -o -name '*.inc' | sort | xargs "$venv/bin/oelint-adv" --quiet --relpaths \
    --release wrynose --hide info --suppress oelint.vars.homepageping --suppress oelint.var.mandatoryvar.HOMEPAGE \
    --constantmods +yocto/oelint-constants.json --
}

# refuses EDIT: the daemon's recipe, spoilt by that edit, is not accepted.
refuses() {
  local folder recipe
  folder=$(mktemp -d)
  cp "$layer"/recipes-peregrine/peregrine/* "$folder"
  recipe=$(find "$folder" -name 'peregrine_*.bb')
  sed -i "$1" "$folder"/*
  "$venv/bin/python" scripts/yocto_recipes.py --refuses "$recipe" || fail "a recipe that was spoilt by $1 was accepted"
  rm -rf "$folder"
}

recipes() {
  "$venv/bin/python" scripts/yocto_recipes.py
  refuses 's/^inherit bash-completion/inherit no-such-class bash-completion/'
  refuses '/^do_compile:prepend/,/^}/s/^}//'
  refuses 's/md5=cbbc/md5=0000/'
  refuses 's/peregrine\.sysusers\.conf/no-such-file.conf/'
}

need_packages python3 python3-venv git
need_rust
make_venv
"$venv/bin/python" scripts/yocto_crates.py --check
"$venv/bin/python" scripts/yocto_licences.py
lint
recipes
"$venv/bin/python" scripts/yocto_kas.py
