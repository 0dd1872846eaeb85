#!/usr/bin/env bash
# Many devices at once, each by a deploy.sh of its own. Sourced by deploy.sh.

AT_ONCE=8

outcome() {
  case $1 in
    0) echo "runs" ;;
    3) echo "rolled back" ;;
    4) echo "DOWN" ;;
    78) echo "configuration refused" ;;
    130 | 143 | 255) echo "UNKNOWN" ;;
    *) echo "not done" ;;
  esac
}

# deploy_many FILE ARGUMENT…: false unless all of them run.
deploy_many() {
  local file=$1 logs name names=() enough=0
  shift
  mapfile -t names < <(sed 's/[[:space:]]*#.*//; s/^[[:space:]]*//; s/[[:space:]]*$//' "$file" | awk 'NF && !seen[$0]++')
  [ "${#names[@]}" -gt 0 ] || fail "$file names no device"
  logs=$(mktemp -d)
  trap stop_begun INT
  trap 'enough=1; stop_begun' TERM
  for name in "${names[@]}"; do
    until [ "$(jobs -r -p | wc -l)" -lt "$AT_ONCE" ]; do wait -n || true; done
    [ "$enough" = 0 ] || break
    say "$name: begun"
    deploy_one "$logs/${name//\//_}" "$name" "$@" &
  done
  while [ -n "$(jobs -r -p)" ]; do wait || true; done
  trap - INT TERM
  table "$logs" "${names[@]}"
}

# The first time no further device is begun, the second time nobody waits any longer.
stop_begun() {
  if [ "$enough" = 1 ]; then
    say "left; those that were begun go on, what each says lies in $logs"
    exit 130
  fi
  enough=1
  say "no further device is begun; waiting for those that were, once more Ctrl-C leaves them"
}

# deploy_one LOG HOST ARGUMENT…: its words go to LOG, its exit code and seconds beside it. It does not hear of Ctrl-C.
deploy_one() {
  local log=$1 begun=$SECONDS status=0
  shift
  trap '' INT
  "$0" "$@" </dev/null >"$log" 2>&1 || status=$?
  printf '%s %s\n' "$status" "$((SECONDS - begun))" >"$log.outcome"
}

table() {
  local logs=$1 name status seconds log became bad=0
  shift
  printf '%-32s %-22s %8s  %s\n' device outcome seconds "last word"
  for name in "$@"; do
    log="$logs/${name//\//_}"
    # Somebody may have ended it, or Ctrl-C came before its turn.
    status="" seconds=-
    [ ! -f "$log.outcome" ] || read -r status seconds <"$log.outcome" || true
    if [ -n "$status" ]; then became=$(outcome "$status"); elif [ -f "$log" ]; then became=UNKNOWN; else became="not begun"; fi
    [ "$status" = 0 ] || bad=$((bad + 1))
    printf '%-32s %-22s %8s  %s\n' "$name" "$became" "$seconds" "$(last_word "$log")"
  done
  [ "$bad" -gt 0 ] || { rm -rf "$logs"; return 0; }
  say "$bad of $# do not run as wanted; what each said lies in $logs"
  return 1
}
last_word() { grep -v '^ *|' "$1" 2>/dev/null | tail -n 1 | cut -c1-100 || true; }
