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

On the Raspberry Pi (4 or 5, the 64-bit system), or from elsewhere with USER@HOST or a name that ssh knows. Shows all steps, asks, and takes them.

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
      [[ $1 != -* || $1 == --ssh-config ]] || arguments+=("${@:1:taken}")
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
policies=("$tree"/sys/devices/system/cpu/cpufreq/policy*)
governor_line() { printf 'w %s/sys/devices/system/cpu/cpufreq/policy*/scaling_governor - - - - %s\n' "$tree" "$governor"; }
governors() { cat "${policies[@]/%//scaling_available_governors}" 2>/dev/null | tr ' ' '\n' | grep . | sort -u | paste -sd' '; }
# By every policy: what the kernel does not know it would refuse at every start.
governor_is_offered() {
  local policy
  for policy in "${policies[@]}"; do
    tr ' ' '\n' 2>/dev/null <"$policy/scaling_available_governors" | grep -qx "$governor" || return 1
  done
}
# Now, and from the next start on.
has_governor() {
  local policy
  [ "$(cat "$GOVERNOR_FILE" 2>/dev/null)" = "$(governor_line)" ] || return 1
  for policy in "${policies[@]}"; do [ "$(cat "$policy/scaling_governor" 2>/dev/null)" = "$governor" ] || return 1; done
}
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

# Raspberry Pi OS 13 brings this itself, rpi-swap, and two programs cannot own one /dev/zram0. As it comes it may write what lies idle in memory
# to a file on the card; its settings are read when the board starts.
RPI_SWAP=/etc/rpi/swap.conf
has_rpi_swap() { [ -f "$tree$RPI_SWAP" ]; }
rpi_swap_mechanism() { cat "$tree$RPI_SWAP" "$tree$RPI_SWAP.d"/*.conf 2>/dev/null | sed -n 's/^[[:space:]]*Mechanism[[:space:]]*=[[:space:]]*//p' | tail -n 1; }
rpi_swap_spares_card() { case $(rpi_swap_mechanism) in zram | none) ;; *) false ;; esac; }
spare_card_of_rpi_swap() {
  write "$tree$RPI_SWAP.d/80-peregrine.conf" "[Main]
Mechanism=zram"
}

# Before that it was dphys-swapfile, and a file.
SYSTEMS_OWN=/var/swap
has_dphys() { [ -f "$tree/etc/dphys-swapfile" ]; }
dphys_is_on() { systemctl is-enabled --quiet dphys-swapfile 2>/dev/null; }
swaps_on_disk() { awk 'NR > 1 && $1 !~ /zram/ { print $1 }' "$tree/proc/swaps" 2>/dev/null || true; }
card_is_spared() { ! dphys_is_on && ! swaps_on_disk | grep -qx "$SYSTEMS_OWN"; }
spare_card() {
  change dphys-swapfile swapoff
  change systemctl disable --now dphys-swapfile
}

swap_steps() {
  local others
  others=$(swaps_on_disk)
  if has_rpi_swap; then
    step "swap in memory alone, none on the card (rpi-swap; from the next start on)" rpi_swap_spares_card spare_card_of_rpi_swap \
      "another file of $RPI_SWAP.d has swap on the card: $(rpi_swap_mechanism)"
  else
    step "swap in memory, compressed" has_zram add_zram
    if has_dphys || [ -z "$others" ]; then step "no swap on the card" card_is_spared spare_card; fi
  fi
  # Somebody's own may lie on another disk.
  if has_rpi_swap || has_dphys; then others=$(grep -vx "$SYSTEMS_OWN" <<<"$others") || true; fi
  [ -z "$others" ] || note "swap that stays: ${others//$'\n'/, }. Where that is the card: sudo swapoff, and its line in /etc/fstab"
}

steps() {
  if board_is bcm2711 && [ -n "$(boot_config)" ]; then step "a Pi 4's full clock (from the next start on)" is_boosted boost; fi
  if [ -n "$governor" ]; then step "governor of the clocks: $governor" has_governor set_governor; fi
  if [ "$swap" = 1 ]; then swap_steps; fi
  step "GStreamer: ${packages[*]}" has_packages install_packages
  step "the service may ask the firmware about heat and power ($drop_in)" has_drop_in link_drop_in
  step "$(person) may open cameras" person_has_groups give_groups
}

[ -z "$governor" ] || governor_is_offered || fail "this board's clocks do not have the governor $governor; they have: $(governors | grep . || echo none)"
drop_in=raspberry-pi.conf
packages=("${PACKAGES_RUN[@]}")
! has_candidate gstreamer1.0-libcamera || packages+=(gstreamer1.0-libcamera)
say "$(board_model), $(memory_mb) MB"
take steps
