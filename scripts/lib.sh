#!/usr/bin/env bash
# What several scripts need: words on the screen, Debian packages, a Rust toolchain, free ports. Sourced, never run.
# Belongs here: nothing that only one script does.

# Debian packages by what they are for. GStreamer's plugins decide which codecs a camera may speak.
# shellcheck disable=SC2034  # read by the scripts that source this
PACKAGES_BUILD=(gcc g++ libc6-dev pkg-config libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev)
# shellcheck disable=SC2034
PACKAGES_RUN=(gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav)
# shellcheck disable=SC2034
PACKAGES_DEMO=(mosquitto mosquitto-clients python3)
# shellcheck disable=SC2034
PACKAGES_TEST=(gstreamer1.0-plugins-ugly gstreamer1.0-tools gir1.2-gst-rtsp-server-1.0 python3-gi python3-venv prometheus
  shellcheck systemd openssl curl clang-14)
# Debian has the compiler for aarch64 on x86-64 alone; a machine that is of aarch64 needs neither it nor the emulator.
[ "$(uname -m)" != x86_64 ] || PACKAGES_TEST+=(g++-aarch64-linux-gnu qemu-user)

# A Debian that boots in a container.
# shellcheck disable=SC2034
PACKAGES_NSPAWN=(systemd-container mmdebstrap dpkg-dev util-linux procps openssh-client)

# The oldest Rust that builds this, as Cargo.toml's rust-version says.
RUST_MINOR=92

# Tools of cargo's that packages and releases take, each in the version that was tried.
# shellcheck disable=SC2034
CARGO_DEB_VERSION=3.8.0
# shellcheck disable=SC2034
CARGO_DENY_VERSION=0.20.2
# shellcheck disable=SC2034
CARGO_CYCLONEDX_VERSION=0.5.9

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "$(basename "$0"): $*"
  exit 1
}

# usage_error MESSAGE: as the daemon does, 64 for arguments that make no sense.
usage_error() {
  say "$(basename "$0"): $*; --help tells what there is"
  exit 64
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "this needs root, and there is no sudo: $*"
  fi
}

missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || printf '%s\n' "$package"
  done
}

# need_packages NAME…: installs what is missing; asks for root only then.
need_packages() {
  command -v dpkg-query >/dev/null || {
    say "not a Debian system: install what corresponds to: $*"
    return 0
  }
  local missing
  mapfile -t missing < <(missing_packages "$@")
  [ "${#missing[@]}" -gt 0 ] || return 0
  say "installing: ${missing[*]}"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq >&2
  without_services as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
  # The packages' own services would listen from the next start of the machine on; ours are started when they are needed.
  local service
  for service in mosquitto prometheus; do
    if command -v systemctl >/dev/null && [[ " ${missing[*]} " == *" $service "* ]]; then
      as_root systemctl --quiet disable "$service" >&2 || say "could not disable the service $service"
    fi
  done
}

# without_services COMMAND…: Debian starts a package's services when it is installed, unless policy-rc.d says no.
without_services() (
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'as_root rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
    as_root chmod 755 "$policy"
  fi
  "$@"
)

# rust_is_new_enough PROGRAM: whether that cargo or rustc is there and not too old.
rust_is_new_enough() {
  local version
  version=$("$1" --version 2>/dev/null | sed -n 's/^\(cargo\|rustc\) 1\.\([0-9]*\)\..*/\2/p')
  [ -n "$version" ] && [ "$version" -ge "$RUST_MINOR" ]
}

# shellcheck disable=SC2120  # the packages are optional
# need_rust [PACKAGE…]: cargo and rustc, from rustup or, where there is none, Debian's rustc-web.
need_rust() {
  local rustup_cargo="$HOME/.cargo/bin/cargo"
  if ! command -v cargo >/dev/null && [ -x "$rustup_cargo" ]; then
    PATH="$HOME/.cargo/bin:$PATH"
    export PATH
  fi
  rust_is_new_enough cargo && return 0
  local have
  have=$(cargo --version 2>/dev/null || echo none)
  if command -v apt-cache >/dev/null && ! command -v cargo >/dev/null; then
    as_root apt-get update -qq >&2
    if apt-cache show cargo-web rustc-web >/dev/null 2>&1; then
      need_packages cargo-web rustc-web "$@"
      hash -r
      rust_is_new_enough cargo && return 0
      have=$(cargo --version 2>/dev/null || echo none)
    fi
  fi
  fail "needs Rust 1.$RUST_MINOR or newer, found: $have. Install rustup (https://rustup.rs), then: rustup toolchain install stable"
}

# need_rust_target TARGET: the standard library for another processor; exports RUSTC where it is Debian's compiler that has it. rustup brings
# it where it can be reached; Debian has it for aarch64, beside its own compiler, which cargo of rustup drives as well.
need_rust_target() {
  local target=$1
  local library=lib/rustlib/$target/lib
  need_rust
  [ ! -d "$(rustc --print sysroot)/$library" ] || return 0
  if ! [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/$library" ]; then
    # A mirror that does not answer is no reason to wait for long: there is another way.
    if command -v rustup >/dev/null && timeout 90 rustup --quiet target add "$target" >&2; then
      return 0
    fi
    [ "$target" = aarch64-unknown-linux-gnu ] || fail "no standard library of Rust for $target: rustup target add $target"
    if ! dpkg --print-foreign-architectures | grep -qx arm64; then
      say "telling dpkg that this machine may have packages for arm64 as well (dpkg --add-architecture arm64)"
      as_root dpkg --add-architecture arm64
    fi
    need_packages rustc-web libstd-rust-web-dev libstd-rust-web-dev:arm64
  fi
  rust_is_new_enough /usr/bin/rustc ||
    fail "needs Rust 1.$RUST_MINOR or newer, and what Debian has for $target is: $(/usr/bin/rustc --version 2>&1). With rustup: rustup target add $target"
  RUSTC=/usr/bin/rustc
  export RUSTC
}

# need_static_aarch64: what builds static programs for aarch64, which an emulator runs without that system's files.
need_static_aarch64() {
  need_packages gcc-aarch64-linux-gnu
  need_rust_target aarch64-unknown-linux-gnu
  # They would take the place of the ones below.
  unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
  export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS="-C target-feature=+crt-static"
}

# shellcheck disable=SC2034  # read by the scripts that source this
# sysroot_flags SYSROOT: SYSROOT_CFLAGS, SYSROOT_CXXFLAGS and SYSROOT_LDFLAGS for Debian's cross compiler, which has a C library of its own and
# prefers that one's headers, start files and libraries, --sysroot or not.
sysroot_flags() {
  local gnu=aarch64-linux-gnu own version
  own=$("$gnu-gcc" -print-file-name=include)
  version=$("$gnu-gcc" -dumpversion)
  local include_flags=(-isystem "$own" -isystem "$1/usr/include/$gnu" -isystem "$1/usr/include")
  SYSROOT_CFLAGS=("--sysroot=$1" -nostdinc "${include_flags[@]}")
  # The compiler's own C++ headers: those of another version are not for it. They look for C's behind them.
  local plus=/usr/$gnu/include/c++/$version
  SYSROOT_CXXFLAGS=("--sysroot=$1" -nostdinc -isystem "$plus" -isystem "$plus/$gnu" -isystem "$plus/backward" "${include_flags[@]}")
  # -B finds start files and libraries; -rpath-link the libraries' own libraries.
  SYSROOT_LDFLAGS=("--sysroot=$1" "-B$1/usr/lib/$gnu/" "-Wl,-rpath-link,$1/usr/lib/$gnu:$1/lib/$gnu")
}

# newest_glibc BINARY OBJDUMP: the newest glibc of which the binary wants a symbol; nothing where it wants none.
newest_glibc() { "$2" --dynamic-syms "$1" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1 | cut -d _ -f 2 || true; }

# need_cargo_tool NAME VERSION: a tool from crates.io, in a folder of its own, so that nothing of the user's is replaced.
need_cargo_tool() {
  ! has_cargo_tool "$1" "$2" || return 0
  say "installing: $1 $2"
  env -u CARGO_TARGET_DIR cargo install --quiet --locked --root "$(tools_folder)" --version "$2" "$1" >&2
}
tools_folder() { echo "${PEREGRINE_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/peregrine/tools}"; }

# has_cargo_tool NAME VERSION: it is there already, and found from now on.
has_cargo_tool() {
  PATH="$(tools_folder)/bin:$PATH"
  export PATH
  cargo install --root "$(tools_folder)" --list 2>/dev/null | grep "^$1 v$2:" >/dev/null
}

# debian_sources: this machine's own lists of packages where it is a Debian 12, so that its mirror is used for another root; nothing elsewhere:
# mmdebstrap knows where Debian is.
debian_sources() {
  # shellcheck source=/dev/null
  [ "$(. /etc/os-release && echo "$ID-${VERSION_CODENAME:-}")" = debian-bookworm ] || return 0
  local file
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
    [ ! -s "$file" ] || printf '%s\n' "$file"
  done
}

# debian_mirror LABEL: where this machine's apt has Debian's archive from ("Debian") or its updates of security ("Debian-Security"), whatever the
# address looks like; nothing where it has none.
debian_mirror() {
  # shellcheck disable=SC2016  # apt fills that in
  apt-get indextargets 'Created-By: Packages' 'Origin: Debian' "Label: $1" --format '$(REPO_URI)' 2>/dev/null | awk '!seen++' || true
}

# free_port: a loopback port that nobody listens on.
free_port() {
  python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])'
}

# wait_for SECONDS COMMAND…: until the command succeeds; false when it did not in that time.
wait_for() {
  local tries=$(($1 * 10))
  shift
  until "$@" >/dev/null 2>&1; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.1
  done
}
