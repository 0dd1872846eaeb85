#!/usr/bin/env bash
# What changes the device: installing, going back. A part of device.sh; apply and back run as by_itself has them run.
# shellcheck disable=SC2153  # device.sh sets CONFIG

# install_packages PACKAGE…: what the package needs or wants, from where apt gets it.
install_packages() {
  local log
  log=$(mktemp)
  say "  installing: $*"
  if ! { apt_get update -qq && apt_get install -y -qq --no-install-recommends "$@"; } >"$log" 2>&1; then
    quote "$log"
    rm -f "$log"
    fail "apt could not install $*"
  fi
  rm -f "$log"
}

# apt_get ARGUMENT…: waits for another one, such as the system's own upgrades; nobody is there to be asked.
apt_get() { DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 "$@"; }

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

# ---- models ----

# place_models: what is replaced is kept in `own` until all went well.
place_models() {
  local file name
  [ -d "$staged/models" ] || return 0
  mkdir -p "$folder" "$own/replaced"
  models_placed=yes
  for file in "$staged"/models/*; do
    name=$(basename "$file")
    if [ -e "$folder/$name" ]; then
      cp -p -- "$folder/$name" "$own/replaced/$name" || fail "no room for the models; nothing was changed"
    else
      echo "$name" >>"$own/added"
    fi
    install -m 644 --no-target-directory -- "$file" "$folder/$name.new" || fail "$name could not be laid into $folder; nothing was changed"
    mv -f -- "$folder/$name.new" "$folder/$name"
  done
}

# restore_models: whatever place_models came to.
restore_models() {
  local file name
  [ "$models_placed" = yes ] || return 0
  models_placed=no
  for file in "$staged"/models/*; do rm -f "$folder/$(basename "$file").new" || true; done
  for file in "$own/replaced"/*; do
    [ ! -f "$file" ] || { cp -p -- "$file" "$folder/${file##*/}.new" && mv -f -- "$folder/${file##*/}.new" "$folder/${file##*/}"; } || true
  done
  [ ! -f "$own/added" ] || while read -r name; do rm -f "${folder:?}/$name" || true; done <"$own/added"
}

# ---- checks ----

# prepare: whether the new package can be installed, and whether its program starts.
prepare() {
  [ -f "$staged/peregrine.deb" ] || return 0
  apt_get install --simulate --allow-downgrades --reinstall -qq --no-install-recommends "$staged/peregrine.deb" >"$own/simulated" 2>&1 || {
    quote "$own/simulated"
    fail "the package cannot be installed here"
  }
  unpack "$staged"
  "$own/tree$BINARY" --version >"$own/version" 2>&1 || {
    quote "$own/version"
    fail "the package's program does not run here"
  }
}

# check: the configuration that is to be, by the program that is to run it. Its word on where models lie is the one that counts.
check() {
  local config there
  config=$(config_to_be "$staged")
  [ -n "$config" ] || return 0
  "$(program_to_be)" check --print --config "$config" >"$own/normal" 2>"$own/checked" || {
    sed 's/^/  | /' "$own/checked" >&2
    restore_models
    say "the configuration is refused; nothing was changed"
    exit 78
  }
  there=$(key paths models <"$own/normal")
  [ "$models_placed" = no ] || [ "$there" = "$folder" ] ||
    fail "the program looks for models in $there, which was read as $folder: write it as models = \"$there\" below [paths]; nothing was changed"
}

# finish_pending: what an installation that was cut short left open is finished, so that what runs now is known. Not where the version before
# runs: the end of an installation would end that.
finish_pending() {
  [ ! -e "$ROLLED_BACK" ] || return 0
  case $(package_field db:Status-Status) in
    unpacked | half-configured | triggers-pending | triggers-awaited)
      DEBIAN_FRONTEND=noninteractive dpkg --force-confold --configure --pending >/dev/null 2>&1 || true ;;
  esac
}

# ---- there ----

# own_folder: sets `own`, root's alone, and removes it at the end, whatever end that is; models that were placed for nothing go before.
own_folder() {
  models_placed=no changing=no
  own=$(mktemp -d /var/tmp/peregrine-own.XXXXXX)
  staged=$own/staged
  trap leave_own EXIT
  trap interrupted TERM INT HUP
}
# interrupted: the device goes off, or somebody ends this. What was being put in place stays as a whole: the old models would not belong to it.
interrupted() {
  [ "$changing" = no ] || models_placed=no
  exit 143
}
leave_own() {
  local status=$?
  trap - EXIT
  restore_models
  rm -rf "$own"
  exit "$status"
}

# apply STAGING SECONDS WITH_FRAMES: checks, then installs what was staged, starts, waits, and goes back where that fails.
apply() {
  local wait_secs=$2 with_frames=$3 pid
  own_folder
  # From here on it is ours: the laptop removes what it finds under the old name.
  mv -- "$1" "$staged" 2>/dev/null || fail "what was sent is gone; nothing was changed"
  finish_pending
  prepare
  folder=$(models_folder "$staged")
  place_models
  check
  pid=$(property MainPID)
  mkdir -p "$own/old"
  [ ! -f "$CONFIG" ] || cp -p "$CONFIG" "$own/old/peregrine.toml"
  [ ! -x "$(service_program)" ] || sum "$(service_program)" >"$own/old/binary"
  changing=yes
  if change && start_anew "$pid" && is_healthy "$wait_secs" "$with_frames"; then
    [ ! -f "$staged/peregrine.toml" ] || [ ! -f "$own/old/peregrine.toml" ] || cp -p "$own/old/peregrine.toml" "$KEPT_CONFIG"
    models_placed=no
    return 0
  fi
  last_words
  go_back "$wait_secs"
}

# On the first installation the package brings the user that the configuration is to belong to; later the package's own restart should find
# the new configuration.
change() {
  if [ -f "$staged/peregrine.toml" ] && [ -x "$BINARY" ]; then put_config "$staged/peregrine.toml" || return 1; fi
  if [ -f "$staged/peregrine.deb" ]; then
    install_package || return 1
    leave_previous
  fi
  if [ -f "$staged/peregrine.toml" ]; then put_config "$staged/peregrine.toml" || return 1; fi
  systemctl --quiet enable peregrine
}

install_package() {
  apt_get install -y -qq --no-install-recommends --allow-downgrades --reinstall \
    -o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-confdef "$staged/peregrine.deb" >"$own/installed" 2>&1 && return 0
  quote "$own/installed"
  # Another package's trouble is apt's failure, too.
  [ "$(package_field db:Status-Status)" = installed ] && cmp --silent "$own/tree$BINARY" "$BINARY" || return 1
  say "  apt complains, but peregrine is installed"
}

# leave_previous: what was installed is what is to run. A package of the version that is installed already may leave the way back in force.
leave_previous() {
  [ -e "$ROLLED_BACK" ] || return 0
  rm -f "$ROLLED_BACK"
  rmdir "$(dirname "$ROLLED_BACK")" 2>/dev/null || true
  systemctl daemon-reload
}

# start_anew OLD_PID: unless nothing is new, or the package did it over a configuration that was there already.
start_anew() {
  if [ "$(property ActiveState)" = active ] && runs_its_program; then
    is_staged || return 0
    [ ! -f "$own/old/binary" ] || [ "$(property MainPID)" = "$1" ] || return 0
  fi
  restart
}
is_staged() { [ -f "$staged/peregrine.deb" ] || [ -f "$staged/peregrine.toml" ] || [ -d "$staged/models" ]; }

# ---- and back ----

go_back() {
  if [ ! -f "$own/old/binary" ]; then
    systemctl --quiet disable --now peregrine 2>/dev/null || true
    # All of it stays, to be looked at.
    models_placed=no
    say "there is no version before this one: the service is stopped and disabled until the next deployment; why: journalctl -u peregrine"
    exit 4
  fi
  say "rolling back"
  restore_models
  [ ! -f "$own/old/peregrine.toml" ] || put "$own/old/peregrine.toml" "$CONFIG"
  # First: what the package does at the end of its installation would undo the way back.
  finish_pending
  if [ "$(sum "$(service_program)")" != "$(cat "$own/old/binary")" ]; then
    take_set_aside
    if [ ! -x "$ROLLBACK" ] || [ "$(sum "$PREVIOUS")" != "$(cat "$own/old/binary")" ]; then
      say "$PREVIOUS is not the version that ran before: the service is left as it is"
      exit 4
    fi
    "$ROLLBACK" >&2 || true
  else
    restart
  fi
  # Its cameras may be away as they were before: that it answers is enough here.
  if is_healthy "$1" no; then
    say "rolled back: $("$(service_program)" --version) runs as before"
    exit 3
  fi
  say "rolled back, but that does not run either"
  exit 4
}

# take_set_aside: a package that was unpacked and could not be configured has set the good binary aside, and not yet kept it.
take_set_aside() {
  local aside
  aside=$(dirname "$PREVIOUS").new
  [ "$(sum "$aside/peregrine")" = "$(cat "$own/old/binary")" ] || return 0
  rm -rf "$(dirname "$PREVIOUS")"
  mv "$aside" "$(dirname "$PREVIOUS")"
}

# back SECONDS WITH_FRAMES: the version before this one, without a network, until the next deployment.
back() {
  [ ! -e "$ROLLED_BACK" ] || fail "the version before runs already; to end that: sudo $ROLLBACK --undo, or deploy again"
  [[ -x $PREVIOUS && -x $ROLLBACK ]] || fail "there is no version before this one in $PREVIOUS"
  own_folder
  [ ! -f "$CONFIG" ] || cp -p "$CONFIG" "$own/peregrine.toml"
  config_for_previous
  "$ROLLBACK" >&2 || true
  if is_healthy "$1" "$2"; then
    say "back at $("$PREVIOUS" --version)"
    return 0
  fi
  last_words
  [ ! -f "$own/peregrine.toml" ] || put "$own/peregrine.toml" "$CONFIG"
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
