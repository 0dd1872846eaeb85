#!/usr/bin/env bash
# A whole Debian 12 in a container, systemd as its first process: for tests of what only a running system can show. Sourced, never run;
# scripts/lib.sh goes before it. Belongs here: the root, the boot, commands inside. What is tested belongs to the scripts that source this.

# What the root has. The plugins are those that the packages recommend; the server and Python's bindings are the fake camera's.
NSPAWN_PACKAGES=(systemd systemd-sysv dbus udev openssh-server sudo procps iproute2 curl ca-certificates mosquitto mosquitto-clients
  gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly gstreamer1.0-libav
  gir1.2-gst-rtsp-server-1.0 python3-gi)
# Lie in the root's own archive of packages: what a script may take away there and have installed again, without a network.
NSPAWN_ARCHIVE=(gstreamer1.0-libav gstreamer1.0-plugins-good)

nspawn_pid="" nspawn_leader="" nspawn_work=""

# nspawn_root: makes the root, or finds it in the cache, and prints its folder. A change of the lists above makes another one.
nspawn_root() {
  local cache name root
  cache="${XDG_CACHE_HOME:-$HOME/.cache}/peregrine"
  name=$(printf '%s\n' "${NSPAWN_PACKAGES[@]}" / "${NSPAWN_ARCHIVE[@]}" | sha256sum | cut -c1-12)
  root="$cache/systemd-root-$name"
  if [ ! -d "$root" ]; then
    say "making a Debian 12 with systemd in $root; this takes some minutes, once"
    mkdir -p "$cache"
    # Half a root in the cache would be taken for a whole one, and no later run would boot.
    if ! { nspawn_make "$root.new" && nspawn_settle "$root.new" && mv "$root.new" "$root"; }; then
      rm -rf --one-file-system "$root.new"
      fail "the root of the container could not be made"
    fi
  fi
  printf '%s\n' "$root"
}

nspawn_make() {
  local root=$1 sources
  mapfile -t sources < <(debian_sources)
  rm -rf --one-file-system "$root"
  mmdebstrap --quiet --variant=apt --include="$(IFS=, && echo "${NSPAWN_PACKAGES[*]}")" \
    --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="chroot \"\$1\" sh -c 'mkdir -p /srv/packages && cd /srv/packages && apt-get download ${NSPAWN_ARCHIVE[*]}'" \
    bookworm "$root" "${sources[@]}" >&2
}

# nspawn_settle ROOT: what is the container's own. Nothing is started but what a test starts, and apt knows the archive inside alone.
nspawn_settle() {
  local root=$1
  (cd "$root/srv/packages" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null) &&
    rm -rf "$root"/etc/apt/sources.list "$root"/etc/apt/sources.list.d/* "$root"/var/lib/apt/lists/* &&
    echo 'deb [trusted=yes] file:/srv/packages ./' >"$root/etc/apt/sources.list" &&
    systemctl --root="$root" --quiet disable mosquitto.service ssh.service 2>/dev/null &&
    systemctl --root="$root" --quiet mask systemd-networkd-wait-online.service systemd-resolved.service apt-daily.timer \
      apt-daily-upgrade.timer 2>/dev/null &&
    echo peregrine-test >"$root/etc/hostname" &&
    printf '127.0.0.1 localhost peregrine-test\n' >"$root/etc/hosts" &&
    : >"$root/etc/machine-id"
}

# nspawn_boot ROOT SHARE: boots the root with all changes kept in memory, SHARE as its /mnt. False where this machine cannot.
nspawn_boot() {
  local root=$1 share=$2
  nspawn_work=$(mktemp -d)
  # The container's own hierarchy of control groups: a host that has the old one would hand that down.
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --quiet --directory="$root" --boot --volatile=overlay --private-network \
    --keep-unit --register=no --machine="peregrine-test-$$" --bind="$share:/mnt" --console=pipe \
    </dev/null >"$nspawn_work/console" 2>&1 &
  nspawn_pid=$!
  wait_for 60 nspawn_is_up || return 1
}

nspawn_is_up() {
  nspawn_leader=$(pgrep -P "$nspawn_pid" | head -n 1)
  [ -n "$nspawn_leader" ] && case $(inside systemctl is-system-running 2>/dev/null) in running | degraded) ;; *) false ;; esac
}

# nspawn_why_not: one line, for a machine where it did not boot.
nspawn_why_not() { grep -av '^[[:space:]]*$' "$nspawn_work/console" | tail -n 1 | tr -d '\r\033'; }

# inside COMMAND…: runs it in the container as root.
inside() {
  nsenter --target "$nspawn_leader" --mount --uts --ipc --net --pid --cgroup --root --wd \
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

# nspawn_halt: ends the container; its changes are gone with it.
nspawn_halt() {
  if [ -n "$nspawn_pid" ] && kill -0 "$nspawn_pid" 2>/dev/null; then
    [ -z "$nspawn_leader" ] || kill -s RTMIN+4 "$nspawn_leader" 2>/dev/null || true
    wait_for 20 nspawn_is_gone || kill -KILL "$nspawn_pid" 2>/dev/null || true
    wait "$nspawn_pid" 2>/dev/null || true
  fi
  [ -z "$nspawn_work" ] || rm -rf "$nspawn_work"
  nspawn_pid="" nspawn_leader="" nspawn_work=""
}

nspawn_is_gone() { ! kill -0 "$nspawn_pid" 2>/dev/null; }
