#!/usr/bin/env bash
# The device's side of deploy.sh: what its parts share, and how work goes on when nobody is connected any more. These files are sent over ssh
# as one text, device.sh first, and run by root's bash, so that nothing has to be installed before: WHAT ARGUMENTS. What there is stands in
# device-look.sh, whether the service runs in device-health.sh, what is changed in device-change.sh.
# They need bash, coreutils, util-linux (flock), findutils, awk, sed, grep, dpkg, apt and systemd. What is said goes to standard error, what
# deploy.sh reads to standard output.
# Exit codes: 0 done; 1 not done, all as it was; 3 went wrong and was rolled back; 4 went wrong, and there was nothing to go back to;
# 78 the configuration is refused, all as it was.
# shellcheck disable=SC2034  # read by the parts that follow
set -euo pipefail

BINARY=/usr/bin/peregrine
# The package keeps the binary of the version before, and brings a program by which the service runs that one.
PREVIOUS=/usr/lib/peregrine/previous/peregrine
ROLLBACK=/usr/lib/peregrine/rollback
ROLLED_BACK=/etc/systemd/system/peregrine.service.d/rollback.conf
CONFIG=/etc/peregrine/peregrine.toml
KEPT_CONFIG=$CONFIG.previous
LOCK=/run/peregrine-deploy.lock
# What the last deployment said: for whoever lost the connection meanwhile.
LOG=/run/peregrine-deploy.log

say() { printf '%s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}
# quote FILE: what another program said, a few lines of it.
quote() { tail -n 8 "$1" | sed 's/^/  | /' >&2 || true; }
sum() { sha256sum -- "$1" 2>/dev/null | cut -d' ' -f1; }

# only_one: false where another one holds the device.
only_one() {
  exec 9>"$LOCK"
  flock --nonblock 9
}

# by_itself WHAT ARGUMENTS…: WHAT in a unit of its own. The connection is no part of it: it goes to its end, and back where that is needed,
# when the connection breaks or somebody presses Ctrl-C on the laptop. `text` is these files, as deploy.sh sent them.
# shellcheck disable=SC2016,SC2154  # the unit's bash is to expand it; host.sh sets `text`
by_itself() {
  printf '%s\n' "$text" |
    systemd-run --quiet --wait --pipe --collect --unit="peregrine-deploy-$$" --description="Deployment of peregrine" \
      --property=OOMPolicy=continue \
      bash -c 'text=$(cat); eval "$text"' device in_unit "$@"
}

# in_unit WHAT ARGUMENTS…: what it says is kept, and shown as long as somebody listens: tee -p goes on when its reader is gone.
in_unit() {
  only_one || fail "somebody else deploys to this device just now"
  trap tell_end EXIT
  # The journal's last words stand there, too, which not everybody may read.
  install -m 600 /dev/null "$LOG"
  "$@" 2>&1 </dev/null | tee -p "$LOG" >&2
}
tell_end() {
  local status=$?
  printf 'exit code %s\n' "$status" >>"$LOG"
  exit "$status"
}
