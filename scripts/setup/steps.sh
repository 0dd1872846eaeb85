#!/usr/bin/env bash
# What the boards' set-up scripts share: options, steps that are shown before they are taken, steps of every board. Sourced by setup_jetson.sh
# and setup_pi.sh, which are run on the board or, with USER@HOST, from elsewhere. Needs nothing but bash, coreutils and apt.
# shellcheck disable=SC2034,SC2154  # the scripts that source this have `here` and read what is set here

UNIT_FOLDER=/etc/systemd/system/peregrine.service.d
DROP_INS=/usr/share/peregrine/systemd

dry_run=0 yes=0 swap=1 tree="" target="" ssh_config=""
mode=show todo=0 left=()

common_usage() {
  cat <<'TEXT'
  --dry-run          show what would be done, change nothing
  --yes              do not ask
  --no-swap          leave swap as it is
  --tree DIR         read what board this is from a recorded tree in place of / (for tests)
  --ssh-config FILE  with USER@HOST, in place of ~/.ssh/config
TEXT
}

# common_option ARGUMENT…: takes one option of all boards; sets `taken` to how many words it had, 0 for what it does not know.
common_option() {
  taken=1
  case $1 in
    --dry-run) dry_run=1 ;;
    --yes) yes=1 ;;
    --no-swap) swap=0 ;;
    --tree) tree=${2:?--tree needs a folder}; taken=2 ;;
    --ssh-config) ssh_config=${2:?--ssh-config needs a file}; taken=2 ;;
    -*) taken=0 ;;
    *) [ -z "$target" ] || usage_error "one board at a time: $1 is too many"; target=$1 ;;
  esac
}

# go_there SCRIPT ARGUMENT…: sends these scripts to `target` and runs SCRIPT there.
go_there() {
  # A board that does not answer, now or in the middle, is told after a minute and not waited for.
  local script=$1 options=(-o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=4) there words status=0
  shift
  [ -z "$ssh_config" ] || options+=(-F "$ssh_config")
  words=$(printf '%q ' "$@")
  # shellcheck disable=SC2016  # the device's shell is to expand it
  there=$(tar --create --directory="$here" lib.sh setup "$script" |
    ssh "${options[@]}" "$target" 'd=$(mktemp -d) && tar --extract --directory="$d" && echo "$d"') || fail "$target cannot be reached by ssh"
  [ ! -t 0 ] || options+=(-t)
  # shellcheck disable=SC2029  # put together here
  ssh "${options[@]}" "$target" "bash $there/$script $words; s=\$?; rm -rf $there; exit \$s" || status=$?
  exit "$status"
}

# read_file PATH: of the board, or of the recorded tree.
read_file() { { tr '\0' '\n' <"$tree$1"; } 2>/dev/null || true; }
board_model() { read_file /proc/device-tree/model; }
board_is() { read_file /proc/device-tree/compatible | grep -q "$1"; }
memory_mb() { awk '$1 == "MemTotal:" { print int($2 / 1024) }' "$tree/proc/meminfo" 2>/dev/null; }

# change COMMAND…: what a step consists of: shown in the first round, done in the second. Nobody answers a program that asks.
change() {
  if [ "$mode" = show ]; then
    printf '    $ %s\n' "$*"
  else
    as_root "$@" </dev/null || fail "this failed: $*"
  fi
}
# write PATH LINES: a file with these lines.
write() {
  local line
  if [ "$mode" = show ]; then
    printf '    %s:\n' "$1"
    while IFS= read -r line; do printf '      %s\n' "$line"; done <<<"$2"
  else
    as_root mkdir -p "$(dirname "$1")"
    as_root tee "$1" >/dev/null <<<"$2" || fail "could not write $1"
  fi
}

# step WORDS IS_DONE DO [LEFT]: is shown, and taken where it is not done yet. One that does not hold ends the script, or, where LEFT says what
# a person is to do then, is told again at the end.
step() {
  if "$2"; then
    [ "$mode" != show ] || printf '  done   %s\n' "$1"
    return 0
  fi
  todo=$((todo + 1))
  printf '  to do  %s\n' "$1"
  "$3"
  if [ "$mode" = show ] || "$2"; then return 0; fi
  [ $# -ge 4 ] || fail "$1: was done and did not hold"
  left+=("$4")
}
note() { [ "$mode" != show ] || printf '  note   %s\n' "$1"; }

# take STEPS: shows all of them first, asks once, then takes them.
take() {
  local answer words
  mode=show todo=0
  "$1"
  if [ "$todo" = 0 ]; then say "nothing to do"; return 0; fi
  if [ "$dry_run" = 1 ]; then say "$todo to do; nothing was changed"; return 0; fi
  if [ "$yes" = 0 ]; then
    [ -t 0 ] || fail "say --yes to have this done"
    read -r -p "do this? [y/N] " answer
    [[ $answer == [yY]* ]] || fail "nothing was changed"
  fi
  mode=act
  "$1"
  if [ "${#left[@]}" = 0 ]; then say "done"; return 0; fi
  say "done, but for this:"
  for words in "${left[@]}"; do say "  $words"; done
}

# ---- steps of every board ----

packages_missing() { missing_packages "${packages[@]}"; }
has_packages() { [ -z "$(packages_missing)" ]; }
install_packages() {
  local missing
  mapfile -t missing < <(packages_missing)
  change apt-get update -qq
  change env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# has_candidate PACKAGE: apt knows where to get it.
has_candidate() { apt-cache policy "$1" 2>/dev/null | grep -q 'Candidate: [^(]'; }

# The link may be there before the package that brings what it points to.
has_link() { [ "$(readlink "$1")" = "$DROP_INS/$2" ]; }
link() {
  change mkdir -p "$(dirname "$1")"
  change ln -sfn "$DROP_INS/$2" "$1"
  [ ! -d /run/systemd/system ] || change systemctl daemon-reload
}
has_drop_in() { has_link "$UNIT_FOLDER/$drop_in" "$drop_in"; }
link_drop_in() { link "$UNIT_FOLDER/$drop_in" "$drop_in"; }

# Whoever logs in: so that `peregrine probe` and `peregrine detect` see cameras and the GPU by hand, too. The service has its own groups.
person() { echo "${SUDO_USER:-$(id -un)}"; }
groups_there() { getent group video render | cut -d: -f1; }
person_has_groups() {
  local group
  [ "$(person)" != root ] || return 0
  for group in $(groups_there); do
    id -nG "$(person)" | tr ' ' '\n' | grep -qx "$group" || return 1
  done
}
give_groups() { change usermod --append --groups "$(groups_there | paste -sd,)" "$(person)"; }
