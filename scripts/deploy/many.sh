#!/usr/bin/env bash
# Many devices at once, each by a deploy.sh of its own. Sourced by deploy.sh.

AT_ONCE=8

outcome() {
  case $1 in
    0) echo "runs" ;;
    3) echo "rolled back" ;;
    4) echo "DOWN" ;;
    78) echo "configuration refused" ;;
    *) echo "not done" ;;
  esac
}

# deploy_many FILE ARGUMENT…: false unless all of them run.
deploy_many() {
  local file=$1 logs name names=() running=0
  shift
  mapfile -t names < <(sed 's/[[:space:]]*#.*//; s/^[[:space:]]*//; s/[[:space:]]*$//' "$file" | awk 'NF && !seen[$0]++')
  [ "${#names[@]}" -gt 0 ] || fail "$file names no device"
  logs=$(mktemp -d)
  for name in "${names[@]}"; do
    if [ "$running" -ge "$AT_ONCE" ]; then
      wait -n || true
      running=$((running - 1))
    fi
    say "$name: begun"
    deploy_one "$logs/${name//\//_}" "$name" "$@" &
    running=$((running + 1))
  done
  wait || true
  table "$logs" "${names[@]}"
}

# deploy_one LOG HOST ARGUMENT…: its words go to LOG, its exit code and seconds beside it.
deploy_one() {
  local log=$1 begun=$SECONDS status=0
  shift
  "$0" "$@" </dev/null >"$log" 2>&1 || status=$?
  printf '%s %s\n' "$status" "$((SECONDS - begun))" >"$log.outcome"
}

table() {
  local logs=$1 name status seconds log bad=0
  shift
  printf '%-32s %-22s %8s  %s\n' device outcome seconds "last word"
  for name in "$@"; do
    log="$logs/${name//\//_}"
    read -r status seconds <"$log.outcome"
    [ "$status" = 0 ] || bad=$((bad + 1))
    printf '%-32s %-22s %8s  %s\n' "$name" "$(outcome "$status")" "$seconds" "$(grep -v '^ *|' "$log" | tail -n 1 | cut -c1-100)"
  done
  [ "$bad" -gt 0 ] || { rm -rf "$logs"; return 0; }
  say "$bad of $# do not run as wanted; what each said lies in $logs"
  return 1
}
