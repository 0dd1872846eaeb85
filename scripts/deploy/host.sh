#!/usr/bin/env bash
# One device as the laptop sees it: the connection, its questions, what is sent. Sourced by deploy.sh. What happens on the device belongs to
# device.sh.
# shellcheck disable=SC2154  # deploy.sh says where things lie and what was asked for

# connect HOST WORK: one connection for all that follows; without a terminal nobody is asked for a password.
connect() {
  device=$1 work=$2
  ssh_options=(-o ConnectTimeout=10 -o ControlMaster=auto -o "ControlPath=$work/ssh-%C" -o ControlPersist=120)
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

# on_device WHAT ARGUMENTS…: device.sh there, as root.
on_device() {
  local words
  words=$(printf '%q ' "$@")
  with_input "if [ \"\$(id -u)\" = 0 ]; then exec bash -s -- $words; else exec sudo -n bash -s -- $words; fi" <"$here/deploy/device.sh"
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
  [ -z "${fact[missing]}" ] || [ "$install_missing" = 1 ] ||
    fail "$device lacks ${fact[missing]}: say --install-missing, or there: sudo apt-get install ${fact[missing]}"
}

# find_deb ARCH: the newest that was built for it.
find_deb() {
  find "${CARGO_TARGET_DIR:-$root/target}" "$root/dist" -maxdepth 4 -name "peregrine_*_$1.deb" -printf '%T@ %p\n' 2>/dev/null | sort -n | tail -n 1 | cut -d' ' -f2-
}

# deb_contents FILE: as device.sh's `contents` tells of an installed package. Not by the package's own list of sums, which it need not have.
deb_contents() {
  local tree=$work/contents
  dpkg-deb --extract "$1" "$tree"
  (cd "$tree" && find . -type f ! -path './etc/*' -printf '%P\0' | xargs -0 md5sum | LC_ALL=C sort | sha256sum | cut -d' ' -f1)
  rm -rf "$tree"
}

# model_file NAME: a file, or a model's name as fetch-models.sh knows it.
model_file() {
  local file
  for file in "$1" "$root/models-cache/$1.onnx" "$root/models-cache/$1"; do
    [ ! -f "$file" ] || { printf '%s\n' "$file"; return 0; }
  done
  fail "model $1 is neither a file nor in models-cache: scripts/fetch-models.sh $1"
}
