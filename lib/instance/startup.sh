#!/bin/bash
# necoops startup script: run as root at every boot of the instance, first or not. Each step tells
# what it does as a phase, on the console and in the guest attribute necoops/phase; a step that fails
# ends the script with the phase `failed` and its reason. The lines above come from necoops-create.
# shellcheck disable=SC2154 # assigned above the script by necoops-create
set -u -o pipefail
umask 022

root=${NECOOPS_ROOT:-}
metadata=http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1
state=$root/run/necoops
kept=$root/var/lib/necoops
scratch=$root/var/scratch
boot_id=$(cat "$root/proc/sys/kernel/random/boot_id")
step=boot
# What is pinned comes before what the image has.
PATH=$root/opt/necoops/bin:$PATH
export PATH

meta() { # PATH [curl options]: a value of the metadata server
  local path=$1
  shift
  curl -sS --fail --retry 5 --retry-connrefused --max-time 30 -H 'Metadata-Flavor: Google' "$@" \
    "$metadata/$path"
}

json_text() { # makes standard input safe inside a JSON string: one line of printable ASCII
  tr -c '[:print:]' ' ' | sed -e 's/[\\"]/\\&/g' | cut -c1-400
}

phase() { # PHASE MESSAGE
  local json try
  json=$(printf '{"phase":"%s","message":"%s","time":"%s","bootId":"%s"}' "$1" \
    "$(printf %s "$2" | json_text)" "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$boot_id")
  echo "necoops-phase: $json"
  # The server takes ten writes a minute and may drop more without a word: read back. That one is
  # refused is no news on the console.
  for try in 1 2 3; do
    meta instance/guest-attributes/necoops/phase -o /dev/null -X PUT --data-binary "$json" \
      2>/dev/null &&
      [ "$(meta instance/guest-attributes/necoops/phase 2>/dev/null)" = "$json" ] && return 0
    [ "$try" = 3 ] || sleep 7
  done
  echo "necoops: the phase '$1' could not be written as a guest attribute" >&2
}

fail() { # REASON
  trap - EXIT
  phase failed "$step: $1"
  exit 1
}

last_line() { # FILE: the last line that says something
  grep -v '^[[:space:]]*$' "$1" | tail -n 1
}

run_step() { # COMMAND…: its output goes to the console; when it fails its last line is the reason
  local log=$state/$step.log status
  timeout --kill-after=30 "$setup_timeout" "$@" 2>&1 | tee "$log"
  status=${PIPESTATUS[0]}
  [ "$status" = 0 ] && return 0
  [ "$status" = 124 ] && fail "not done within $setup_timeout seconds"
  fail "status $status: $(last_line "$log")"
}

# Whatever runs in a VM or a pod on this instance must not reach its credentials: what is forwarded to
# the metadata server is dropped. Our own processes are not forwarded.
close_metadata_server() {
  local rule=(FORWARD -d 169.254.169.254/32 -j DROP)
  if command -v iptables >/dev/null; then
    iptables -w -C "${rule[@]}" 2>/dev/null || iptables -w -I "${rule[@]}" ||
      fail "iptables could not close the metadata server to forwarded traffic"
  elif command -v nft >/dev/null; then
    nft -f - <<'RULES' || fail "nft could not close the metadata server to forwarded traffic"
add table ip necoops
flush table ip necoops
add chain ip necoops forward { type filter hook forward priority -10; policy accept; }
add rule ip necoops forward ip daddr 169.254.169.254 drop
RULES
  else
    fail "the image has neither iptables nor nft to close the metadata server with"
  fi
}

ssd_devices() {
  local device
  for device in "$root"/dev/disk/by-id/google-local-nvme-ssd-* "$root"/dev/disk/by-id/google-local-ssd-*; do
    case $device in *-part[0-9]*) continue ;; esac
    [ -e "$device" ] && printf '%s\n' "$device"
  done
}

# One local SSD is used as it is, several as one striped array.
mount_scratch() {
  local devices device
  mapfile -t devices < <(ssd_devices)
  [ "${#devices[@]}" -ge "$local_ssds" ] ||
    fail "${#devices[@]} of $local_ssds local SSDs are there"
  mkdir -p "$scratch"
  mountpoint -q "$scratch" && return 0
  device=${devices[0]}
  if [ "${#devices[@]}" -gt 1 ]; then
    command -v mdadm >/dev/null || fail "several local SSDs need mdadm in the image"
    device=$root/dev/md/necoops
    [ -e "$device" ] || mdadm --assemble "$device" "${devices[@]}" 2>/dev/null ||
      mdadm --create "$device" --run --level=0 --raid-devices="${#devices[@]}" "${devices[@]}" ||
      fail "mdadm could not join the local SSDs"
  fi
  # A disk that survived a reboot keeps what is on it.
  if [ -z "$(blkid -o value -s TYPE "$device")" ]; then
    mkfs.ext4 -q -F -m 0 "$device" || fail "no file system could be made on $device"
  fi
  mount -o noatime,discard "$device" "$scratch" || fail "$device could not be mounted on $scratch"
}

# gs://BUCKET/OBJECT to standard output. The token goes through standard input, never argv.
read_object() {
  local path=${1#gs://} bucket object token
  bucket=${path%%/*}
  object=$(printf %s "${path#*/}" | sed -e 's/%/%25/g' -e 's,/,%2F,g' -e 's/ /%20/g' -e 's/#/%23/g' -e 's/?/%3F/g')
  token=$(meta instance/service-accounts/default/token | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
  printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl -sS --fail --retry 5 --retry-connrefused --max-time 600 --config - \
      "${STORAGE_EMULATOR_HOST:-https://storage.googleapis.com}/download/storage/v1/b/$bucket/o/$object?alt=media"
}

# Made for another processor or a newer system, they would fail at some later step.
check_programs() { # FOLDER
  local program said
  for program in "$1"/necoops-*; do
    [ -e "$program" ] || continue
    said=$("$program" --version 2>&1 >/dev/null) ||
      fail "$programs_archive does not run on this image: ${program##*/}: $said"
  done
}

# The archive is pinned: what has not this SHA-256 is not unpacked.
install_programs() {
  local home=$root/opt/necoops archive=$state/programs.tar.gz
  [ "$(cat "$home/.sha256" 2>/dev/null)" = "$programs_sha256" ] && return 0
  read_object "$programs_archive" >"$archive" || fail "$programs_archive could not be read"
  printf '%s  %s\n' "$programs_sha256" "$archive" | sha256sum -c --status - ||
    fail "$programs_archive has not the SHA-256 $programs_sha256"
  rm -rf "$home.new"
  mkdir -p "$home.new"
  tar -xzf "$archive" -C "$home.new" --no-same-owner || fail "$programs_archive is no archive"
  check_programs "$home.new/bin"
  printf %s "$programs_sha256" >"$home.new/.sha256"
  rm -rf "$home" "$archive"
  mv "$home.new" "$home" || fail "$home cannot be replaced"
}

# The agent runs tools for CI; systemd starts it again when it dies, and lets what it ran end by itself.
start_agent() {
  local agent unit=$root/etc/systemd/system/necoops-agent.service
  agent=$(command -v necoops-agent) || {
    echo "necoops: there is no necoops-agent here: CI cannot reach this instance's cluster" >&2
    return 0
  }
  mkdir -p "${unit%/*}"
  cat >"$unit" <<UNIT || fail "$unit cannot be written"
[Unit]
Description=necoops agent: runs tools for CI
After=network-online.target
[Service]
Environment="NECOOPS_CONFIG=$NECOOPS_CONFIG"
Environment="PATH=$PATH"
ExecStart=$agent${snapshot_to:+ --set snapshot.to=$root$snapshot_to}
KillMode=process
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
UNIT
  { systemctl daemon-reload && systemctl restart necoops-agent.service; } ||
    fail "the agent could not be started"
}

trap 'fail "ended early"' EXIT
mkdir -p "$state" && chmod 700 "$state"
if [ -e "$kept/booted" ]; then
  phase boot "booted again"
else
  phase boot "first boot"
fi
mkdir -p "$kept" && chmod 700 "$kept" && touch "$kept/booted"

step=metadata
close_metadata_server
meta instance/attributes/necoops-config >"$state/necoops.yaml" || fail "no necoops-config"
NECOOPS_CONFIG=$state/necoops.yaml
export NECOOPS_CONFIG

step=scratch
mkdir -p "$scratch"
if [ "$local_ssds" -gt 0 ]; then
  mount_scratch
fi

step=programs
if [ -n "$programs_archive" ]; then
  install_programs
fi

step=setup
phase setup "running the setup script"
if meta instance/attributes/ | grep -qx necoops-setup; then
  # Not below /run, from which Debian lets nothing be executed.
  meta instance/attributes/necoops-setup -o "$kept/setup" || fail "no necoops-setup"
  chmod 700 "$kept/setup"
  run_step "$kept/setup"
fi

if [ -n "$snapshot_source" ]; then
  step=snapshot
  phase snapshot "loading $snapshot_source"
  command -v necoops-snapshot-load >/dev/null ||
    fail "necoops-snapshot-load is not installed: set instance.programs or put it in the image"
  # What the setup constructed there is what the snapshot stands for.
  run_step necoops-snapshot-load --replace --set "snapshot.to=$root$snapshot_to"
fi

step=agent
start_agent

trap - EXIT
phase ready "all steps done"
