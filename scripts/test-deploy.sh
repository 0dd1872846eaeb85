#!/usr/bin/env bash
# deploy.sh and the boards' set-up scripts against a device that is a container: a Debian 12 with sshd, a user who may use sudo, a broker
# that asks for a password and a fake camera.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/nspawn.sh
. "$here/nspawn.sh"
# shellcheck source=scripts/systemd/service.sh
. "$here/systemd/service.sh"
# shellcheck source=scripts/systemd/laptop.sh
. "$here/systemd/laptop.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/test-deploy.sh [--deb FILE] [--must-boot]

Boots the container of scripts/test-systemd.sh and deploys to it over ssh: first installation, the same again, a wrong configuration, a
package that does not run, an upgrade, back, a connection that breaks, many devices of which one is dead; then the boards' set-up scripts.
Needs root.

  --deb FILE   the package (amd64 on a PC); made by scripts/build-deb.sh if not named
  --must-boot  a machine on which the container does not boot is a failure
TEXT
}

deb="" must_boot=0
while [ $# -gt 0 ]; do
  case $1 in
    --deb) deb=${2:?--deb needs a file}; shift ;;
    --must-boot) must_boot=1 ;;
    -h | --help) usage; exit 0 ;;
    *) usage_error "unknown option $1" ;;
  esac
  shift
done
[ "$(id -u)" = 0 ] || fail "a container that boots needs root: sudo $0"
need_packages "${PACKAGES_NSPAWN[@]}"
need_deb

share=$(mktemp -d) laptop=$(mktemp -d)
at_end() {
  local status=$?
  trap - EXIT
  nspawn_halt
  rm -rf "$share" "$laptop"
  exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

device_sum() { inside sha256sum "$1" | cut -d' ' -f1; }

# A package whose program answers all questions and does not run.
broken_deb() {
  local tree=$share/broken
  dpkg-deb --raw-extract "$deb" "$tree"
  sed -i "s/^Version: .*/Version: $(dpkg-deb --field "$deb" Version)+zbroken/" "$tree/DEBIAN/control"
  mkdir -p "$tree/usr/lib/peregrine"
  mv "$(readlink -f "$tree/usr/bin/peregrine")" "$tree/usr/lib/peregrine/that-answers"
  cat >"$tree/usr/bin/peregrine" <<'TEXT'
#!/bin/sh
[ "$1" != run ] || exit 70
exec "$(dirname "$0")/../lib/peregrine/that-answers" "$@"
TEXT
  chmod 755 "$tree/usr/bin/peregrine"
  pack "$tree" "$laptop/broken.deb"
}
# The version of that one, and its program runs. It leaves the way back in force, as a package may that knows less than ours.
mended_deb() {
  local tree=$share/mended
  dpkg-deb --raw-extract "$deb" "$tree"
  sed -i "s/^Version: .*/Version: $(dpkg-deb --field "$deb" Version)+zbroken/" "$tree/DEBIAN/control"
  sed -i '/^ *leave_rollback$/d' "$tree/DEBIAN/postinst"
  echo mended >>"$tree/usr/bin/peregrine"
  pack "$tree" "$laptop/mended.deb"
}
# A package that comes onto the disk, and no further.
stuck_deb() {
  local tree=$share/stuck
  dpkg-deb --raw-extract "$deb" "$tree"
  sed -i "s/^Version: .*/Version: $(dpkg-deb --field "$deb" Version)+stuck/" "$tree/DEBIAN/control"
  # shellcheck disable=SC2016  # for the package's shell
  sed -i '1a [ "$1" != configure ] || exit 1' "$tree/DEBIAN/postinst"
  echo stuck >>"$tree/usr/bin/peregrine"
  pack "$tree" "$laptop/stuck.deb"
}
foreign_deb() {
  local tree=$share/foreign
  dpkg-deb --raw-extract "$deb" "$tree"
  sed -i "s/^Architecture: .*/Architecture: armhf/" "$tree/DEBIAN/control"
  pack "$tree" "$laptop/foreign.deb"
}

take_away() { inside dpkg --purge --force-depends "$@" >/dev/null 2>&1; }
lacks_a_plugin() {
  take_away gstreamer1.0-libav gstreamer1.0-plugins-good
  deploy ada@box --deb "$deb" --config "$laptop/good.toml"
  ends_with 1 && says "lacks gstreamer1.0-plugins-good:" && ! inside test -e /usr/bin/peregrine
}

first_installation() {
  deploy ada@box --deb "$deb" --config "$laptop/good.toml" --models "$root/tests/data/tiny_detector.onnx"
  ends_with 0 && says "board " && says "streaming" &&
    says "broker connected" && serves &&
    [ "$(device_sum /etc/peregrine/peregrine.toml)" = "$(sha256sum "$laptop/good.toml" | cut -d' ' -f1)" ] &&
    [ "$(inside stat -c '%a %U %G' /etc/peregrine/peregrine.toml)" = "640 root peregrine" ]
}

first_that_does_not_run() {
  deploy ada@box --deb "$laptop/broken.deb" --config "$laptop/good.toml" --models "$root/tests/data/tiny_detector.onnx" --install-missing
  ends_with 4 && says "installing: gstreamer1.0-plugins-good gstreamer1.0-libav" && says "stopped and disabled" && ! inside systemctl --quiet is-enabled peregrine && ! is_active || return 1
  inside env DEBIAN_FRONTEND=noninteractive dpkg --purge peregrine >/dev/null 2>&1 && inside rm -r /usr/share/peregrine
}

lacks_what_is_only_wanted() {
  take_away gstreamer1.0-libav
  deploy ada@box --deb "$deb"
  ends_with 0 && says "without gstreamer1.0-libav" && says "nothing to send" || return 1
  deploy ada@box --deb "$deb" --install-missing
  ends_with 0 && says "installing: gstreamer1.0-libav"
}

the_same_again() {
  local pid
  pid=$(property MainPID)
  deploy ada@box --deb "$deb" --config "$laptop/good.toml" --models "$root/tests/data/tiny_detector.onnx"
  ends_with 0 && says "nothing to send" && ! grep -q "sending" "$laptop/said" && is MainPID "$pid"
}

another_model() {
  cp "$root/tests/data/coded_detector.onnx" "$laptop/tiny_detector.onnx"
  deploy ada@box --deb "$deb" --models "$laptop/tiny_detector.onnx"
  ends_with 0 && [ "$(grep -c "sending" "$laptop/said")" = 1 ] && says "sending tiny_detector.onnx"
}

what_belongs_to_a_model() {
  mkdir -p "$laptop/other"
  for file in spare.onnx spare.calibration.json other/spare.onnx; do echo "$file" >"$laptop/$file"; done
  deploy ada@box --deb "$deb" --models "$laptop/spare.onnx" "$laptop/other/spare.onnx"
  ends_with 64 && says "the same name" || return 1
  deploy ada@box --deb "$deb" --models "$laptop/spare.onnx"
  ends_with 0 && says "sending spare.onnx" && says "sending spare.calibration.json" &&
    inside grep -qx spare.calibration.json /usr/share/peregrine/models/spare.calibration.json
}

# Something is in the way of the second, when the first is in its place.
half_of_the_models() {
  local at=/usr/share/peregrine/models
  inside mkdir "$at/zone.onnx.new" || return 1
  echo another >"$laptop/spare.onnx" && echo new >"$laptop/zone.onnx"
  deploy ada@box --deb "$deb" --models "$laptop/spare.onnx" "$laptop/zone.onnx"
  inside rmdir "$at/zone.onnx.new" || return 1
  ends_with 1 && says "could not be laid into $at" && inside grep -qx spare.onnx "$at/spare.onnx" && ! inside test -e "$at/zone.onnx"
}

# The program alone knows all the ways in which a key may be written.
no_room_for_models() {
  local before
  before=$(device_sum /etc/peregrine/peregrine.toml)
  inside mkdir -p /srv/small && inside mount -t tmpfs -o size=1m small /srv/small || return 1
  { echo "paths.models = '/srv/small'"; cat "$laptop/good.toml"; } >"$laptop/small.toml"
  CARGO_TARGET_DIR=$laptop/none deploy ada@box --config "$laptop/small.toml" --models "$laptop/spare.onnx"
  ends_with 1 && says "has 1 MB free" && [ "$(device_sum /etc/peregrine/peregrine.toml)" = "$before" ]
}
written_otherwise() {
  { echo "api.listen = '127.0.0.1:8421'"; cat "$laptop/good.toml"; } >"$laptop/otherwise.toml"
  deploy ada@box --deb "$deb" --config "$laptop/otherwise.toml"
  ends_with 0 && says "streaming" && inside curl -fs http://127.0.0.1:8421/healthz >/dev/null || return 1
  deploy ada@box --deb "$deb" --config "$laptop/good.toml"
  ends_with 0 && serves
}

wrong_configuration() {
  local pid before
  pid=$(property MainPID) before=$(device_sum /etc/peregrine/peregrine.toml)
  sed 's/threads = 1/threads = "many"/' "$laptop/good.toml" >"$laptop/wrong.toml"
  deploy ada@box --deb "$share/later.deb" --config "$laptop/wrong.toml"
  ends_with 78 && says "detect.threads" && says "nothing was changed" && is MainPID "$pid" && serves &&
    [ "$(device_sum /etc/peregrine/peregrine.toml)" = "$before" ] && [ "$(version)" = "$(dpkg-deb --field "$deb" Version)" ]
}

foreign_package() {
  deploy ada@box --deb "$laptop/foreign.deb"
  ends_with 1 && says "is for armhf"
}

camera_that_is_not_there() {
  local before
  before=$(device_sum /etc/peregrine/peregrine.toml)
  sed 's/8554/8555/' "$laptop/good.toml" >"$laptop/dark.toml"
  deploy ada@box --deb "$deb" --config "$laptop/dark.toml" --wait 4
  ends_with 3 && says "no camera gave a frame" && [ "$(device_sum /etc/peregrine/peregrine.toml)" = "$before" ] && wait_for 20 serves
}

package_that_does_not_run() {
  local before
  before=$(device_sum /usr/bin/peregrine)
  deploy ada@box --deb "$laptop/broken.deb"
  ends_with 3 && says "rolled back" && [ "$(device_sum /usr/lib/peregrine/previous/peregrine)" = "$before" ] && wait_for 20 serves && runs_previous
}

package_that_is_not_configured() {
  local before
  before=$(device_sum /usr/bin/peregrine)
  deploy ada@box --deb "$laptop/stuck.deb"
  ends_with 3 && says "rolled back" && [ "$(device_sum /usr/lib/peregrine/previous/peregrine)" = "$before" ] && wait_for 20 serves &&
    runs_previous || return 1
  deploy ada@box --deb "$deb"
  ends_with 0 && serves && runs_file /usr/bin/peregrine
}

# The bad package's version, mended: as somebody has it who builds again and changes no version.
the_same_version_mended() {
  deploy ada@box --deb "$laptop/mended.deb"
  ends_with 0 && serves && runs_file /usr/bin/peregrine && ! runs_file /usr/lib/peregrine/previous/peregrine &&
    [ "$(version)" = "$(dpkg-deb --field "$laptop/broken.deb" Version)" ] && ! inside test -e /etc/systemd/system/peregrine.service.d/rollback.conf
}

upgrade() {
  deploy ada@box --deb "$share/later.deb"
  ends_with 0 && [ "$(version)" = "$(dpkg-deb --field "$share/later.deb" Version)" ] && serves
}

# runs_previous: the service's process is the kept binary.
runs_previous() { runs_file /usr/lib/peregrine/previous/peregrine && ! runs_file /usr/bin/peregrine; }

back_and_forth() {
  deploy ada@box --rollback
  ends_with 0 && says "back at" && serves && runs_previous || return 1
  deploy ada@box --rollback
  ends_with 1 && says "runs already" && serves || return 1
  deploy ada@box --deb "$share/later.deb"
  ends_with 0 && says "sending later.deb" && serves && runs_file /usr/bin/peregrine
}

connection_breaks() {
  local before
  before=$(device_sum /usr/bin/peregrine)
  begin ada@box --deb "$laptop/broken.deb"
  wait_for 60 is_changing || { finish; ends_with 255; return 1; }
  cut_connection
  finish
  ends_with 255 && says "goes on by itself" && wait_for 90 is_left_alone && inside grep -qx "exit code 3" /run/peregrine-deploy.log &&
    [ "$(device_sum /usr/lib/peregrine/previous/peregrine)" = "$before" ] && wait_for 20 serves && runs_previous
}

ctrl_c() {
  begin ada@box --deb "$share/latest.deb"
  wait_for 60 is_changing || { finish; ends_with 130; return 1; }
  press_ctrl_c
  finish
  ends_with 130 && says "goes on by itself" && wait_for 90 is_left_alone && inside grep -qx "exit code 0" /run/peregrine-deploy.log &&
    serves && runs_file /usr/bin/peregrine && [ "$(version)" = "$(dpkg-deb --field "$share/latest.deb" Version)" ]
}

many_devices() {
  printf '# ours\nada@box\nada@dead   # not there\n' >"$laptop/hosts"
  deploy --hosts "$laptop/hosts" --deb "$share/latest.deb"
  ends_with 1 && grep -qE '^ada@box +runs' "$laptop/said" && grep -qE '^ada@dead +not done' "$laptop/said" && says "cannot be reached" &&
    rm -rf "$(sed -n 's/.*what each said lies in //p' "$laptop/said")" || return 1
  begin --hosts "$laptop/hosts" --deb "$share/latest.deb"
  wait_for 20 grep -qx "ada@dead: begun" "$laptop/said"
  press_ctrl_c
  finish
  ends_with 1 && says "no further device" && grep -qE '^ada@box +runs' "$laptop/said" &&
    rm -rf "$(sed -n 's/.*what each said lies in //p' "$laptop/said")"
}

# ---- the boards' set-up scripts ----

# shows BOARD SCRIPT WORDS…: a recorded board is shown these commands.
shows() {
  local board=$1 script=$2 words
  shift 2
  "$here/$script" --dry-run --tree "$root/tests/data/sysfs/$board" >"$laptop/said" 2>&1 || { cat "$laptop/said" >&2; return 1; }
  for words in "$@" "nothing was changed"; do says "$words" || return 1; done
}
boards_are_told_apart() {
  shows nano setup_jetson.sh "nvpmodel -m 0" "swapon" "jetson.conf" &&
    shows orin-nano setup_jetson.sh "done   power mode MAXN_SUPER" "swapon" &&
    shows xavier-nx setup_jetson.sh "power mode MODE_15W_6CORE" "nvpmodel -m 2" "jetson.conf" &&
    shows pi4 setup_pi.sh "zram-tools" "dphys-swapfile swapoff" "raspberry-pi.conf" &&
    shows pi5 setup_pi.sh "swap.conf.d/80-peregrine.conf" "Mechanism=zram" "raspberry-pi.conf" && ! says "zram-tools" 2>/dev/null &&
    ! "$here/setup_jetson.sh" --dry-run --tree "$root/tests/data/sysfs/pi5" 2>/dev/null &&
    ! "$here/setup_pi.sh" --dry-run --tree "$root/tests/data/sysfs/pc" 2>/dev/null
}

# Equal watts: the table's cores count before the name's, for a name may tell none.
strongest_has_most_cores() {
  local tree=$laptop/agx-xavier core
  cp -r "$root/tests/data/sysfs/xavier-nx" "$tree"
  {
    printf '< POWER_MODEL ID=0 NAME=MODE_30W_6CORE >\n'
    for core in 0 1 2 3 4 5; do echo "CPU_ONLINE CORE_$core 1"; done
    printf 'CPU_ONLINE CORE_6 0\nCPU_ONLINE CORE_7 0\n< POWER_MODEL ID=3 NAME=MODE_30W_ALL >\n'
    for core in 0 1 2 3 4 5 6 7; do echo "CPU_ONLINE CORE_$core 1"; done
    printf '< POWER_MODEL ID=5 NAME=MODE_30W_2CORE >\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\nCPU_ONLINE CORE_2 0\n'
  } >"$tree/etc/nvpmodel/nvpmodel_t194_p3668.conf"
  "$here/setup_jetson.sh" --dry-run --tree "$tree" >"$laptop/said" 2>&1 && says "power mode MODE_30W_ALL" && says "nvpmodel -m 3"
}

# What the boards have and the container has not: stand-ins that take and say what the real programs do.
recorded_boards() {
  local name
  inside cp -r /mnt/sysfs /srv/sysfs
  # NVIDIA's program keeps the mode with the fan's behind it, and asks before a mode that takes a restart.
  cat >"$share/nvpmodel" <<'TEXT'
#!/bin/sh
if [ "$2" = 0 ]; then
  echo "NVPM WARN: Reboot required for changing to this power mode: 0"
  echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
  read -r answer || echo "NVPM ERROR: bad input!"
  [ "$answer" != yes ] || systemctl reboot
  echo "NVPM ERROR: optMask is 1, no request for power mode"
  exit 255
fi
echo "pmode:000$2 fmode:quiet" >/srv/sysfs/orin-nano/var/lib/nvpmodel/status
TEXT
  # mkswap of Ubuntu 18.04 to 22.04 knows no more options than these.
  cat >"$share/mkswap" <<'TEXT'
#!/bin/sh
for word; do
  case $word in
    -c | --check | -f | --force | -p | --pagesize | -L | --label | -v* | --swapversion* | -U | --uuid) ;;
    -*) echo "mkswap: unrecognized option '$word'" >&2; exit 1 ;;
  esac
done
exec /usr/sbin/mkswap "$@"
TEXT
  # A container may not swap: what the kernel asks of a file is looked at.
  cat >"$share/swapon" <<'TEXT'
#!/bin/sh
swaps=/srv/sysfs/nano/proc/swaps
bytes=$(stat -c %s "$1")
[ "$(stat -c '%a %U' "$1")" = "600 root" ] && [ "$(tail -c +4087 "$1" | head -c 10)" = SWAPSPACE2 ] &&
  [ $(($(stat -c '%b * %B' "$1"))) -ge "$bytes" ] || { echo "swapon: $1: not a swap area" >&2; exit 255; }
[ -e "$swaps" ] || echo "Filename Type Size Used Priority" >"$swaps"
echo "$1 file $((bytes / 1024 - 4)) 0 -2" >>"$swaps"
TEXT
  cat >"$share/dphys-swapfile" <<'TEXT'
#!/bin/sh
[ "$1" != swapoff ] || sed -i '\|^/var/swap |d' /srv/sysfs/pi4/proc/swaps
TEXT
  for name in nvpmodel mkswap swapon dphys-swapfile; do inside install -m 755 "/mnt/$name" "/usr/local/sbin/$name"; done
  inside sh -c 'printf "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/dphys-swapfile.service'
  inside systemctl --quiet enable --now dphys-swapfile
  inside sh -c 'cd /srv/sysfs/pi4 && mkdir -p boot/firmware && echo "arm_64bit=1" >boot/firmware/config.txt &&
    echo "/dev/zram0 partition 1900000 0 100" >>proc/swaps && cd sys/devices/system/cpu/cpufreq/policy0 &&
    echo "ondemand performance powersave" >scaling_available_governors && echo ondemand >scaling_governor'
}
# set_up_with_swap SCRIPT ARGUMENT…: over ssh; the device by the name that ssh's configuration has for it.
set_up_with_swap() {
  local script=$1
  shift
  code=0
  "$here/$script" as-ada --ssh-config "$laptop/ssh" "$@" </dev/null >"$laptop/said" 2>&1 || code=$?
}
set_up() { set_up_with_swap "$@" --no-swap; }

jetson_is_set_up() {
  inside dpkg --purge --force-depends gstreamer1.0-libav >/dev/null 2>&1
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 25W
  ends_with 1 && says "say --yes" || return 1
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 25W --yes
  ends_with 0 && inside grep -q pmode:0001 /srv/sysfs/orin-nano/var/lib/nvpmodel/status &&
    inside dpkg --status gstreamer1.0-libav >/dev/null && inside id -nG ada | grep -qw video &&
    [ "$(property MemoryDenyWriteExecute)" = no ] || return 1
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 25W --yes
  ends_with 0 && says "nothing to do"
}

# Its other steps are taken all the same.
mode_that_takes_a_restart() {
  inside rm /etc/systemd/system/peregrine.service.d/jetson.conf
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 15W --yes
  ends_with 0 && says "takes a restart of the board: there, sudo nvpmodel -m 0" && says "done, but for this" &&
    inside grep -q pmode:0001 /srv/sysfs/orin-nano/var/lib/nvpmodel/status &&
    inside test -L /etc/systemd/system/peregrine.service.d/jetson.conf
}

has_swap_file() { [ "$(inside stat -c '%a %s' /var/swap-peregrine)" = "600 16777216" ] && [ "$(inside grep -c '^/var/swap-peregrine none swap' /etc/fstab)" = 1 ]; }
swap_is_made() {
  set_up_with_swap setup_jetson.sh --tree /srv/sysfs/nano --power-mode keep --swap-mb 16 --yes
  ends_with 0 && has_swap_file || return 1
  set_up_with_swap setup_jetson.sh --tree /srv/sysfs/nano --power-mode keep --swap-mb 16 --yes
  ends_with 0 && says "nothing to do" && has_swap_file
}

pi_is_set_up() {
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi4 --yes
  ends_with 0 && inside grep -q arm_boost=1 /srv/sysfs/pi4/boot/firmware/config.txt && property DeviceAllow | grep -q /dev/vcio &&
    ! inside grep -q /var/swap /srv/sysfs/pi4/proc/swaps && ! inside systemctl --quiet is-enabled dphys-swapfile || return 1
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi4 --yes
  ends_with 0 && says "nothing to do" || return 1
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi5 --yes
  ends_with 0 && inside grep -qx Mechanism=zram /srv/sysfs/pi5/etc/rpi/swap.conf.d/80-peregrine.conf || return 1
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi5 --yes
  ends_with 0 && says "nothing to do"
}

governor_is_read_back() {
  local file=/srv/sysfs/pi4/sys/devices/system/cpu/cpufreq/policy0/scaling_governor
  set_up setup_pi.sh --tree /srv/sysfs/pi4 --governor turbo --yes
  ends_with 1 && says "they have: ondemand performance powersave" && ! inside test -e /etc/tmpfiles.d/peregrine-clock.conf || return 1
  set_up setup_pi.sh --tree /srv/sysfs/pi4 --governor performance --yes
  ends_with 0 && [ "$(inside cat "$file")" = performance ] || return 1
  inside sh -c "echo ondemand >$file"
  set_up setup_pi.sh --tree /srv/sysfs/pi4 --governor performance --dry-run
  ends_with 0 && says "to do  governor of the clocks: performance"
}

serves_with_drop_ins() {
  local pid
  pid=$(property MainPID)
  inside systemctl restart peregrine && wait_for 20 serves_as_another "$pid"
}

# A stand-in for NVIDIA's camera daemon, which listens some time after it was started.
camera_daemon() {
  cat >"$share/nvargus" <<'TEXT'
import os, signal, socket, time
time.sleep(1)
if os.path.exists("/tmp/argus_socket"):
    os.unlink("/tmp/argus_socket")
listening = socket.socket(socket.AF_UNIX)
listening.bind("/tmp/argus_socket")
listening.listen()
signal.pause()
TEXT
  inside sh -c 'printf "[Service]\nExecStart=/usr/bin/python3 /mnt/nvargus\n" >/etc/systemd/system/nvargus-daemon.service'
  inside systemctl daemon-reload
  inside systemctl start nvargus-daemon
}
# The service's socket is the one of now: one that was unlinked has no name left.
sees_camera_daemon() {
  local there
  there="/proc/$(property MainPID)/root/tmp/argus_socket"
  [ "$(inside stat -c %i "$there")" = "$(inside stat -c %i /tmp/argus_socket)" ] && [ "$(inside stat -c %h "$there")" = 1 ]
}
follows_camera_daemon() {
  local pid
  pid=$(property MainPID)
  camera_daemon
  inside systemctl restart peregrine && wait_for 20 serves_as_another "$pid" && sees_camera_daemon || return 1
  pid=$(property MainPID)
  inside systemctl restart nvargus-daemon && wait_for 20 serves_as_another "$pid" && sees_camera_daemon
}

leaves_nothing_behind() { [ -z "$(inside find /var/tmp -maxdepth 1 -name 'peregrine-*')" ] && ! inside sh -c 'ls /usr/bin/*.new /etc/peregrine/*.new' >/dev/null 2>&1; }

lay_out
cp -r "$root/tests/data/sysfs" "$share/"
repack "$(dpkg-deb --field "$deb" Version)+later" "$share/later.deb"
repack "$(dpkg-deb --field "$deb" Version)+latest" "$share/latest.deb"
broken_deb
mended_deb
stuck_deb
foreign_deb
sed 's#/mnt/#/usr/share/peregrine/models/#' "$here/systemd/peregrine.toml" >"$laptop/good.toml"
boot_or_skip
password="p$RANDOM$RANDOM"
inside mkdir -p /etc/peregrine
give_credential "$password"
surroundings "$password"
let_in

claim "a plugin that is missing is named, and nothing is done" lacks_a_plugin
claim "what is missing is installed; a first installation that does not run is stopped and disabled" first_that_does_not_run
claim "first installation, with a configuration and a model" first_installation
claim "the same again sends nothing and restarts nothing" the_same_again
claim "a plugin that is only wanted is named, and no reason to stop" lacks_what_is_only_wanted
claim "another model of the same name is the only thing sent" another_model
claim "what belongs to a model goes with it, two of one name are refused" what_belongs_to_a_model
claim "models that cannot all be laid down leave those that were there" half_of_the_models
claim "models for which there is no room are not sent" no_room_for_models
claim "a configuration is read as the program reads it" written_otherwise
claim "a wrong configuration is refused, the old one goes on" wrong_configuration
claim "a package for another architecture is refused" foreign_package
claim "no frame: back to the configuration before" camera_that_is_not_there
claim "a package that cannot be configured: back to the one before" package_that_is_not_configured
claim "a package that does not run: back to the one before" package_that_does_not_run
claim "the same version, mended, is run" the_same_version_mended
claim "an upgrade" upgrade
claim "--rollback, once, until the next deployment" back_and_forth
claim "a connection that breaks does not keep the device from going back" connection_breaks
claim "Ctrl-C on the laptop does not keep the device from going on" ctrl_c
claim "many devices, one of them dead; Ctrl-C waits for those begun" many_devices
claim "set-up scripts show each recorded board its own steps" boards_are_told_apart
claim "of the modes with equal watts a Jetson gets the one with most cores" strongest_has_most_cores
recorded_boards
claim "a Jetson is set up, and the second time there is nothing to do" jetson_is_set_up
claim "a power mode that takes a restart is named, and all else is done" mode_that_takes_a_restart
claim "a board with little memory gets swap, once" swap_is_made
claim "a Pi is set up, and the second time there is nothing to do" pi_is_set_up
claim "a governor is refused where the clocks do not have it, and read back where they do" governor_is_read_back
claim "the service runs with the boards' drop-ins" serves_with_drop_ins
claim "a camera daemon that starts again is found again" follows_camera_daemon
claim "nothing is left behind" leaves_nothing_behind
closing
