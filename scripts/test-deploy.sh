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
# shellcheck source=scripts/systemd/boards.sh
. "$here/systemd/boards.sh"
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

# A checkout with a model that was fetched: the manifest says under which name it lies there.
model_by_name() {
  local clone=$laptop/clone
  mkdir -p "$clone/models-cache"
  cp -r "$here" "$root/models" "$clone/"
  deploy ada@box --deb "$deb" --models yolox_nano_416
  [ -f "$root/models-cache/yolox_nano_416_op13.onnx" ] || { ends_with 1 && says "scripts/fetch-models.sh yolox_nano_416"; } || return 1
  cp "$root/tests/data/tiny_detector.onnx" "$clone/models-cache/yolox_nano_416_op13.onnx"
  here=$clone/scripts deploy ada@box --deb "$deb" --models yolox_nano_416
  ends_with 0 && says "sending yolox_nano_416_op13.onnx"
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
claim "a model is named as it was fetched" model_by_name
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
