#!/usr/bin/env bash
# Makes a Jetson ready for Peregrine: power mode, swap, what the service may open, packages. Every step is shown before anything is done;
# what is done already is left alone. Not yet run on hardware: the commands are those of NVIDIA's documentation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/setup/steps.sh
. "$here/setup/steps.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/setup_jetson.sh [USER@HOST] [--power-mode NAME|keep] [--dry-run] [--yes] [options]

On the Jetson, or from elsewhere with USER@HOST. Shows all steps, asks, and takes them.

  --power-mode NAME  a mode of /etc/nvpmodel.conf, e.g. 15W; the strongest if not named; keep leaves it
TEXT
  common_usage
}

power_mode="" arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --power-mode) power_mode=${2:?--power-mode needs a name}; arguments+=("$1" "$2"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *)
      common_option "$@"
      [ "$taken" -gt 0 ] || usage_error "unknown option $1"
      [[ $1 == *@* || $1 == --ssh-config ]] || arguments+=("${@:1:taken}")
      shift "$taken" ;;
  esac
done
[ -z "$target" ] || go_there setup_jetson.sh "${arguments[@]}"

board_is nvidia,tegra || fail "this is no Jetson: $(board_model | grep . || echo "it has no device tree")"

# Engines for a GPU are built in memory that both share: boards with less than this have too little without swap.
ENOUGH_MB=12000
SWAP_FILE=/var/swap-peregrine
SWAP_GB=4

# modes: "ID NAME" a line, as the board has them.
modes() { read_file /etc/nvpmodel.conf | sed -n 's/^< *POWER_MODEL *ID=\([0-9]*\) *NAME=\([^ >]*\).*/\1 \2/p'; }
# MAXN knows no limit and is the strongest, of its kinds MAXN_SUPER; else the one with most watts in its name.
strongest_mode() {
  modes | awk '{ name = $2; watts = 0
    if (name ~ /^MAXN/) watts = 1000 + (name ~ /SUPER/)
    else if (match(name, /[0-9]+W/)) watts = substr(name, RSTART, RLENGTH - 1) + 0
    if (watts > most) { most = watts; best = $0 } } END { print best }'
}
mode_now() { read_file /var/lib/nvpmodel/status | sed -n 's/^pmode:0*\([0-9]\)/\1/p'; }
is_in_mode() { [ "$(mode_now)" = "$mode_id" ]; }
# Where a mode takes a restart of the board, NVIDIA's program asks and gets no answer: the mode does not hold then, and the script says so.
set_mode() { change nvpmodel -m "$mode_id"; }

choose_mode() {
  local chosen
  if [ -n "$power_mode" ]; then
    chosen=$(modes | awk -v name="$power_mode" '$2 == name || $1 == name')
    [ -n "$chosen" ] || fail "there is no power mode $power_mode; there are: $(modes | cut -d' ' -f2 | paste -sd' ')"
  else
    chosen=$(strongest_mode)
  fi
  mode_id=${chosen%% *} mode_name=${chosen#* }
}

has_swap() { [ "$(awk 'NR > 1 && $1 !~ /zram/ { kb += $3 } END { print int(kb / 1048576 + 0.5) }' "${tree}/proc/swaps" 2>/dev/null || echo 0)" -ge "$SWAP_GB" ]; }
add_swap() {
  change fallocate --length "${SWAP_GB}G" "$SWAP_FILE"
  change chmod 600 "$SWAP_FILE"
  change mkswap --quiet "$SWAP_FILE"
  change sh -c "grep -q '^$SWAP_FILE ' /etc/fstab || echo '$SWAP_FILE none swap sw 0 0' >>/etc/fstab"
  change swapon "$SWAP_FILE"
}

tensorrt_is_there() { ldconfig -p 2>/dev/null | grep -q 'libnvinfer\.so'; }

steps() {
  if [ "$power_mode" = keep ]; then
    note "power mode: left as it is"
  elif [ -z "$mode_id" ]; then
    note "power mode: /etc/nvpmodel.conf names none"
  else
    step "power mode $mode_name (nvpmodel $mode_id)" is_in_mode set_mode
  fi
  if [ "$swap" = 1 ] && [ "$(memory_mb)" -lt "$ENOUGH_MB" ]; then
    step "$SWAP_GB GB of swap in $SWAP_FILE: engines are built in the memory that is there" has_swap add_swap
  fi
  step "GStreamer: ${packages[*]}" has_packages install_packages
  step "the service may open the GPU and NVIDIA's decoders ($drop_in)" has_drop_in link_drop_in
  step "$(person) may open cameras and the GPU" person_has_groups give_groups
  tensorrt_is_there || note "TensorRT is not there: models would run on the processor. JetPack has it: sudo apt-get install nvidia-tensorrt"
}

drop_in=jetson.conf mode_id="" mode_name=""
packages=("${PACKAGES_RUN[@]}")
! has_candidate nvidia-l4t-gstreamer || packages+=(nvidia-l4t-gstreamer)
[ "$power_mode" = keep ] || choose_mode
say "$(board_model), $(memory_mb) MB"
take steps
