#!/bin/bash
# Runs in the virtual machine: a Debian for aarch64 with systemd, an MQTT broker, a camera of the kernel's and one by RTSP in a network of its own.
# Installs the package and asks what an integrator relies on. Each line says "ok" or "NOT OK"; the last one counts them; then guest.service
# puts the machine off.
set -u
exec 2>/mnt/guest.trace
set -x
passed=0
failed=0
ok() {
  local name=$1
  shift
  if "$@"; then
    passed=$((passed + 1))
    echo "ok      $name"
  else
    failed=$((failed + 1))
    echo "NOT OK  $name"
  fi
}
note() { echo "        $*"; }
property() { systemctl show -P "$1" peregrine; }
# within SECONDS COMMAND…
within() {
  local tries=$(($1 * 4))
  shift
  until "$@"; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.25
  done
}
now_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }
# ask PATH: what the daemon answers over HTTP.
ask() {
  exec 3<>/dev/tcp/127.0.0.1/8420 || return
  printf 'GET /%s HTTP/1.1\r\nHost: vm\r\nConnection: close\r\n\r\n' "$1" >&3
  timeout 5 cat <&3
  exec 3>&-
}
# frames CAMERA: how many it has delivered.
frames() { ask metrics | sed -n "s/^peregrine_camera_frames_total{.*camera=\"$1\".*} \([0-9]*\).*/\1/p" | sed -n 1p; }
# streams CAMERA: whether more frames come.
streams() {
  local before after
  before=$(frames "$1")
  sleep 1
  after=$(frames "$1")
  [ "${after:-0}" -gt "${before:-0}" ]
}
# heard TOPIC SECONDS [WORD]: whether a message comes on that topic, with the word in it.
heard() { timeout "$2" mosquitto_sub -h 127.0.0.1 -t "$1" | grep -q -m 1 -- "${3:-.}"; }
# signal NAME: to the daemon, which must be there: kill 0 would be this test's own end.
signal() {
  local pid
  pid=$(property MainPID)
  [ "${pid:-0}" -gt 0 ] && kill "-$1" "$pid"
}
kept() { ask events | grep -q '"appeared"'; }
restarted() { [ "$(property NRestarts)" -gt "$1" ] && [ "$(property SubState)" = running ]; }
serves() { [ "$(property SubState)" = running ] && streams usb; }

main() {
  echo "machine $(uname -rm), Debian $(cat /etc/debian_version), systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), up after $(cut -d ' ' -f 1 /proc/uptime) s"
  ip link set lo up

  ok "dpkg installs the package, dependencies and all" dpkg --install /mnt/peregrine.deb
  ok "the package is configured" test "$(dpkg-query -W -f='${db:Status-Status}' peregrine)" = installed
  ok "it has a user of its own" getent passwd peregrine
  ok "probe runs on an emulated Cortex-A72, int8 kernel neon" sh -c 'peregrine probe >/mnt/probe.txt && grep -q "kernel neon$" /mnt/probe.txt'
  mkdir -p /usr/share/peregrine/models
  cp /mnt/tiny_detector.onnx /usr/share/peregrine/models/
  cp /mnt/peregrine.toml /etc/peregrine/peregrine.toml
  ok "the configuration is right" peregrine check --config /etc/peregrine/peregrine.toml

  systemctl start mosquitto
  ok "an MQTT broker runs" within 20 mosquitto_pub -h 127.0.0.1 -t test -m x
  modprobe vivid n_devs=1 node_types=0x1
  ok "the kernel's test camera is /dev/video0" within 10 test -c /dev/video0
  ip netns add far
  ip link add near0 type veth peer name far0 netns far
  ip addr add 10.9.0.1/24 dev near0
  ip link set near0 up
  ip -n far addr add 10.9.0.2/24 dev far0
  ip -n far link set far0 up
  ip -n far link set lo up
  # Events are not retained: who is to hear the first has to listen before.
  mosquitto_sub -h 127.0.0.1 -t peregrine/vm/camera/usb/events >/mnt/events.txt &
  ip netns exec far /mnt/camera 8554 /mnt/loop.ts >/mnt/camera.log 2>&1 &

  # What it says, for whoever reads this from outside while it runs.
  journalctl -u peregrine -f -o short-monotonic >/mnt/peregrine.log &
  # Start.
  local begun pid restarts
  begun=$(now_ms)
  ok "systemctl start returns when the daemon is ready" systemctl start peregrine
  note "start to READY $(($(now_ms) - begun)) ms"
  ok "the service is active" systemctl is-active --quiet peregrine
  ok "the kernel's camera streams through the sandbox" within 60 streams usb
  ok "the camera on the network streams" within 60 streams net
  ok "detections of the kernel's camera arrive at the broker" heard peregrine/vm/camera/usb/detections 30 '"person"'
  note "start to first detections at most $(($(now_ms) - begun)) ms"
  ok "detections of the network's camera arrive at the broker" heard peregrine/vm/camera/net/detections 30 '"person"'
  ok "the broker keeps that the device is online" heard peregrine/vm/status 10 online
  ok "an event of the kernel's camera arrives at the broker" within 30 grep -q '"appeared"' /mnt/events.txt
  ok "GET /events tells it as well" within 10 kept

  # The sandbox, as the kernel has it.
  pid=$(property MainPID)
  ok "it is not root" grep -q "^Uid:.$(id -u peregrine)" "/proc/$pid/status"
  ok "it has no capability" grep -q '^CapEff:.0000000000000000' "/proc/$pid/status"
  ok "its system calls are filtered" grep -q '^Seccomp:.2' "/proc/$pid/status"
  ok "its file system is read-only" sh -c "awk '\$5 == \"/\" { print \$6 }' /proc/$pid/mountinfo | grep -q '^ro'"
  ok "its state is its own" test "$(stat -c '%U %a' /var/lib/peregrine)" = "peregrine 700"
  note "$(systemd-analyze security peregrine --no-pager | tail -n 1)"

  # The journal.
  ok "lines have the field CAMERA" sh -c 'journalctl -u peregrine CAMERA=usb -o cat --no-pager | grep -q .'
  ok "lines have the field STAGE" sh -c 'journalctl -u peregrine STAGE=ingest -o cat --no-pager | grep -q .'

  # The network between camera and daemon.
  ok "netem is there" modprobe sch_netem
  tc -n far qdisc add dev far0 root netem delay 80ms 20ms loss 3%
  tc qdisc add dev near0 root netem delay 80ms 20ms loss 3%
  note "$(tc -n far qdisc show dev far0)"
  sleep 5
  ok "it streams over 80 ms and 3 % loss each way" within 20 streams net
  ok "detections go on meanwhile" heard peregrine/vm/camera/net/detections 30 '"person"'
  tc -n far qdisc replace dev far0 root netem loss 100%
  ok "a network that carries nothing is told of" heard peregrine/vm/camera/net/status 40 '"stalled"\|"failed"\|"connecting"'
  ok "the other camera streams on" streams usb
  tc -n far qdisc del dev far0 root
  tc qdisc del dev near0 root
  begun=$(now_ms)
  ok "the camera is back when the network is" within 60 streams net
  note "$(($(now_ms) - begun)) ms after"
  ok "none of this restarted the service" test "$(property NRestarts)" = 0

  # It dies, it hangs, it is asked to go.
  begun=$(now_ms)
  ok "there is somebody to kill" signal KILL
  ok "killed, it is restarted" within 30 restarted 0
  ok "and serves again" within 40 serves
  note "killed to frames $(($(now_ms) - begun)) ms"
  restarts=$(property NRestarts)
  ok "there is somebody to stop" signal STOP
  begun=$(now_ms)
  ok "hanging, it is killed by the watchdog and restarted" within 60 restarted "$restarts"
  ok "the journal says why" sh -c 'journalctl -u peregrine -o cat --no-pager | grep -q "Watchdog timeout"'
  ok "and it serves again" within 40 serves
  note "hang to frames $(($(now_ms) - begun)) ms, WatchdogSec $(property WatchdogUSec)"
  local worst=0 took i
  for i in 1 2 3; do
    begun=$(now_ms)
    systemctl stop peregrine
    took=$(($(now_ms) - begun))
    [ "$took" -le "$worst" ] || worst=$took
    [ "$(property Result)" = success ] || worst=99999
    [ "$i" = 3 ] || { systemctl start peregrine && within 40 streams usb; } || worst=99999
  done
  ok "SIGTERM ends it in good order within 5 s, 3 times of 3" test "$worst" -le 5000
  note "slowest $worst ms"

  # Away with it.
  ok "dpkg removes the package" dpkg --remove peregrine
  ok "the configuration stays" test -f /etc/peregrine/peregrine.toml
  ok "what it kept stays" test -d /var/lib/peregrine
  ok "dpkg purges it" dpkg --purge peregrine
  ok "then nothing stays" sh -c '! test -e /etc/peregrine/peregrine.toml && ! test -e /var/lib/peregrine'

  echo "$passed passed, $failed failed"
  [ "$failed" = 0 ] || touch /mnt/failed
}

main | tee /mnt/result.txt
