#!/usr/bin/env bash
# One device as the laptop sees it: the connection, its questions, what is sent. Sourced by deploy.sh. What happens on the device belongs to
# device.sh.
# shellcheck disable=SC2034,SC2154  # deploy.sh reads what is set here, and says where things lie and what was asked for

# The daemon's GStreamer plugins. libav decodes on the processor what the board does not: the package recommends it, and boards do without.
PACKAGES_WANTED=(gstreamer1.0-libav)
mapfile -t PACKAGES_NEEDED < <(printf '%s\n' "${PACKAGES_RUN[@]}" | grep -vxF -f <(printf '%s\n' "${PACKAGES_WANTED[@]}"))

# connect HOST WORK: one connection for all that follows; without a terminal nobody is asked for a password.
connect() {
  device=$1 work=$2
  # A connection that has gone dead is known to be so after a minute; an installation may say nothing for longer than that.
  ssh_options=(-o ConnectTimeout=10 -o ServerAliveInterval=15 -o ServerAliveCountMax=4
    -o ControlMaster=auto -o "ControlPath=$work/ssh-%C" -o ControlPersist=120)
  [ -z "$ssh_config" ] || ssh_options=(-F "$ssh_config" "${ssh_options[@]}")
  [ -t 0 ] || ssh_options+=(-o BatchMode=yes)
  remote true || fail "$device cannot be reached by ssh"
  remote "[ \"\$(id -u)\" = 0 ] || sudo -n true" 2>/dev/null ||
    fail "$device: neither root, nor sudo without a password: see docs/deploy.md"
}

disconnect() { ssh "${ssh_options[@]}" -O exit "$device" 2>/dev/null || true; }

# remote COMMAND: as the user who logs in; with_input hands on what it reads itself.
remote() { with_input "$1" </dev/null; }
# shellcheck disable=SC2029  # the command is put together here
with_input() { ssh "${ssh_options[@]}" "$device" "$1"; }

# on_device WHAT ARGUMENTS…: device.sh there, as root. It is read as a whole before it begins: nothing it starts may read on in it.
on_device() {
  local words
  # shellcheck disable=SC2016  # the device's bash is to expand it
  words=$(printf '%q ' bash -c 'text=$(cat); eval "$text"' device "$@")
  with_input "if [ \"\$(id -u)\" = 0 ]; then exec $words; else exec sudo -n $words; fi" < <(device_text)
}
device_text() {
  local part
  for part in device device-look device-health device-change; do cat "$here/deploy/$part.sh"; done
  # shellcheck disable=SC2016
  printf '"$@"\n'
}

# hand_over WHAT ARGUMENTS…: what the device does by itself, to its end, whoever listens.
hand_over() {
  local status=0
  handed_over=1
  on_device by_itself "$@" || status=$?
  [ "$status" != 255 ] || exit 255
  handed_over=0
  [ "$status" = 0 ] || exit "$status"
}

# send FILE PATH: into the staging folder.
send() {
  say "  sending $(basename "$1"), $(du -h --apparent-size "$1" | cut -f1)"
  with_input "cat >$(printf %q "$staging/$2")" <"$1" || fail "$1 could not be sent"
}

# read_facts PACKAGE…: into the array `fact`.
read_facts() {
  local line
  fact=()
  while IFS= read -r line; do fact[${line%%=*}]=${line#*=}; done < <(on_device facts "$@")
  [ -n "${fact[arch]:-}" ] || fail "$device did not say what it is"
}

# What must be so before anything is sent.
judge() {
  [ "${fact[dpkg]}" = yes ] || fail "$device (${fact[os]}) has no dpkg: this is for Debian, Raspberry Pi OS and Ubuntu; see docs/yocto.md for images"
  [ "${fact[systemd]}" = yes ] || fail "$device does not run systemd"
  case ${fact[arch]} in arm64 | amd64) ;; *) fail "$device is ${fact[arch]}: there are packages for arm64 and amd64 (a Pi needs the 64-bit system)" ;; esac
  local lacks
  lacks=$(lacking "${PACKAGES_NEEDED[@]}")
  if [ "$install_missing" = 1 ]; then return 0; fi
  [ -z "$lacks" ] || fail "$device lacks $lacks: say --install-missing, or there: sudo apt-get install ${fact[missing]}"
  [ -z "${fact[missing]}" ] || say "  without ${fact[missing]}, which is wanted for what the board itself does not decode; --install-missing installs it"
}

# lacking PACKAGE…: those of them that the device has not.
lacking() { printf '%s\n' "$@" | grep -xF -e "${fact[missing]// /$'\n'}" | paste -sd' ' || true; }

# find_deb ARCH: the newest that was built for it.
find_deb() {
  # Neither folder has to be there.
  { find "${CARGO_TARGET_DIR:-$root/target}" "$root/dist" -maxdepth 4 -name "peregrine_*_$1.deb" -printf '%T@ %p\n' 2>/dev/null || true; } |
    sort -n | tail -n 1 | cut -d' ' -f2-
}

# deb_contents FILE: as device.sh's `contents` tells of an installed package. Not by the package's own list of sums, which it need not have.
deb_contents() {
  local tree=$work/contents
  dpkg-deb --extract "$1" "$tree"
  (cd "$tree" && find . -type f ! -path './etc/*' -printf '%P\0' | xargs -0 md5sum | LC_ALL=C sort | sha256sum | cut -d' ' -f1)
  rm -rf "$tree"
}

# model_files NAME: the model's file, and of those that the program looks for beside it, the ones that lie there: the calibration for 8 bits, the
# forms with and without TensorRT's scales.
model_files() {
  local file stem name
  file=$(model_file "$1") || return 1
  printf '%s\n' "$file"
  [[ $file == *.onnx ]] || return 0
  stem=${file%.onnx} stem=${stem%.tensorrt}
  for name in "${file%.onnx}.calibration.json" "$stem.tensorrt.onnx" "${stem%_int8}_int8.tensorrt.onnx" "${stem%_int8}.onnx"; do
    [ "$name" = "$file" ] || [ ! -f "$name" ] || printf '%s\n' "$name"
  done
}

# model_file NAME: a file, or a model's name as fetch-models.sh knows it: models/manifest.toml says what its file is called.
model_file() {
  local cache=$root/models-cache file known
  known=$(python3 "$here/manifest.py" "$root/models/manifest.toml" "$1" 2>/dev/null | cut -d $'\x1f' -f 2 | head -n 1) || true
  for file in "$1" "$cache/$known" "$cache/$1.onnx" "$cache/$1"; do
    [ ! -f "$file" ] || { printf '%s\n' "$file"; return 0; }
  done
  fail "model $1 is neither a file nor in models-cache${known:+ (as $known)}: scripts/fetch-models.sh $1"
}
