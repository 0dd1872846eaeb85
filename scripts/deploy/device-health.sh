#!/usr/bin/env bash
# Whether the service runs, as it tells over HTTP, and what it does. A part of device.sh.

property() { systemctl show --property="$1" --value peregrine; }

# read_api: sets `api`, false where nobody can ask, and `address` and `port`, as the program reads its configuration.
read_api() {
  local form listen
  form=$(normal_form "$(service_program)" "$CONFIG") || true
  api=$(key api enabled <<<"$form") listen=$(key api listen <<<"$form")
  listen=${listen:-127.0.0.1:8420}
  port=${listen##*:} address=${listen%:*}
  address=${address#[} address=${address%]}
  case $address in 0.0.0.0 | ::) address=127.0.0.1 ;; esac
}

# ask PATH: what the daemon answers over HTTP, without a program for that. One that hangs takes the connection and says nothing.
# shellcheck disable=SC2016  # the bash that may take five seconds expands it
ask() {
  timeout 5 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET %s HTTP/1.0\r\nHost: device\r\n\r\n" "$2" >&3 && cat <&3' \
    "$address" "$port" "$1" 2>/dev/null
}
answers_well() {
  local status
  read -r _ status _ < <(ask /healthz) && [ "$status" = 200 ]
}

# count WHAT: of all cameras' frames; nothing where that cannot be asked, "none" where there is no camera.
count() {
  ask /metrics | awk -v name="peregrine_camera_$1_total{" 'index($0, name) == 1 { cameras++; frames += $NF } /^peregrine_build_info/ { seen = 1 }
    END { if (seen) print cameras ? frames : "none" }'
}
# has_frames: a camera's frame went through the model, or there is no camera to wait for.
has_frames() { case $(count frames_analysed) in 0 | "") false ;; esac }

# is_well WITH_FRAMES: as far as it can be asked.
is_well() {
  [ "$api" != false ] || { say "ready; [api] is off, so nobody can ask about frames"; return 0; }
  answers_well || return 1
  [ "$1" = no ] || has_frames
}

# runs_its_program: the process is the file that the service is set to run, not one that lay there before. Where the owner's drop-in has it run
# something else, that is the owner's.
runs_its_program() {
  local exe
  case $(property ExecStart) in *"path=$BINARY ;"* | *"path=$PREVIOUS ;"*) ;; *) return 0 ;; esac
  exe=/proc/$(property MainPID)/exe
  [ "$exe" -ef "$(service_program)" ] || cmp --silent "$exe" "$(service_program)"
}

# is_healthy SECONDS WITH_FRAMES: until the service is ready, answers and has frames; why not is said.
is_healthy() {
  local until=$((SECONDS + $1)) restarts
  restarts=$(property NRestarts)
  read_api
  while :; do
    if [ "$(property ActiveState)" = failed ] || [ "$(property NRestarts)" != "$restarts" ]; then
      say "the service failed: $(property Result), exit status $(property ExecMainStatus)"
      return 1
    fi
    if [ "$(property ActiveState)" = active ] && is_well "$2"; then
      runs_its_program && return 0
      say "the service runs another program than $(service_program)"
      return 1
    fi
    [ "$SECONDS" -lt "$until" ] || break
    sleep 0.5
  done
  if [ "$(property ActiveState)" = active ] && answers_well; then
    case $(count frames) in
      0) say "the service runs, but no camera gave a frame within $1 s" ;;
      *) say "the service runs and frames come, but none went through the model within $1 s" ;;
    esac
  else
    say "the service was not healthy within $1 s: $(property ActiveState)"
  fi
  return 1
}

last_words() { journalctl --unit=peregrine --lines=8 --output=cat --no-pager 2>/dev/null | sed 's/^/  | /' >&2 || true; }

restart() {
  systemctl daemon-reload
  systemctl reset-failed peregrine 2>/dev/null || true
  systemctl restart peregrine 2>/dev/null || true
}

# What the device is, and what the service did within two seconds.
summary() {
  local first second
  "$(service_program)" probe || true
  read_api
  [ "$api" != false ] || return 0
  first=$(ask /metrics)
  sleep 2
  second=$(ask /metrics)
  printf '%s\n@\n%s\n' "$first" "$second" | awk '
    $0 == "@" { later = 1; next }
    function label(text) { match($1, text "=\"[^\"]*"); return substr($1, RSTART + length(text) + 2, RLENGTH - length(text) - 2) }
    /^peregrine_build_info/ { version = label("version") }
    /^peregrine_uptime_seconds/ { if (later) over = $2 - up; up = $2 }
    /^peregrine_resident_memory_bytes/ { mb = $2 / 1048576 }
    /^peregrine_mqtt_connected/ { broker = $2 == 1 ? "connected" : "NOT connected" }
    /^peregrine_mqtt_messages_queued/ { queued = $2 }
    /^peregrine_camera_frames_total/ { c = label("camera"); if (later) rate[c] = $2 - had[c]; had[c] = $2 }
    /^peregrine_camera_frame_size_pixels/ { c = label("camera"); if (label("side") == "width") w[c] = $2; else h[c] = $2 }
    /^peregrine_camera_state/ && $2 == 1 { state[label("camera")] = label("state") }
    /^peregrine_camera_tracks_active/ { tracks[label("camera")] = $2 }
    END {
      printf "\nperegrine %s: up %d s, %d MB, broker %s, %d messages wait\n", version, up, mb, broker, queued
      fflush()
      for (c in state)
        printf("%-16s %-18s %4dx%-5d %5.1f frames a second, %d tracks\n", c, state[c], w[c], h[c], (over > 0 ? rate[c] / over : 0), tracks[c]) | "sort"
    }'
}
