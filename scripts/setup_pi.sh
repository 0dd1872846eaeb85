#!/usr/bin/env bash
# Makes a Raspberry Pi ready for Peregrine: clock, swap, what the service may open, packages. Every step is shown before anything is done;
# what is done already is left alone. Not yet run on hardware: the settings are those of Raspberry Pi's documentation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/setup/steps.sh
. "$here/setup/steps.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/setup_pi.sh [USER@HOST] [--governor NAME] [--dry-run] [--yes] [options]

On the Raspberry Pi (4 or 5, the 64-bit system), or from elsewhere with USER@HOST. Shows all steps, asks, and takes them.

  --governor NAME    of the processors' clocks, e.g. performance or powersave, from every start on; left as it is if not named
TEXT
  common_usage
}

governor="" arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --governor) governor=${2:?--governor needs a name}; arguments+=("$1" "$2"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *)
      common_option "$@"
      [ "$taken" -gt 0 ] || usage_error "unknown option $1"
      [[ $1 == *@* || $1 == --ssh-config ]] || arguments+=("${@:1:taken}")
      shift "$taken" ;;
  esac
done
[[ $governor =~ ^[a-z_]*$ ]] || usage_error "--governor takes a governor's name, not $governor"
[ -z "$target" ] || go_there setup_pi.sh "${arguments[@]}"

board_is raspberrypi || fail "this is no Raspberry Pi: $(board_model | grep . || echo "it has no device tree")"
[ -n "$tree" ] || [ "$(dpkg --print-architecture)" = arm64 ] ||
  fail "this system is $(dpkg --print-architecture): Peregrine takes the 64-bit Raspberry Pi OS (arm64)"

# A Pi 4 of later revisions goes up to 1.8 GHz where this says so; on all others the line means nothing.
boot_config() {
  local file
  for file in /boot/firmware/config.txt /boot/config.txt; do
    [ ! -f "$tree$file" ] || { printf '%s\n' "$file"; return 0; }
  done
}
is_boosted() { grep -q '^arm_boost=1' "$tree$(boot_config)"; }
boost() { change sh -c "printf '\n[pi4]\narm_boost=1\n[all]\n' >>$tree$(boot_config)"; }

GOVERNOR_FILE=/etc/tmpfiles.d/peregrine-clock.conf
governor_line() { printf 'w /sys/devices/system/cpu/cpufreq/policy*/scaling_governor - - - - %s\n' "$governor"; }
has_governor() { [ "$(cat "$GOVERNOR_FILE" 2>/dev/null)" = "$(governor_line)" ]; }
set_governor() {
  write "$GOVERNOR_FILE" "$(governor_line)"
  change systemd-tmpfiles --create "$GOVERNOR_FILE"
}

# Swap in memory, compressed: a card wears, and is slower than what it would save.
has_zram() { grep -q zram "$tree/proc/swaps" 2>/dev/null; }
add_zram() {
  change apt-get update -qq
  change env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends zram-tools
  write /etc/default/zramswap "ALGO=lz4
PERCENT=50"
  change systemctl restart zramswap
}
card_is_spared() { ! systemctl is-enabled --quiet dphys-swapfile 2>/dev/null; }
spare_card() {
  change dphys-swapfile swapoff
  change systemctl disable --now dphys-swapfile
}

steps() {
  if board_is bcm2711 && [ -n "$(boot_config)" ]; then step "a Pi 4's full clock (from the next start on)" is_boosted boost; fi
  if [ -n "$governor" ]; then step "governor of the clocks: $governor" has_governor set_governor; fi
  if [ "$swap" = 1 ]; then
    step "swap in memory, compressed" has_zram add_zram
    step "no swap on the card" card_is_spared spare_card
  fi
  step "GStreamer: ${packages[*]}" has_packages install_packages
  step "the service may ask the firmware about heat and power ($drop_in)" has_drop_in link_drop_in
  step "$(person) may open cameras" person_has_groups give_groups
}

drop_in=raspberry-pi.conf
packages=("${PACKAGES_RUN[@]}")
! has_candidate gstreamer1.0-libcamera || packages+=(gstreamer1.0-libcamera)
say "$(board_model), $(memory_mb) MB"
take steps
