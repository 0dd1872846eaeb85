#!/usr/bin/env bash
# Brings the package, a configuration and models onto a device over ssh, waits until it really runs, and goes back by itself where it does not.
# Belongs here: what is asked, and the order of the steps. How the device is talked to stands in deploy/host.sh, what happens there in
# deploy/device*.sh, many devices at once in deploy/many.sh.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"
# shellcheck source=scripts/deploy/host.sh
. "$here/deploy/host.sh"
# shellcheck source=scripts/deploy/many.sh
. "$here/deploy/many.sh"
root=$(dirname "$here")

usage() {
  cat <<'TEXT'
Usage: scripts/deploy.sh USER@HOST [options]
       scripts/deploy.sh --hosts FILE [options]

Looks at the device, sends what it does not have yet, checks the configuration there with the program that is to run it, installs, starts,
waits for READY and a camera's first frame, then shows `peregrine probe` and what the service does. A service that does not become healthy is
taken back to what ran before.

  --deb FILE         the package; the newest under target/ or dist/ for the device's architecture if not named. The device's own stays where
                     there is none
  --config FILE      the configuration; the device's own stays if not named
  --models M...      files, or names in models-cache (scripts/fetch-models.sh), with what lies beside them for 8 bits (calibration, TensorRT's
                     form); what is there already is not sent
  --rollback         back to the version before this one, which lies on the device
  --install-missing  let apt install what the device lacks
  --wait SECONDS     how long the service may take until the first frame, from READY on (60)
  --no-frames        READY is enough: for a device whose cameras are not there yet
  --hosts FILE       many devices, one USER@HOST a line, eight at a time; a table tells what became of each
  --ssh-config FILE  in place of ~/.ssh/config

Once all is sent the device goes on by itself: neither Ctrl-C here nor a connection that breaks stops it halfway.

Exit code: 0 it runs; 1 not done; 3 went wrong and was rolled back; 4 went wrong, and nothing to go back to; 64 arguments; 78 the device
refuses the configuration; 255 the connection broke while the device went on, what became of it is not known here.
TEXT
}

host="" hosts="" deb="" config="" models=() rollback=0 install_missing=0 wait_secs=60 with_frames=yes ssh_config=""
arguments=()
while [ $# -gt 0 ]; do
  first=$1
  case $1 in
    --deb) deb=${2:?--deb needs a file}; shift; arguments+=("$first" "$1") ;;
    --config) config=${2:?--config needs a file}; shift; arguments+=("$first" "$1") ;;
    --wait) wait_secs=${2:?--wait needs seconds}; shift; arguments+=("$first" "$1") ;;
    --ssh-config) ssh_config=${2:?--ssh-config needs a file}; shift; arguments+=("$first" "$1") ;;
    --hosts) hosts=${2:?--hosts needs a file}; shift ;;
    --models)
      arguments+=("$1")
      while [ $# -gt 1 ] && [[ $2 != -* ]]; do models+=("$2"); arguments+=("$2"); shift; done
      [ "${#models[@]}" -gt 0 ] || usage_error "--models needs at least one" ;;
    --rollback) rollback=1; arguments+=("$1") ;;
    --install-missing) install_missing=1; arguments+=("$1") ;;
    --no-frames) with_frames=no; arguments+=("$1") ;;
    -h | --help) usage; exit 0 ;;
    -*) usage_error "unknown option $1" ;;
    *) [ -z "$host" ] || usage_error "one device, or --hosts FILE: $1 is too many"; host=$1 ;;
  esac
  shift
done
[[ $wait_secs =~ ^[1-9][0-9]*$ ]] || usage_error "--wait takes seconds, not $wait_secs"
[ -n "$host$hosts" ] || usage_error "which device? USER@HOST, or --hosts FILE"
[ -z "$host" ] || [ -z "$hosts" ] || usage_error "one device, or --hosts FILE, not both"
if [ "$rollback" = 1 ] && [ -n "$deb$config${models[*]}" ]; then usage_error "--rollback sends nothing: no --deb, --config or --models"; fi
for file in ${deb:+"$deb"} ${config:+"$config"} ${hosts:+"$hosts"} ${ssh_config:+"$ssh_config"}; do
  [ -f "$file" ] || fail "$file is not there"
done
command -v dpkg-deb >/dev/null || fail "needs dpkg-deb (package dpkg)"

if [ -n "$hosts" ]; then
  deploy_many "$hosts" "${arguments[@]}"
  exit
fi

declare -A fact=()
device="" work="" staging="" handed_over=0 ssh_options=()
at_end() {
  local status=$?
  trap - EXIT
  if [ "$handed_over" = 1 ]; then
    say "$device goes on by itself, and back if it has to; what became of it: sudo cat /run/peregrine-deploy.log there"
  elif [ "$status" = 255 ]; then
    status=1
  fi
  # What the device has taken over no longer lies here. Two names settle who has it: what is being removed cannot be taken over halfway.
  if [ -n "$staging" ]; then
    remote "mv -T $(printf %q "$staging") $(printf %q "$staging.gone") 2>/dev/null && rm -rf $(printf %q "$staging.gone")" || true
  fi
  [ -z "$device" ] || disconnect
  [ -z "$work" ] || rm -rf "$work"
  exit "$status"
}
trap at_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Sets `deb` to what has to be sent: nothing if the device has it, or if there is none.
choose_deb() {
  [ -n "$deb" ] || deb=$(find_deb "${fact[arch]}")
  if [ -z "$deb" ]; then
    [ -n "${fact[version]}" ] || fail "no package for ${fact[arch]} under target/ or dist/: scripts/build-deb.sh, or scripts/cross-build.sh --deb"
    say "  no package here: ${fact[version]} stays"
    return 0
  fi
  local arch
  arch=$(dpkg-deb --field "$deb" Architecture)
  [ "$arch" = "${fact[arch]}" ] || fail "$deb is for $arch, $device is ${fact[arch]}"
  [ "$(deb_contents "$deb")" != "${fact[contents]}" ] || deb=""
}

# Sets `files` to what --models means. Two files of one name would replace each other on the device.
choose_files() {
  local name file found base
  local -A from=()
  for name in "${models[@]}"; do
    found=$(model_files "$name") || exit 1
    while IFS= read -r file; do
      base=${file##*/}
      [[ ${from[$base]:-$file} -ef $file ]] || usage_error "--models: $file and ${from[$base]} have the same name"
      [ -n "${from[$base]:-}" ] || files+=("$file")
      from[$base]=$file
    done <<<"$found"
  done
}

megabytes() { echo $(($(stat --dereference --format=%s "$@" | awk '{ sum += $1 } END { print sum + 0 }') / 1048576)); }

# room FREE_MB NEEDED_MB
room() { [ "$1" -ge "$2" ] || fail "$device has $1 MB free, this needs $2"; }

# The package is there twice while it is unpacked, and the version before stays.
room_for_deb() {
  local needed=50
  if [ -n "$deb" ]; then needed=$((needed + 3 * $(dpkg-deb --fsys-tarfile "$deb" | wc -c) / 1048576 + $(megabytes "$deb"))); fi
  room "${fact[free_mb]}" "$needed"
}

# Sets `models_new` to the files that the device has not, or has otherwise: as the program sees it that was just sent.
choose_models() {
  local there file
  [ "${#files[@]}" -gt 0 ] || return 0
  there=$(on_device models_there "$staging" "${files[@]##*/}")
  for file in "${files[@]}"; do
    grep -qxF "$(sha256sum "$file" | cut -d' ' -f1) ${file##*/}" <<<"$there" || models_new+=("$file")
  done
  [ "${#models_new[@]}" -gt 0 ] || return 0
  # What was sent, what it replaces, and what it becomes.
  room "${there%%$'\n'*}" $((50 + 3 * $(megabytes "${models_new[@]}")))
}

send_models() {
  local file
  [ "${#models_new[@]}" -gt 0 ] || return 0
  remote "mkdir $(printf %q "$staging/models")"
  for file in "${models_new[@]}"; do send "$file" "models/${file##*/}"; done
}

files=()
choose_files
say "$host: looking"
connect "$host" "$(mktemp -d)"
if [ "$rollback" = 1 ]; then
  hand_over back "$wait_secs" "$with_frames"
  on_device summary || say "  it runs, but would not tell how"
  exit 0
fi
read_facts "${PACKAGES_RUN[@]}"
say "  ${fact[os]}, ${fact[arch]}, ${fact[free_mb]} MB free, peregrine ${fact[version]:-not installed}"
judge
# shellcheck disable=SC2086  # names of packages, without spaces
[ "$install_missing" = 0 ] || [ -z "${fact[missing]}" ] || on_device install_packages ${fact[missing]}

models_new=() config_new=0
choose_deb
if [ -n "$config" ] && [ "$(sha256sum "$config" | cut -d' ' -f1)" != "${fact[config]}" ]; then config_new=1; fi
room_for_deb
staging=$(remote 'umask 077; mktemp -d /var/tmp/peregrine-deploy.XXXXXX') || fail "no room for files on $device"
if [ -n "$deb" ]; then send "$deb" peregrine.deb; fi
if [ "$config_new" = 1 ]; then send "$config" peregrine.toml; fi
choose_models
send_models
if [ -z "$deb" ] && [ "$config_new" = 0 ] && [ "${#models_new[@]}" = 0 ]; then say "  nothing to send: it is all there"; fi
say "  checking, installing, waiting for the first frame"
hand_over apply "$staging" "$wait_secs" "$with_frames"
on_device summary || say "  it runs, but would not tell how"
say "$host: runs"
