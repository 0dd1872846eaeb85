#!/usr/bin/env bash
# Measures what reaches a disk for each event that is kept: SQLite beside four ways to write a log, each on a fresh ext4 of its own.
# docs/decisions/0017-event-store.md rests on it. Belongs here: nothing that the daemon does.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=scripts/lib.sh
. "$here/lib.sh"

usage() {
  echo "Usage: scripts/measure-writes.sh [EVENTS]   (needs root for a loop device; 5000 events if not said)"
}

case ${1:-} in
  -h | --help) usage; exit 0 ;;
esac
events=${1:-5000}
[[ $events =~ ^[0-9]+$ ]] || usage_error "$events is no number of events"
work=$(mktemp -d)
loop=
clean() {
  as_root umount "$work/disk" 2>/dev/null || true
  [ -z "$loop" ] || as_root losetup -d "$loop" || true
  rm -rf "$work"
}
trap clean EXIT
mkdir "$work/disk"

for batch in 1 25; do # 2 and 50 events a second, durable within half a second
  for way in sqlite-wal log-append log-fallocate log-zeros log-zeros-apart; do
    truncate -s 128M "$work/image"
    mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$work/image"
    loop=$(as_root losetup -f --show "$work/image")
    as_root mount "$loop" "$work/disk"
    as_root "$(command -v python3)" "$here/measure_writes.py" "$way" "$work/disk" --device "$(basename "$loop")" --events "$events" \
      --batch "$batch"
    as_root umount "$work/disk"
    as_root losetup -d "$loop"
    loop=
    rm "$work/image"
  done
done
