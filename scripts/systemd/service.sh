#!/usr/bin/env bash
# The service in the container, for the scripts that test it there: promises, the daemon's answers, its surroundings, packages made from
# the one under test. Sourced, after lib.sh and nspawn.sh.
# shellcheck disable=SC2154  # the script that sources this has `here`, `root`, `deb`, `share` and `must_boot`

passed=0 failed=0
# claim WORDS COMMAND…: one promise, asked where -e means nothing; a broken one is told with the end of the journal, and the others are looked at all the same.
claim() {
  local words=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    say "ok      $words"
  else
    failed=$((failed + 1))
    say "NOT OK  $words"
    inside journalctl --unit=peregrine --lines=12 --no-pager --output=short-precise >&2 || true
  fi
}

property() { inside systemctl show --property="$1" --value peregrine; }
is() { [ "$(property "$1")" = "$2" ]; }
is_active() { is ActiveState active; }
now_ms() { echo $(($(date +%s%N) / 1000000)); }
# All that the daemon is there for: a camera's frames come, and the broker has its messages.
metric() { inside curl -fs http://127.0.0.1:8420/metrics | awk -v name="$1" '$1 == name { print $2 }'; }
serves() {
  inside curl -fs http://127.0.0.1:8420/healthz >/dev/null &&
    [ "$(metric 'peregrine_camera_frames_analysed_total{camera="front"}')" -gt 0 ] && [ "$(metric peregrine_mqtt_connected)" = 1 ]
}
# serves_as_another OLD_PID: a new process does.
serves_as_another() { [ "$(property MainPID)" != "$1" ] && serves; }
version() { inside dpkg-query --show peregrine | cut -f2; }
runs_file() { [ "$(inside sha256sum "/proc/$(property MainPID)/exe" | cut -d' ' -f1)" = "$(inside sha256sum "$1" | cut -d' ' -f1)" ]; }
listens() { inside mosquitto_pub -h 127.0.0.1 -u watcher -P watcher -t "?" -m "?"; }
camera_answers() { inside sh -c "ss -Hltn 'sport = :8554' | grep -q ."; }

# repack VERSION FILE: the package as a later one, with a binary that is another file and does the same.
repack() {
  local version=$1 to=$2 tree=$share/repack
  dpkg-deb --raw-extract "$deb" "$tree"
  sed -i "s/^Version: .*/Version: $version/" "$tree/DEBIAN/control"
  printf '%s' "$version" >>"$tree/usr/bin/peregrine"
  pack "$tree" "$to"
}

# pack TREE FILE: makes a package of what raw-extract gave, and removes it.
pack() {
  (cd "$1" && find . -type f ! -path './DEBIAN/*' ! -path './etc/*' -printf '%P\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
  dpkg-deb --root-owner-group -Zgzip -z1 --build "$1" "$2" >/dev/null
  rm -rf "$1"
}

configure() { inside install -m 644 /mnt/peregrine.toml /etc/peregrine/peregrine.toml && give_credential "$1"; }

give_credential() {
  inside mkdir -p /etc/peregrine/credentials /etc/systemd/system/peregrine.service.d &&
    inside sh -c "umask 077; printf %s '$1' >/etc/peregrine/credentials/mqtt-password" &&
    inside sh -c 'printf "[Service]\nLoadCredential=mqtt-password:/etc/peregrine/credentials/mqtt-password\n" \
      >/etc/systemd/system/peregrine.service.d/credentials.conf' &&
    inside systemctl daemon-reload
}

surroundings() {
  inside /mnt/world.sh broker "$1"
  inside /mnt/world.sh camera
  wait_for 20 listens || fail "the broker in the container does not answer"
  wait_for 30 camera_answers || fail "the camera in the container does not answer"
}

# need_deb: sets `deb` to a package for this machine.
need_deb() {
  if [ -z "$deb" ]; then
    deb=$("$here/build-deb.sh" | tail -n 1)
  fi
  [ -f "$deb" ] || fail "the package ${deb:-of build-deb.sh} is not there"
}

# lay_out: what the container sees as /mnt.
lay_out() {
  chmod 755 "$share"
  cp "$deb" "$share/peregrine.deb"
  cp "$root/tests/data/tiny_detector.onnx" "$root/tests/data/rtsp_server.py" "$here/systemd/"* "$root"/systemd/*.conf "$share/"
  chmod -R a+rX "$share"
}

# boot_or_skip: ends the script with a line where this machine boots no container; with --must-boot that is a failure.
boot_or_skip() {
  local tree begun
  tree=$(nspawn_root) || exit 1
  begun=$(now_ms)
  if ! nspawn_boot "$tree" "$share"; then
    [ "$must_boot" = 0 ] || fail "systemd-nspawn does not boot a container on this machine: $(nspawn_why_not)"
    say "skipped: systemd-nspawn does not boot a container on this machine: $(nspawn_why_not)"
    exit 0
  fi
  say "booted in $(($(now_ms) - begun)) ms"
}

closing() {
  say "$passed passed, $failed failed"
  [ "$failed" = 0 ]
}
