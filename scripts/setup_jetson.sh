#!/usr/bin/env bash
# Makes a Jetson ready for Peregrine: swap, packages, what the service may open, power mode. Every step is shown before anything is done;
# what is done already is left alone. Not yet run on hardware: the commands are those of NVIDIA's documentation.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/setup/steps.sh
. "$here/setup/steps.sh"

usage() {
  cat <<'TEXT'
Usage: scripts/setup_jetson.sh [USER@HOST] [--power-mode NAME|keep] [--swap-mb MB] [--dry-run] [--yes] [options]

On the Jetson, or from elsewhere with USER@HOST or a name that ssh knows. Shows all steps, asks, and takes them.

  --power-mode NAME  a mode of /etc/nvpmodel.conf, e.g. 15W; the strongest if not named; keep leaves it. One that takes a restart of the
                     board is not set but named
  --swap-mb MB       how much swap a board with little memory gets (4096)
TEXT
  common_usage
}

power_mode="" swap_mb=4096 arguments=()
while [ $# -gt 0 ]; do
  case $1 in
    --power-mode) power_mode=${2:?--power-mode needs a name}; arguments+=("$1" "$2"); shift 2 ;;
    --swap-mb) swap_mb=${2:?--swap-mb needs a number}; arguments+=("$1" "$2"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    *)
      common_option "$@"
      [ "$taken" -gt 0 ] || usage_error "unknown option $1"
      [[ $1 != -* || $1 == --ssh-config ]] || arguments+=("${@:1:taken}")
      shift "$taken" ;;
  esac
done
[[ $swap_mb =~ ^[1-9][0-9]*$ ]] || usage_error "--swap-mb takes a number of megabytes, not $swap_mb"
[ -z "$target" ] || go_there setup_jetson.sh "${arguments[@]}"

board_is nvidia,tegra || fail "this is no Jetson: $(board_model | grep . || echo "it has no device tree")"

# Engines for a GPU are built in memory that both share: boards with less than this have too little without swap.
ENOUGH_MB=12000
SWAP_FILE=/var/swap-peregrine

# modes: "ID NAME CORES" a line, as the board has them; CORES is how many the mode switches on.
modes() {
  read_file /etc/nvpmodel.conf | awk '
    function close_mode() { if (id != "") print id, name, cores }
    /^< *POWER_MODEL/ {
      close_mode()
      id = name = $0
      sub(/.* ID=/, "", id); sub(/[ >].*/, "", id)
      sub(/.* NAME=/, "", name); sub(/[ >].*/, "", name)
      cores = 0
    }
    /^CPU_ONLINE +CORE_[0-9]+ +1/ { cores++ }
    END { close_mode() }'
}
# MAXN knows no limit and is the strongest, of its kinds MAXN_SUPER; else the one with most watts in its name. Of several with the same watts
# the one that switches most cores on, by the table or else by its name: a Xavier NX has three modes of 15 W, with two, four and six.
strongest_mode() {
  modes | awk '{ name = $2; watts = named = 0
    if (name ~ /^MAXN/) watts = 1000 + (name ~ /SUPER/)
    else if (match(name, /[0-9]+W/)) watts = substr(name, RSTART, RLENGTH - 1) + 0
    if (match(name, /[0-9]+CORE/)) named = substr(name, RSTART, RLENGTH - 4) + 0
    rank = watts * 10000 + $3 * 100 + named
    if (rank > most) { most = rank; best = $0 } } END { print best }'
}
# The file is `pmode:0001`, or `pmode:0001 fmode:quiet` where NVIDIA's program has modes of the fan, too.
mode_now() { read_file /var/lib/nvpmodel/status | sed -n 's/^pmode:0*\([0-9][0-9]*\).*/\1/p'; }
is_in_mode() { [ "$(mode_now)" = "$mode_id" ]; }
# Where a mode takes a restart of the board, NVIDIA's program asks and gets no answer, and nothing is changed. Whether its exit code tells of
# that differs between versions: what counts is the mode afterwards.
set_mode() {
  local words
  if [ "$mode" = show ]; then change nvpmodel -m "$mode_id"; return 0; fi
  words=$(as_root nvpmodel -m "$mode_id" </dev/null 2>&1) || true
  [ -z "$words" ] || printf '%s\n' "$words"
  is_in_mode || grep -qi reboot <<<"$words" || fail "nvpmodel -m $mode_id did not set the mode $mode_name"
}

choose_mode() {
  local chosen
  if [ -n "$power_mode" ]; then
    chosen=$(modes | awk -v name="$power_mode" '$2 == name || $1 == name')
    [ -n "$chosen" ] || fail "there is no power mode $power_mode; there are: $(modes | cut -d' ' -f2 | paste -sd' ')"
  else
    chosen=$(strongest_mode)
  fi
  read -r mode_id mode_name _ <<<"$chosen" || true
}

# A swap area is some kilobytes smaller than its file.
has_swap() { [ "$(awk 'NR > 1 && $1 !~ /zram/ { kb += $3 } END { print int((kb + 1023) / 1024) }' "${tree}/proc/swaps" 2>/dev/null || echo 0)" -ge "$swap_mb" ]; }
# Without options that only newer systems' programs have: JetPack 4 to 6 are Ubuntu 18.04 to 22.04.
add_swap() {
  # One of another size.
  if grep -q "^$SWAP_FILE " "$tree/proc/swaps" 2>/dev/null; then change swapoff "$SWAP_FILE"; fi
  change fallocate --length "${swap_mb}M" "$SWAP_FILE"
  change chmod 600 "$SWAP_FILE"
  change mkswap "$SWAP_FILE"
  change sh -c "grep -q '^$SWAP_FILE ' /etc/fstab || echo '$SWAP_FILE none swap sw 0 0' >>/etc/fstab"
  change swapon "$SWAP_FILE"
}

ARGUS_DROP_IN=nvargus-daemon.conf
ARGUS_LINK=/etc/systemd/system/nvargus-daemon.service.d/peregrine.conf
has_argus_drop_in() { has_link "$ARGUS_LINK" "$ARGUS_DROP_IN"; }
link_argus_drop_in() { link "$ARGUS_LINK" "$ARGUS_DROP_IN"; }

tensorrt_is_there() { ldconfig -p 2>/dev/null | grep -q 'libnvinfer\.so'; }

steps() {
  if [ "$swap" = 1 ] && [ "$(memory_mb)" -lt "$ENOUGH_MB" ]; then
    step "$swap_mb MB of swap in $SWAP_FILE: engines are built in the memory that is there" has_swap add_swap
  fi
  step "GStreamer: ${packages[*]}" has_packages install_packages
  step "the service may open the GPU and NVIDIA's decoders ($drop_in)" has_drop_in link_drop_in
  step "the service is given a new socket of the camera daemon ($ARGUS_DROP_IN)" has_argus_drop_in link_argus_drop_in
  step "$(person) may open cameras and the GPU" person_has_groups give_groups
  tensorrt_is_there || note "TensorRT is not there: models would run on the processor. JetPack has it: sudo apt-get install nvidia-tensorrt"
  if [ "$power_mode" = keep ]; then
    note "power mode: left as it is"
  elif [ -z "$mode_id" ]; then
    note "power mode: /etc/nvpmodel.conf names none"
  else
    step "power mode $mode_name (nvpmodel $mode_id)" is_in_mode set_mode \
      "power mode $mode_name takes a restart of the board: there, sudo nvpmodel -m $mode_id, and YES to its question"
  fi
}

drop_in=jetson.conf mode_id="" mode_name=""
packages=("${PACKAGES_RUN[@]}")
! has_candidate nvidia-l4t-gstreamer || packages+=(nvidia-l4t-gstreamer)
[ "$power_mode" = keep ] || choose_mode
say "$(board_model), $(memory_mb) MB"
take steps
