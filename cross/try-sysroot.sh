#!/usr/bin/env bash
# Whether the cross compiler makes a program of a sysroot that is whole: one that links, whose start files and C library are the sysroot's own, and
# whose static constructors run. For cross/copy-sysroot.sh and scripts/cross-build.sh, before minutes are spent on it.
#
# Start files of glibc 2.34 or newer leave the constructors to the C library, and one that is older leaves them to the start files: joined, they
# make a program of which nothing is missed but that none of its constructors ever ran.
set -euo pipefail
cross=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$cross/../scripts/lib.sh"

usage() {
  cat <<'TEXT'
Usage: cross/try-sysroot.sh [--run] SYSROOT

Links a small program against the sysroot, with the flags of scripts/cross-build.sh.

  --run   runs it under qemu-user as well
TEXT
}

run=0
case ${1:-} in
  -h | --help) usage; exit 0 ;;
  --run) run=1; shift ;;
esac
[[ ${1:-} != -* ]] || usage_error "unknown option $1"
[ $# = 1 ] || usage_error "needs a sysroot"
sysroot=$(cd "$1" && pwd)
need_packages gcc-aarch64-linux-gnu
[ "$run" = 0 ] || need_packages qemu-user-static
sysroot_flags "$sysroot"

for file in Scrt1.o crti.o crtn.o libc.so; do
  found=$(aarch64-linux-gnu-gcc "${SYSROOT_LDFLAGS[@]}" -print-file-name="$file")
  [[ $found == "$sysroot"/* ]] || fail "$sysroot has no $file: the linker takes $found. On the device: apt-get install libc6-dev"
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cat >"$work/try.c" <<'C'
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
static int begun;
__attribute__((constructor)) static void begin(void) { begun = 1; }
static void *nothing(void *argument) { return argument; }
int main(int count, char **words) {
  struct stat root;
  pthread_t thread;
  if (stat("/", &root) != 0 || pthread_create(&thread, NULL, nothing, words) != 0 || pow(count, 2) < 0) return 2;
  pthread_join(thread, NULL);
  puts(begun ? "constructors run" : "no constructor has run");
  return !begun;
}
C
aarch64-linux-gnu-gcc "${SYSROOT_CFLAGS[@]}" "${SYSROOT_LDFLAGS[@]}" "$work/try.c" -o "$work/try" -lpthread -lm >&2 ||
  fail "a program of ten lines does not link against $sysroot"
[ "$run" = 1 ] || exit 0
outcome=$(qemu-aarch64-static -L "$sysroot" "$work/try" 2>&1) || fail "a program of ten lines does not run with the libraries of $sysroot: $outcome"
