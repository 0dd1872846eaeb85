#!/usr/bin/env bash
# The device's side of deploy.sh: sent over ssh and run by root's bash, so that nothing has to be installed before. device.sh WHAT ARGUMENTS.
# It needs bash, coreutils, awk, dpkg and systemd. What is said goes to standard error, what deploy.sh reads to standard output.
# Exit codes: 0 done; 1 not done, all as it was; 3 went wrong and was rolled back; 4 went wrong, and there was nothing to go back to;
# 78 the configuration is refused, all as it was.
set -euo pipefail

BINARY=/usr/bin/peregrine
# The package keeps the binary of the version before, and brings a program by which the service runs that one.
PREVIOUS=/usr/lib/peregrine/previous/peregrine
ROLLBACK=/usr/lib/peregrine/rollback
ROLLED_BACK=/etc/systemd/system/peregrine.service.d/rollback.conf
CONFIG=/etc/peregrine/peregrine.toml
KEPT_CONFIG=$CONFIG.previous
LOCK=/run/peregrine-deploy.lock

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}
sum() { sha256sum -- "$1" 2>/dev/null | cut -d' ' -f1; }
only_one() {
  exec 9>"$LOCK"
  flock --nonblock 9 || fail "somebody else deploys to this device just now"
}

# ---- what there is ----

# facts PACKAGE…: KEY=VALUE a line; the packages are those that the daemon needs beside what its own package asks for.
facts() {
  printf 'arch=%s\n' "$(dpkg --print-architecture 2>/dev/null || uname -m)"
  printf 'os=%s\n' "$(. /etc/os-release && echo "${PRETTY_NAME:-unknown}")"
  printf 'dpkg=%s\n' "$(command -v dpkg >/dev/null && echo yes || echo no)"
  printf 'systemd=%s\n' "$([ -d /run/systemd/system ] && echo yes || echo no)"
  printf 'free_mb=%s\n' "$(df --output=avail -B1M /usr /etc /var/tmp | tail -n +2 | sort -n | head -n 1 | tr -d ' ')"
  printf 'missing=%s\n' "$(missing "$@" | paste -sd' ')"
  printf 'version=%s\n' "$(package_field Version)"
  printf 'contents=%s\n' "$(contents)"
  printf 'config=%s\n' "$(sum "$CONFIG")"
}

package_field() { dpkg-query --show --showformat="\${$1}" peregrine 2>/dev/null || true; }

missing() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
  done
}

# program: what the service is set to run.
program() { if [ -e "$ROLLED_BACK" ]; then echo "$PREVIOUS"; else echo "$BINARY"; fi; }

# contents: what the installed package consists of; nothing where a file of it is not as it came, or where the version before runs in its
# place: then it has to be installed again.
contents() {
  [ "$(package_field db:Status-Status)" = installed ] && [ ! -e "$ROLLED_BACK" ] || return 0
  # Devices leave documentation out; dpkg calls that missing.
  [ -z "$(dpkg --verify peregrine 2>/dev/null | awk '$2 != "c" && $NF !~ "^/usr/share/(doc|man|locale|lintian)/"')" ] || return 0
  grep -v '  etc/' /var/lib/dpkg/info/peregrine.md5sums | LC_ALL=C sort | sha256sum | cut -d' ' -f1
}

# models_sums FOLDER NAME…: the models that are there, "SHA256 NAME" a line.
models_sums() {
  local folder=$1 name
  shift
  for name in "$@"; do
    [ ! -f "$folder/$name" ] || printf '%s %s\n' "$(sum "$folder/$name")" "$name"
  done
}

# key FILE SECTION KEY: a word of a TOML file without its quotes; nothing where it is left out.
key() {
  awk -v section="[$2]" -v key="$3" '
    /^[[:space:]]*\[/ { sub(/[[:space:]]*(#.*)?$/, ""); sub(/^[[:space:]]*/, ""); inside = ($0 == section); next }
    inside && $0 ~ "^[[:space:]]*" key "[[:space:]]*=" {
      sub(/^[^=]*=[[:space:]]*/, "")
      if (sub(/^"/, "")) sub(/".*/, ""); else sub(/[[:space:]]*(#.*)?$/, "")
      print; exit
    }' "$1" 2>/dev/null || true
}

models_folder() {
  local folder
  folder=$(key "$1" paths models)
  printf '%s\n' "${folder:-/usr/share/peregrine/models}"
}

install_packages() {
  local log
  log=$(mktemp)
  say "  installing: $*"
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1; then
    tail -n 8 "$log" | sed 's/^/  | /' >&2
    rm -f "$log"
    fail "apt could not install $*"
  fi
  rm -f "$log"
}

# ---- whether it runs ----

property() { systemctl show --property="$1" --value peregrine; }

# ask PATH: what the daemon answers over HTTP, without a program for that.
ask() {
  local listen host port
  listen=$(key "$CONFIG" api listen)
  listen=${listen:-127.0.0.1:8420}
  port=${listen##*:} host=${listen%:*}
  host=${host#[} host=${host%]}
  case $host in 0.0.0.0 | ::) host=127.0.0.1 ;; esac
  (
    exec 3<>"/dev/tcp/$host/$port" || exit 1
    printf 'GET %s HTTP/1.0\r\nHost: device\r\n\r\n' "$1" >&3
    cat <&3
  ) 2>/dev/null
}
answers_well() { ask /healthz | head -n 1 | grep -q ' 200 '; }

# frames: the first frame of a camera is there, or there is no camera to wait for.
has_frames() {
  ask /metrics | awk '/^peregrine_camera_frames_total/ { cameras++; frames += $NF } /^peregrine_build_info/ { seen = 1 }
    END { exit !(seen && (!cameras || frames > 0)) }'
}

# is_healthy SECONDS WITH_FRAMES: until the service is ready, answers and has frames; why not is said.
is_healthy() {
  local until=$((SECONDS + $1)) restarts
  restarts=$(property NRestarts)
  while :; do
    if [ "$(property ActiveState)" = failed ] || [ "$(property NRestarts)" != "$restarts" ]; then
      say "the service failed: $(property Result), exit status $(property ExecMainStatus)"
      return 1
    fi
    if [ "$(property ActiveState)" = active ]; then
      [ "$(key "$CONFIG" api enabled)" != false ] || { say "ready; [api] is off, so nobody can ask about frames"; return 0; }
      ! answers_well || [ "$2" = no ] || ! has_frames || return 0
      ! answers_well || [ "$2" = yes ] || return 0
    fi
    [ "$SECONDS" -lt "$until" ] || break
    sleep 0.5
  done
  if [ "$(property ActiveState)" = active ] && answers_well; then
    say "the service runs, but no camera gave a frame within $1 s"
  else
    say "the service was not healthy within $1 s: $(property ActiveState)"
  fi
  return 1
}

last_words() { journalctl --unit=peregrine --lines=8 --output=cat --no-pager 2>/dev/null | sed 's/^/  | /' >&2 || true; }

restart() {
  systemctl daemon-reload
  systemctl reset-failed peregrine 2>/dev/null || true
  systemctl restart peregrine 2>/dev/null || true
}

# ---- change ----

# put FROM TO: in one step, with the mode that TO had.
put() {
  cp -- "$1" "$2.new"
  if [ -e "$2" ]; then
    chmod --reference="$2" "$2.new"
    chown --reference="$2" "$2.new"
  fi
  mv -f -- "$2.new" "$2"
}

# Readable by the service and by root alone: it may hold passwords.
put_config() {
  install -d -m 755 "$(dirname "$CONFIG")" &&
    install -m 640 -o root -g peregrine "$1" "$CONFIG.new" && mv -f "$CONFIG.new" "$CONFIG"
}

# place_models STAGING FOLDER: what is replaced is kept in STAGING until all went well.
place_models() {
  local staging=$1 folder=$2 file name
  [ -d "$staging/models" ] || return 0
  mkdir -p "$folder" "$staging/replaced"
  for file in "$staging"/models/*; do
    name=$(basename "$file")
    [ ! -e "$folder/$name" ] || cp -p "$folder/$name" "$staging/replaced/$name"
    [ -e "$folder/$name" ] || echo "$name" >>"$staging/added"
    chmod 644 "$file"
    cp -- "$file" "$folder/$name.new"
    mv -f "$folder/$name.new" "$folder/$name"
  done
}

restore_models() {
  local staging=$1 folder=$2 name
  [ -d "$staging/replaced" ] || return 0
  find "$staging/replaced" -type f -exec cp -p {} "$folder/" \;
  [ ! -f "$staging/added" ] || while read -r name; do rm -f "${folder:?}/$name"; done <"$staging/added"
}

# prepare STAGING: the new package unpacked, so that its program can be asked before anything is installed.
prepare() {
  local staging=$1
  [ -f "$staging/peregrine.deb" ] || return 0
  apt-get install --simulate --allow-downgrades --reinstall -qq --no-install-recommends "$staging/peregrine.deb" >"$staging/simulated" 2>&1 || {
    sed 's/^/  | /' "$staging/simulated" >&2
    fail "the package cannot be installed here"
  }
  dpkg-deb --extract "$staging/peregrine.deb" "$staging/tree"
  "$staging/tree$BINARY" --version >"$staging/version" 2>&1 || {
    sed 's/^/  | /' "$staging/version" >&2
    fail "the package's program does not run here"
  }
}

# check STAGING: the configuration that is to be, by the program that is to run it.
check() {
  local staging=$1 program config=$CONFIG
  program=$(program)
  [ ! -x "$staging/tree$BINARY" ] || program=$staging/tree$BINARY
  [ ! -f "$staging/peregrine.toml" ] || config=$staging/peregrine.toml
  [ -f "$config" ] || return 0
  "$program" check --config "$config" >"$staging/checked" 2>&1 && return 0
  sed 's/^/  | /' "$staging/checked" >&2
  return 78
}

install_package() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends --allow-downgrades --reinstall \
    -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef "$1/peregrine.deb" >"$1/installed" 2>&1 || {
    tail -n 8 "$1/installed" | sed 's/^/  | /' >&2
    return 1
  }
}

# apply STAGING SECONDS WITH_FRAMES: checks, then installs what was staged, starts, waits, and goes back where that fails.
apply() {
  local staging=$1 wait_secs=$2 with_frames=$3 folder config=$CONFIG pid
  only_one
  [ ! -f "$staging/peregrine.toml" ] || config=$staging/peregrine.toml
  folder=$(models_folder "$config")
  prepare "$staging"
  place_models "$staging" "$folder"
  check "$staging" || {
    restore_models "$staging" "$folder"
    say "the configuration is refused; nothing was changed"
    exit 78
  }
  pid=$(property MainPID)
  mkdir -p "$staging/old"
  [ ! -f "$CONFIG" ] || cp -p "$CONFIG" "$staging/old/peregrine.toml"
  [ ! -x "$(program)" ] || sum "$(program)" >"$staging/old/binary"
  if change "$staging" && start_anew "$staging" "$pid" && is_healthy "$wait_secs" "$with_frames"; then
    [ ! -f "$staging/peregrine.toml" ] || [ ! -f "$staging/old/peregrine.toml" ] || cp -p "$staging/old/peregrine.toml" "$KEPT_CONFIG"
    return 0
  fi
  last_words
  go_back "$staging" "$folder" "$wait_secs" "$with_frames"
}

# On the first installation the package brings the user that the configuration is to belong to; later the package's own restart should find
# the new configuration.
change() {
  local staging=$1
  if [ -f "$staging/peregrine.toml" ] && [ -x "$BINARY" ]; then put_config "$staging/peregrine.toml" || return 1; fi
  if [ -f "$staging/peregrine.deb" ]; then install_package "$staging" || return 1; fi
  if [ -f "$staging/peregrine.toml" ]; then put_config "$staging/peregrine.toml" || return 1; fi
  systemctl --quiet enable peregrine
}

# start_anew STAGING OLD_PID: unless nothing is new, or the package did it over a configuration that was there already.
start_anew() {
  if [ "$(property ActiveState)" = active ]; then
    is_staged "$1" || return 0
    [ ! -f "$1/old/binary" ] || [ "$(property MainPID)" = "$2" ] || return 0
  fi
  restart
}
is_staged() { [ -f "$1/peregrine.deb" ] || [ -f "$1/peregrine.toml" ] || [ -d "$1/models" ]; }

go_back() {
  local staging=$1 folder=$2
  if [ ! -f "$staging/old/binary" ]; then
    systemctl stop peregrine 2>/dev/null || true
    say "there is no version before this one: the service is stopped, look with: journalctl -u peregrine"
    exit 4
  fi
  say "rolling back"
  restore_models "$staging" "$folder"
  [ ! -f "$staging/old/peregrine.toml" ] || put "$staging/old/peregrine.toml" "$CONFIG"
  if [ "$(sum "$(program)")" != "$(cat "$staging/old/binary")" ]; then
    if [ ! -x "$ROLLBACK" ] || [ "$(sum "$PREVIOUS")" != "$(cat "$staging/old/binary")" ]; then
      say "$PREVIOUS is not the version that ran before: the service is left as it is"
      exit 4
    fi
    "$ROLLBACK" >&2 || true
  else
    restart
  fi
  dpkg --configure --pending >/dev/null 2>&1 || true
  # Its cameras may be away as they were before: that it answers is enough here.
  if is_healthy "$3" no; then
    say "rolled back: $("$(program)" --version) runs as before"
    exit 3
  fi
  say "rolled back, but that does not run either"
  exit 4
}

# back SECONDS WITH_FRAMES: the version before this one, without a network, until the next deployment.
back() {
  local keep
  only_one
  [ ! -e "$ROLLED_BACK" ] || fail "the version before runs already; to end that: sudo $ROLLBACK --undo, or deploy again"
  [[ -x $PREVIOUS && -x $ROLLBACK ]] || fail "there is no version before this one in $PREVIOUS"
  keep=$(mktemp -d /var/tmp/peregrine-back.XXXXXX)
  # shellcheck disable=SC2064  # now, while it is known
  trap "rm -rf '$keep'" EXIT
  [ ! -f "$CONFIG" ] || cp -p "$CONFIG" "$keep/peregrine.toml"
  config_for_previous
  "$ROLLBACK" >&2 || true
  if is_healthy "$1" "$2"; then
    say "back at $("$PREVIOUS" --version)"
    return 0
  fi
  last_words
  [ ! -f "$keep/peregrine.toml" ] || put "$keep/peregrine.toml" "$CONFIG"
  "$ROLLBACK" --undo >&2 || true
  say "the version before does not run: stayed with $("$BINARY" --version)"
  exit 3
}

# An older program may not know what a newer configuration says: then the configuration before goes with it.
config_for_previous() {
  local said
  said=$("$PREVIOUS" check --config "$CONFIG" 2>&1) && return 0
  if [ -f "$KEPT_CONFIG" ] && "$PREVIOUS" check --config "$KEPT_CONFIG" >/dev/null 2>&1; then
    say "the version before refuses the configuration of now; it gets the one before, $KEPT_CONFIG"
    put "$KEPT_CONFIG" "$CONFIG"
    return 0
  fi
  say "$said"
  say "the version before refuses the configuration; nothing was changed"
  exit 78
}

# ---- what it does ----

# What the device is, and what the service did within two seconds.
summary() {
  "$(program)" probe || true
  [ "$(key "$CONFIG" api enabled)" != false ] || return 0
  local first second
  first=$(ask /metrics)
  sleep 2
  second=$(ask /metrics)
  printf '%s\n@\n%s\n' "$first" "$second" | awk '
    $0 == "@" { later = 1; next }
    function label(text) { match($1, text "=\"[^\"]*"); return substr($1, RSTART + length(text) + 2, RLENGTH - length(text) - 2) }
    /^peregrine_build_info/ { version = label("version") }
    /^peregrine_uptime_seconds/ { if (later) over = $2 - up; up = $2 }
    /^peregrine_resident_memory_bytes/ { mb = $2 / 1048576 }
    /^peregrine_mqtt_connected/ { broker = $2 == 1 ? "connected" : "NOT connected" }
    /^peregrine_mqtt_messages_queued/ { queued = $2 }
    /^peregrine_camera_frames_total/ { c = label("camera"); if (later) rate[c] = $2 - had[c]; had[c] = $2 }
    /^peregrine_camera_frame_size_pixels/ { c = label("camera"); if (label("side") == "width") w[c] = $2; else h[c] = $2 }
    /^peregrine_camera_state/ && $2 == 1 { state[label("camera")] = label("state") }
    /^peregrine_camera_tracks_active/ { tracks[label("camera")] = $2 }
    END {
      printf "\nperegrine %s: up %d s, %d MB, broker %s, %d messages wait\n", version, up, mb, broker, queued
      fflush()
      for (c in state)
        printf("%-16s %-18s %4dx%-5d %5.1f frames a second, %d tracks\n", c, state[c], w[c], h[c], (over > 0 ? rate[c] / over : 0), tracks[c]) | "sort"
    }'
}

"$@"
