#!/usr/bin/env bash
# What test-deploy.sh claims of the boards' set-up scripts: against recorded boards, and in the container with stand-ins for what NVIDIA brings.
# Sourced, after service.sh and laptop.sh.
# shellcheck disable=SC2034,SC2154  # the script that sources this has `here`, `root`, `laptop` and `share`, and reads `code`

# shows BOARD SCRIPT WORDS…: a recorded board is shown these commands.
shows() {
  local board=$1 script=$2 words
  shift 2
  "$here/$script" --dry-run --tree "$root/tests/data/sysfs/$board" >"$laptop/said" 2>&1 || { cat "$laptop/said" >&2; return 1; }
  for words in "$@" "nothing was changed"; do says "$words" || return 1; done
}
boards_are_told_apart() {
  shows nano setup_jetson.sh "nvpmodel -m 0" "swapon" "jetson.conf" &&
    shows orin-nano setup_jetson.sh "done   power mode MAXN_SUPER" "swapon" &&
    shows xavier-nx setup_jetson.sh "power mode MODE_15W_6CORE" "nvpmodel -m 2" "jetson.conf" &&
    shows pi4 setup_pi.sh "zram-tools" "dphys-swapfile swapoff" "raspberry-pi.conf" &&
    shows pi5 setup_pi.sh "swap.conf.d/80-peregrine.conf" "Mechanism=zram" "raspberry-pi.conf" && ! says "zram-tools" 2>/dev/null &&
    ! "$here/setup_jetson.sh" --dry-run --tree "$root/tests/data/sysfs/pi5" 2>/dev/null &&
    ! "$here/setup_pi.sh" --dry-run --tree "$root/tests/data/sysfs/pc" 2>/dev/null
}

# Equal watts: the table's cores count before the name's, for a name may tell none.
strongest_has_most_cores() {
  local tree=$laptop/agx-xavier core
  cp -r "$root/tests/data/sysfs/xavier-nx" "$tree"
  {
    printf '< POWER_MODEL ID=0 NAME=MODE_30W_6CORE >\n'
    for core in 0 1 2 3 4 5; do echo "CPU_ONLINE CORE_$core 1"; done
    printf 'CPU_ONLINE CORE_6 0\nCPU_ONLINE CORE_7 0\n< POWER_MODEL ID=3 NAME=MODE_30W_ALL >\n'
    for core in 0 1 2 3 4 5 6 7; do echo "CPU_ONLINE CORE_$core 1"; done
    printf '< POWER_MODEL ID=5 NAME=MODE_30W_2CORE >\nCPU_ONLINE CORE_0 1\nCPU_ONLINE CORE_1 1\nCPU_ONLINE CORE_2 0\n'
  } >"$tree/etc/nvpmodel/nvpmodel_t194_p3668.conf"
  "$here/setup_jetson.sh" --dry-run --tree "$tree" >"$laptop/said" 2>&1 && says "power mode MODE_30W_ALL" && says "nvpmodel -m 3"
}

# What the boards have and the container has not: stand-ins that take and say what the real programs do.
recorded_boards() {
  local name
  inside cp -r /mnt/sysfs /srv/sysfs
  # NVIDIA's program keeps the mode with the fan's behind it, and asks before a mode that takes a restart.
  cat >"$share/nvpmodel" <<'TEXT'
#!/bin/sh
if [ "$2" = 0 ]; then
  echo "NVPM WARN: Reboot required for changing to this power mode: 0"
  echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
  read -r answer || echo "NVPM ERROR: bad input!"
  [ "$answer" != yes ] || systemctl reboot
  echo "NVPM ERROR: optMask is 1, no request for power mode"
  exit 255
fi
echo "pmode:000$2 fmode:quiet" >/srv/sysfs/orin-nano/var/lib/nvpmodel/status
TEXT
  # mkswap of Ubuntu 18.04 to 22.04 knows no more options than these.
  cat >"$share/mkswap" <<'TEXT'
#!/bin/sh
for word; do
  case $word in
    -c | --check | -f | --force | -p | --pagesize | -L | --label | -v* | --swapversion* | -U | --uuid) ;;
    -*) echo "mkswap: unrecognized option '$word'" >&2; exit 1 ;;
  esac
done
exec /usr/sbin/mkswap "$@"
TEXT
  # A container may not swap: what the kernel asks of a file is looked at.
  cat >"$share/swapon" <<'TEXT'
#!/bin/sh
swaps=/srv/sysfs/nano/proc/swaps
bytes=$(stat -c %s "$1")
[ "$(stat -c '%a %U' "$1")" = "600 root" ] && [ "$(tail -c +4087 "$1" | head -c 10)" = SWAPSPACE2 ] &&
  [ $(($(stat -c '%b * %B' "$1"))) -ge "$bytes" ] || { echo "swapon: $1: not a swap area" >&2; exit 255; }
[ -e "$swaps" ] || echo "Filename Type Size Used Priority" >"$swaps"
echo "$1 file $((bytes / 1024 - 4)) 0 -2" >>"$swaps"
TEXT
  cat >"$share/dphys-swapfile" <<'TEXT'
#!/bin/sh
[ "$1" != swapoff ] || sed -i '\|^/var/swap |d' /srv/sysfs/pi4/proc/swaps
TEXT
  for name in nvpmodel mkswap swapon dphys-swapfile; do inside install -m 755 "/mnt/$name" "/usr/local/sbin/$name"; done
  inside sh -c 'printf "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n" >/etc/systemd/system/dphys-swapfile.service'
  inside systemctl --quiet enable --now dphys-swapfile
  inside sh -c 'cd /srv/sysfs/pi4 && mkdir -p boot/firmware && echo "arm_64bit=1" >boot/firmware/config.txt &&
    echo "/dev/zram0 partition 1900000 0 100" >>proc/swaps && cd sys/devices/system/cpu/cpufreq/policy0 &&
    echo "ondemand performance powersave" >scaling_available_governors && echo ondemand >scaling_governor'
}
# set_up_with_swap SCRIPT ARGUMENT…: over ssh; the device by the name that ssh's configuration has for it.
set_up_with_swap() {
  local script=$1
  shift
  code=0
  "$here/$script" as-ada --ssh-config "$laptop/ssh" "$@" </dev/null >"$laptop/said" 2>&1 || code=$?
}
set_up() { set_up_with_swap "$@" --no-swap; }

jetson_is_set_up() {
  inside dpkg --purge --force-depends gstreamer1.0-libav >/dev/null 2>&1
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 25W
  ends_with 1 && says "say --yes" || return 1
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 25W --yes
  ends_with 0 && inside grep -q pmode:0001 /srv/sysfs/orin-nano/var/lib/nvpmodel/status &&
    inside dpkg --status gstreamer1.0-libav >/dev/null && inside id -nG ada | grep -qw video &&
    [ "$(property MemoryDenyWriteExecute)" = no ] || return 1
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 25W --yes
  ends_with 0 && says "nothing to do"
}

# Its other steps are taken all the same.
mode_that_takes_a_restart() {
  inside rm /etc/systemd/system/peregrine.service.d/jetson.conf
  set_up setup_jetson.sh --tree /srv/sysfs/orin-nano --power-mode 15W --yes
  ends_with 0 && says "takes a restart of the board: there, sudo nvpmodel -m 0" && says "done, but for this" &&
    inside grep -q pmode:0001 /srv/sysfs/orin-nano/var/lib/nvpmodel/status &&
    inside test -L /etc/systemd/system/peregrine.service.d/jetson.conf
}

has_swap_file() { [ "$(inside stat -c '%a %s' /var/swap-peregrine)" = "600 16777216" ] && [ "$(inside grep -c '^/var/swap-peregrine none swap' /etc/fstab)" = 1 ]; }
swap_is_made() {
  set_up_with_swap setup_jetson.sh --tree /srv/sysfs/nano --power-mode keep --swap-mb 16 --yes
  ends_with 0 && has_swap_file || return 1
  set_up_with_swap setup_jetson.sh --tree /srv/sysfs/nano --power-mode keep --swap-mb 16 --yes
  ends_with 0 && says "nothing to do" && has_swap_file
}

pi_is_set_up() {
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi4 --yes
  ends_with 0 && inside grep -q arm_boost=1 /srv/sysfs/pi4/boot/firmware/config.txt && property DeviceAllow | grep -q /dev/vcio &&
    ! inside grep -q /var/swap /srv/sysfs/pi4/proc/swaps && ! inside systemctl --quiet is-enabled dphys-swapfile || return 1
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi4 --yes
  ends_with 0 && says "nothing to do" || return 1
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi5 --yes
  ends_with 0 && inside grep -qx Mechanism=zram /srv/sysfs/pi5/etc/rpi/swap.conf.d/80-peregrine.conf || return 1
  set_up_with_swap setup_pi.sh --tree /srv/sysfs/pi5 --yes
  ends_with 0 && says "nothing to do"
}

governor_is_read_back() {
  local file=/srv/sysfs/pi4/sys/devices/system/cpu/cpufreq/policy0/scaling_governor
  set_up setup_pi.sh --tree /srv/sysfs/pi4 --governor turbo --yes
  ends_with 1 && says "they have: ondemand performance powersave" && ! inside test -e /etc/tmpfiles.d/peregrine-clock.conf || return 1
  set_up setup_pi.sh --tree /srv/sysfs/pi4 --governor performance --yes
  ends_with 0 && [ "$(inside cat "$file")" = performance ] || return 1
  inside sh -c "echo ondemand >$file"
  set_up setup_pi.sh --tree /srv/sysfs/pi4 --governor performance --dry-run
  ends_with 0 && says "to do  governor of the clocks: performance"
}

serves_with_drop_ins() {
  local pid
  pid=$(property MainPID)
  inside systemctl restart peregrine && wait_for 20 serves_as_another "$pid"
}

# A stand-in for NVIDIA's camera daemon, which listens some time after it was started.
camera_daemon() {
  cat >"$share/nvargus" <<'TEXT'
import os, signal, socket, time
time.sleep(1)
if os.path.exists("/tmp/argus_socket"):
    os.unlink("/tmp/argus_socket")
listening = socket.socket(socket.AF_UNIX)
listening.bind("/tmp/argus_socket")
listening.listen()
signal.pause()
TEXT
  inside sh -c 'printf "[Service]\nExecStart=/usr/bin/python3 /mnt/nvargus\n" >/etc/systemd/system/nvargus-daemon.service'
  inside systemctl daemon-reload
  inside systemctl start nvargus-daemon
}
# The service's socket is the one of now: one that was unlinked has no name left.
sees_camera_daemon() {
  local there
  there="/proc/$(property MainPID)/root/tmp/argus_socket"
  [ "$(inside stat -c %i "$there")" = "$(inside stat -c %i /tmp/argus_socket)" ] && [ "$(inside stat -c %h "$there")" = 1 ]
}
follows_camera_daemon() {
  local pid
  pid=$(property MainPID)
  camera_daemon
  inside systemctl restart peregrine && wait_for 20 serves_as_another "$pid" && sees_camera_daemon || return 1
  pid=$(property MainPID)
  inside systemctl stop nvargus-daemon && is MainPID "$pid" || return 1
  inside systemctl start nvargus-daemon && wait_for 20 serves_as_another "$pid" && sees_camera_daemon
}
