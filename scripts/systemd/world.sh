#!/usr/bin/env bash
# The daemon's surroundings in the container: a broker that asks for a password, a camera, a ledger of all events, and somebody who
# gives orders. Runs inside; world.sh WHAT.
set -euo pipefail

broker() {
  # One that was stopped a moment ago may still be known.
  until [ "$(systemctl show --property=LoadState --value broker)" = not-found ]; do
    systemctl reset-failed broker 2>/dev/null || true
    sleep 0.1
  done
  install -d -o mosquitto -g mosquitto /run/broker
  printf 'box:%s\nwatcher:watcher\n' "$1" >/run/broker/passwords
  mosquitto_passwd -U /run/broker/passwords
  # What a subscriber misses waits without a limit: that nothing is lost must not depend on the broker.
  cat >/run/broker/mosquitto.conf <<'CONF'
listener 1883 127.0.0.1
allow_anonymous false
password_file /run/broker/passwords
persistence true
persistence_location /run/broker/
max_queued_messages 0
user mosquitto
CONF
  chown -R mosquitto: /run/broker
  systemd-run --quiet --unit=broker --collect --property=Restart=no mosquitto -c /run/broker/mosquitto.conf
}

# Its port is fixed, so that one configuration serves every life of it.
camera() {
  systemd-run --quiet --unit=camera sh -c 'tail -f /dev/null | /usr/bin/python3 /mnt/rtsp_server.py --port 8554'
}

# A session that the broker keeps: what comes while nobody listens comes later.
ledger() {
  systemd-run --quiet --unit=ledger --property=Restart=always --property=RestartSec=100ms \
    --property=StandardOutput=append:/run/events.jsonl \
    mosquitto_sub -h 127.0.0.1 -u watcher -P watcher -c -i ledger -q 1 -t 'peregrine/box/camera/+/events'
}

# order on|off: one order to the daemon.
order() {
  local on=true
  [ "$1" = on ] || on=false
  mosquitto_pub -h 127.0.0.1 -u watcher -P watcher -q 1 -t peregrine/box/cmd/detection -m "$(printf \
    '{"id": "%s", "issued_at": "%s", "camera": "front", "on": %s}' "$(cat /proc/sys/kernel/random/uuid)" "$(date -u +%FT%TZ)" "$on")"
}

# Makes events without end, each order as a broker lets it through.
orders() {
  while :; do
    order off || true
    sleep 0.7
    order on || true
    sleep 1
  done
}

"$@"
