#!/usr/bin/env bash
# What there is on the device: facts, the installed package, models, the configuration as the program reads it. A part of device.sh.
# shellcheck disable=SC2153,SC2154  # device.sh sets CONFIG; apply and models_there set `own`, the folder that is theirs alone

# facts PACKAGE…: KEY=VALUE a line; the packages are those that the daemon needs or wants beside what its own package asks for.
facts() {
  printf 'arch=%s\n' "$(dpkg --print-architecture 2>/dev/null || uname -m)"
  printf 'os=%s\n' "$(. /etc/os-release && echo "${PRETTY_NAME:-unknown}")"
  printf 'dpkg=%s\n' "$(command -v dpkg >/dev/null && echo yes || echo no)"
  printf 'systemd=%s\n' "$([ -d /run/systemd/system ] && echo yes || echo no)"
  printf 'free_mb=%s\n' "$(free_mb /usr /etc /var/tmp)"
  printf 'missing=%s\n' "$(missing "$@" | paste -sd' ')"
  printf 'version=%s\n' "$(package_field Version)"
  printf 'contents=%s\n' "$(contents)"
  printf 'config=%s\n' "$(sum "$CONFIG")"
}

# free_mb FOLDER…: the least that is free on their disks.
free_mb() { df --output=avail -B1M "$@" | tail -n +2 | sort -n | awk 'NR == 1 { print $1 }'; }

package_field() { dpkg-query --show --showformat="\${$1}" peregrine 2>/dev/null || true; }

missing() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# service_program: what the service is set to run.
service_program() { if [ -e "$ROLLED_BACK" ]; then echo "$PREVIOUS"; else echo "$BINARY"; fi; }

# contents: what the installed package consists of; nothing where a file of it is not as it came, or where the version before runs in its
# place: then it has to be installed again.
contents() {
  [ "$(package_field db:Status-Status)" = installed ] && [ ! -e "$ROLLED_BACK" ] || return 0
  # Devices leave documentation out; dpkg calls that missing.
  [ -z "$(dpkg --verify peregrine 2>/dev/null | awk '$2 != "c" && $NF !~ "^/usr/share/(doc|man|locale|lintian)/"')" ] || return 0
  grep -v '  etc/' /var/lib/dpkg/info/peregrine.md5sums | LC_ALL=C sort | sha256sum | cut -d' ' -f1
}

# ---- the configuration ----

# program_to_be and config_to_be STAGED: what runs, with which configuration, once all that was staged is in place.
program_to_be() { if [ -x "$own/tree$BINARY" ]; then echo "$own/tree$BINARY"; else service_program; fi; }
config_to_be() {
  local file
  for file in "$1/peregrine.toml" "$CONFIG" "$own/tree$CONFIG"; do
    [ ! -f "$file" ] || { echo "$file"; return 0; }
  done
}

# normal_form PROGRAM FILE: the configuration as the program that is to run it reads it, every key in its place; nothing where it refuses it.
normal_form() { "$1" check --print --config "$2" 2>/dev/null; }

# only_paths FILE: what it says about paths, in whatever way TOML knows, and nothing else.
only_paths() {
  awk '
    /^[[:space:]]*\[/ { header = $0; sub(/#.*/, "", header); gsub(/[][[:space:]\042\047]/, "", header); below = 1; inside = (header == "paths") }
    inside || (!below && /^[[:space:]]*["\047]?paths["\047]?[[:space:]]*[.=]/)' "$1"
}

# key SECTION KEY: a word of the normal form on standard input, without its quotes; nothing where it is left out.
key() {
  awk -v section="[$1]" -v key="$2" '
    /^\[/ { inside = ($0 == section); next }
    inside && !found && index($0, key " = ") == 1 {
      sub(/^[^=]*= /, "")
      if (/^["\047]/) { quote = substr($0, 1, 1); $0 = substr($0, 2); sub(quote ".*", "") }
      print
      found = 1
    }'
}

# ---- models ----

# models_folder STAGED: where the configuration that is to be keeps its models.
models_folder() {
  local config program folder=""
  config=$(config_to_be "$1") program=$(program_to_be)
  if [ -n "$config" ]; then
    # Models that are not there yet may be all that is wrong with it. check has the last word on the folder.
    only_paths "$config" >"$own/paths.toml"
    folder=$({ normal_form "$program" "$config" || normal_form "$program" "$own/paths.toml"; } | key paths models)
  fi
  folder=${folder:-/usr/share/peregrine/models}
  [[ $folder == /* ]] || fail "[paths] models is to be a whole path, not $folder"
  printf '%s\n' "$folder"
}

# models_there STAGED NAME…: what is free for them in MB, then those that are there already, "SHA256 NAME" a line.
models_there() {
  local staged=$1 folder there name
  shift
  own=$(mktemp -d /var/tmp/peregrine-look.XXXXXX)
  # shellcheck disable=SC2064  # now, while it is known
  trap "rm -rf '$own'" EXIT
  unpack "$staged"
  folder=$(models_folder "$staged")
  there=$folder
  until [ -d "$there" ]; do there=$(dirname "$there"); done
  free_mb "$there" /var/tmp
  for name in "$@"; do
    [ ! -f "$folder/$name" ] || printf '%s %s\n' "$(sum "$folder/$name")" "$name"
  done
}

# unpack STAGED: the new package in a folder, so that its program can be asked before anything is installed.
unpack() { [ ! -f "$1/peregrine.deb" ] || dpkg-deb --extract "$1/peregrine.deb" "$own/tree" || fail "the package cannot be unpacked here"; }
