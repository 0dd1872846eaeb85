#!/usr/bin/env bash
# A laptop that deploys to the container over ssh, and what may happen to it meanwhile. Sourced, after service.sh.
# shellcheck disable=SC2034,SC2154  # the script that sources this has `here` and `laptop`, its folder, and reads `code`

# The container has no network: ssh comes in by its own loopback.
let_in() {
  ssh-keygen -q -t ed25519 -N '' -f "$laptop/key"
  inside useradd --create-home --shell /bin/bash ada
  inside sh -c 'echo "ada ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/ada'
  inside install -d -o ada -m 700 /home/ada/.ssh
  inside sh -c "echo '$(cat "$laptop/key.pub")' >/home/ada/.ssh/authorized_keys"
  inside systemctl start ssh
  printf 'box %s\n' "$(inside cat /etc/ssh/ssh_host_ed25519_key.pub)" >"$laptop/known_hosts"
  cat >"$laptop/into" <<TEXT
#!/usr/bin/env bash
echo \$\$ >>$laptop/connections
exec nsenter --target $nspawn_leader --net bash -c 'exec 3<>/dev/tcp/127.0.0.1/22; cat <&3 & cat >&3; wait'
TEXT
  chmod +x "$laptop/into"
  cat >"$laptop/ssh" <<TEXT
Host box
  ProxyCommand $laptop/into
Host as-ada
  HostName box
  HostKeyAlias box
  User ada
  ProxyCommand $laptop/into
Host dead
  HostName 127.0.0.1
  Port 1
Host *
  IdentityFile $laptop/key
  UserKnownHostsFile $laptop/known_hosts
TEXT
}

# deploy ARGUMENT…: to the container; what it says is in $laptop/said, its exit code in `code`.
deploy() {
  code=0
  "$here/deploy.sh" --ssh-config "$laptop/ssh" "$@" </dev/null >"$laptop/said" 2>&1 || code=$?
}
# begin ARGUMENT…: deploy, and go on meanwhile; finish waits for it. A group of processes of its own, as a terminal's Ctrl-C takes it.
begin() {
  : >"$laptop/said"
  set -m
  "$here/deploy.sh" --ssh-config "$laptop/ssh" "$@" </dev/null >"$laptop/said" 2>&1 &
  deploying=$!
  set +m
}
finish() {
  code=0
  wait "$deploying" || code=$?
}
press_ctrl_c() { kill -INT -- "-$deploying"; }
# cut: the connection of now is gone, and neither side was told.
cut_connection() {
  local pids
  mapfile -t pids < <(pgrep -P "$(tail -n 1 "$laptop/connections")")
  kill -KILL "${pids[@]}"
}
# The device has begun to change; it has come to an end.
is_changing() { inside sh -c 'ls -d /var/tmp/peregrine-own.*/old'; }
is_left_alone() { ! inside sh -c 'ls -d /var/tmp/peregrine-own.*'; }

says() { grep -qF -- "$1" "$laptop/said" || { sed 's/^/  > /' "$laptop/said" >&2; return 1; }; }
ends_with() { [ "$code" = "$1" ] || { say "exit code $code, not $1"; sed 's/^/  > /' "$laptop/said" >&2; return 1; }; }
