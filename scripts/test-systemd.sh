#!/usr/bin/env bash
# The package as a service of a real systemd: a Debian 12 boots in a container, the .deb is installed there, and what the unit promises is
# looked at from outside: notify, watchdog, restarts, credentials, journal, stop, upgrade.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/nspawn.sh
. "$here/nspawn.sh"
# shellcheck source=scripts/systemd/service.sh
. "$here/systemd/service.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/test-systemd.sh [--deb FILE] [--stops N] [--patient] [--must-boot]

Makes a Debian 12 under ~/.cache/peregrine (once, some minutes), boots it by systemd-nspawn without a network and installs the package
there, with a broker that asks for a password and a fake camera. Needs root. A machine on which the container does not boot is told in one
line, and nothing is tested.

  --deb FILE   the package (amd64 on a PC); made by scripts/build-deb.sh if not named
  --stops N    how often the service is stopped and started again (20)
  --patient    tells times, and judges none: for a machine that has other work
  --must-boot  a machine on which the container does not boot is a failure
TEXT
}

deb="" stops=20 patient=0 must_boot=0
while [ $# -gt 0 ]; do
  case $1 in
    --deb) deb=${2:?--deb needs a file}; shift ;;
    --stops) stops=${2:?--stops needs a number}; shift ;;
    --patient) patient=1 ;;
    --must-boot) must_boot=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[[ $stops =~ ^[0-9]+$ ]] || usage_error "--stops takes a number, not $stops"
[ "$(id -u)" = 0 ] || fail "a container that boots needs root: sudo $0"
need_packages "${PACKAGES_NSPAWN[@]}"
need_deb

share=$(mktemp -d)
at_end() {
  local status=$?
  trap - EXIT
  nspawn_halt
  rm -rf "$share"
  exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_deb() { inside env DEBIAN_FRONTEND=noninteractive dpkg --install "/mnt/$1" >"$share/dpkg.log" 2>&1 || { cat "$share/dpkg.log" >&2; false; }; }

# within MS TOOK: whether it did; always, where times are not judged.
within() { [ "$patient" = 1 ] || [ "$2" -le "$1" ]; }

start() {
  inside systemctl reset-failed peregrine 2>/dev/null || true
  inside systemctl start peregrine
}

# A claim is asked by `if`, where -e means nothing: each of its steps has to say itself what becomes of a failure.

# How a start went that began at $1: READY and the first frame, each after so many milliseconds.
started_by_notify() {
  local begun took
  inside systemctl stop peregrine || return 1
  begun=$(now_ms)
  start || return 1
  took=$(($(now_ms) - begun))
  is_active && is Type notify || return 1
  wait_for 20 serves || return 1
  say "        READY after $took ms, frames and broker after $(($(now_ms) - begun)) ms"
}

# knows_password_by_credential PASSWORD: the broker takes no other, and it stands where the service's user alone reads it.
knows_password_by_credential() {
  ! inside mosquitto_pub -h 127.0.0.1 -u box -P "not $1" -t "?" -m "?" 2>/dev/null || return 1
  ! inside grep -qF "$1" /etc/peregrine/peregrine.toml || return 1
  [ "$(metric peregrine_mqtt_connected)" = 1 ] &&
    inside nsenter --target "$(property MainPID)" --mount cat /run/credentials/peregrine.service/mqtt-password | grep -qxF "$1" &&
    ! inside setpriv --reuid=mosquitto --clear-groups cat /run/credentials/peregrine.service/mqtt-password 2>/dev/null
}

# What a compromised daemon would find: no root, no capability, a filter, nothing to write to but its own folders.
is_confined() {
  local pid status
  pid=$(property MainPID)
  status=$(inside cat "/proc/$pid/status") || return 1
  [[ $(awk '/^Uid:/ { print $2 }' <<<"$status") != 0 && $status == *$'CapEff:\t0000000000000000'* &&
    $status == *$'Seccomp:\t2'* && $status == *$'NoNewPrivs:\t1'* ]] || return 1
  # Its own mounts say read-only for what the host may write.
  inside cat "/proc/$pid/mountinfo" |
    awk '$5 == "/" || $5 == "/usr" || $5 == "/etc" { seen = 1; if ($6 !~ /(^|,)ro(,|$)/) rw = 1 } END { exit rw || !seen }' &&
    [ "$(inside readlink "/proc/$pid/ns/user")" != "$(inside readlink /proc/1/ns/user)" ]
}

# The groups of cameras are those of the host, also for a process that knows no user but its own.
opens_by_group() {
  inside sh -c 'echo seen >/run/of-video && chgrp video /run/of-video && chmod 640 /run/of-video' || return 1
  inside systemd-run --quiet --wait --pipe --property=User=peregrine --property=PrivateUsers=yes \
    --property=SupplementaryGroups=video cat /run/of-video | grep -q seen
}

journal_has_fields() { inside journalctl --unit=peregrine --output=json --no-pager "$@" | inside /usr/bin/python3 /mnt/look.py journal; }

hang_is_ended() {
  local pid begun killed
  pid=$(property MainPID)
  begun=$(now_ms)
  inside kill -STOP "$pid" || return 1
  wait_for 60 is_killed_by_watchdog || return 1
  killed=$(now_ms)
  wait_for 30 serves_as_another "$pid" || return 1
  say "        killed $((killed - begun)) ms after it hung, frames $(($(now_ms) - begun)) ms after"
  within 20000 $(($(now_ms) - begun))
}

# One thread is held, the others go on: the daemon notices and asks for its own end. This one may be silent for ten seconds.
stage_that_hangs_is_ended() {
  local pid begun
  pid=$(property MainPID)
  inside /usr/bin/python3 /mnt/freeze.py "$pid" api >"$share/frozen" &
  wait_for 10 grep -q held "$share/frozen" || return 1
  begun=$(now_ms)
  wait_for 60 serves_as_another "$pid" || return 1
  say "        frames of another process $(($(now_ms) - begun)) ms after"
  inside journalctl --unit=peregrine --no-pager --output=cat | grep -q "api hangs" || return 1
  within 20000 $(($(now_ms) - begun))
}
is_killed_by_watchdog() { inside journalctl --unit=peregrine --no-pager --output=cat | grep -q "Watchdog timeout"; }

crash_is_ended() {
  local pid restarts
  pid=$(property MainPID) restarts=$(property NRestarts)
  inside kill -s "$1" "$pid" || return 1
  wait_for 30 serves_as_another "$pid" && [ "$(property NRestarts)" -gt "$restarts" ]
}

wrong_configuration_stays_down() {
  local ok=0
  inside systemctl stop peregrine || return 1
  inside sh -c 'echo "[nonsense]" >>/etc/peregrine/peregrine.toml' || return 1
  ! start 2>/dev/null || ok=1
  # "failed" is where systemd lets it lie: one that waits for a restart is "activating".
  wait_for 20 is ActiveState failed && is ExecMainStatus 78 && is NRestarts 0 || ok=1
  configure "$password" || ok=1
  start && wait_for 20 serves || ok=1
  return "$ok"
}

stops_in_time() {
  local round begun took longest=0
  for ((round = 1; round <= stops; round++)); do
    begun=$(now_ms)
    inside systemctl stop peregrine || return 1
    took=$(($(now_ms) - begun))
    [ "$took" -le "$longest" ] || longest=$took
    if ! within 5000 "$took" || ! is Result success || ! is ExecMainStatus 0; then
      say "        stop $round took $took ms: $(property Result), $(property ExecMainStatus)"
      return 1
    fi
    start && wait_for 20 serves || return 1
  done
  say "        $stops stops, the longest took $longest ms"
}

# goes_to FILE VERSION: installed over the running one, which is then replaced and serves, and of which the binary is kept.
goes_to() {
  local pid before
  pid=$(property MainPID) before=$(inside sha256sum /usr/bin/peregrine | cut -d' ' -f1)
  install_deb "$1" || return 1
  wait_for 30 serves_as_another "$pid" && [ "$(version)" = "$2" ] && runs_file /usr/bin/peregrine &&
    [ "$(inside sha256sum /usr/lib/peregrine/previous/peregrine | cut -d' ' -f1)" = "$before" ]
}

# The broker is away while the service goes back: what happened meanwhile waits on disk and is sent by the other version.
goes_back_without_broker() {
  local goes_back=0
  inside systemctl stop broker || return 1
  inside env DEBIAN_FRONTEND=noninteractive dpkg --install /mnt/peregrine.deb >"$share/dpkg.log" 2>&1 || goes_back=1
  wait_for 30 is_active || goes_back=1
  inside /mnt/world.sh broker "$password" || return 1
  wait_for 30 listens && wait_for 70 serves && [ "$(version)" = "$(dpkg-deb --field "$deb" Version)" ] && [ "$goes_back" = 0 ]
}

ledger_is_whole() { inside sh -c 'runuser -u peregrine -- peregrine events --json >/run/kept.jsonl' && inside /usr/bin/python3 /mnt/look.py ledger /run/kept.jsonl /run/events.jsonl; }
nothing_is_lost() {
  inside systemctl stop orders || return 1
  wait_for 30 ledger_is_whole || { inside /usr/bin/python3 /mnt/look.py ledger /run/kept.jsonl /run/events.jsonl; return 1; }
  inside /usr/bin/python3 /mnt/look.py ledger /run/kept.jsonl /run/events.jsonl
}

# exposure AT_MOST DROP_IN: as systemd rates the service that runs, with a board's drop-in if one is named.
exposure() {
  local at_most=$1 drop_in=${2:-} rated there ok=0
  there=/etc/systemd/system/peregrine.service.d/$drop_in
  [ -z "$drop_in" ] || inside cp "/mnt/$drop_in" "$there" || return 1
  inside systemctl daemon-reload || return 1
  [ -z "$drop_in" ] || [[ $(property DropInPaths) == *"$there"* ]] || return 1
  rated=$(inside systemd-analyze security --no-pager --threshold="$at_most" peregrine.service) || ok=1
  say "        ${drop_in:-as it is}: $(tail -n 1 <<<"$rated")"
  [ -z "$drop_in" ] || inside rm "$there" || return 1
  inside systemctl daemon-reload || return 1
  return "$ok"
}

verifies() {
  local said ok=0
  said=$(inside systemd-analyze verify --man=no --recursive-errors=no peregrine.service 2>&1) || ok=1
  [ -z "$said" ] || { say "$said"; ok=1; }
  return "$ok"
}

comes_back() {
  inside env DEBIAN_FRONTEND=noninteractive dpkg --remove peregrine >"$share/dpkg.log" 2>&1 && ! is_active &&
    install_deb peregrine.deb && wait_for 30 serves
}

# One that failed for good is not left so by the version that may mend it.
mends_what_failed() {
  inside systemctl stop peregrine || return 1
  inside sh -c 'echo "[nonsense]" >>/etc/peregrine/peregrine.toml' || return 1
  start 2>/dev/null || true
  wait_for 20 is ActiveState failed || return 1
  inside install -m 644 /mnt/peregrine.toml /etc/peregrine/peregrine.toml && install_deb later.deb && wait_for 30 serves
}

lay_out
repack "$(dpkg-deb --field "$deb" Version)+later" "$share/later.deb"
boot_or_skip
password="p$RANDOM$RANDOM"

claim "the package installs" install_deb peregrine.deb
configure "$password"
surroundings "$password"
inside /mnt/world.sh ledger
inside systemd-run --quiet --unit=orders /mnt/world.sh orders
claim "active by notify, then frames" started_by_notify
claim "the password comes by LoadCredential alone" knows_password_by_credential "$password"
claim "systemd-analyze verify says nothing" verifies
claim "exposure is 1.5 at most" exposure 15
claim "exposure is 2.0 at most for a Jetson" exposure 20 jetson.conf
claim "no root, no capability, a filter, a read-only system, users of its own" is_confined
claim "a file of the group video opens" opens_by_group
claim "the journal has camera and stage" journal_has_fields
claim "a daemon that hangs is killed and serves again within 20 s" hang_is_ended
claim "so is one of which a stage hangs" stage_that_hangs_is_ended
claim "SIGKILL is followed by a restart" crash_is_ended KILL
claim "SIGABRT is followed by a restart" crash_is_ended ABRT
claim "a wrong configuration ends with 78 and is left alone" wrong_configuration_stays_down
claim "SIGTERM ends it within 5 s, $stops of $stops" stops_in_time
claim "an upgrade goes on where the old version was" goes_to later.deb "$(dpkg-deb --field "$deb" Version)+later"
claim "and back, the broker away meanwhile" goes_back_without_broker
claim "no event is lost" nothing_is_lost
claim "removed and installed again, it serves" comes_back
claim "an upgrade starts what had failed" mends_what_failed
closing
