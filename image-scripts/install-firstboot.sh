#!/usr/bin/env bash
# Purpose: what turns a booted copy of the image into an agent, and gives each copy SSH host keys of its own.
# Inputs:  none.
# Effect:  programs in /usr/lib/goldbake and /usr/bin, units that run them at boot.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

# Without nft the agent never starts: jobs could read the cloud's credentials.
is_installed nftables || apt_install nftables

put_tree usr/lib/goldbake/firstboot
for program in firstboot agent agent-event report ttl; do
    put "usr/lib/goldbake/goldbake-$program"
done
put usr/lib/goldbake/has-nvidia-device
put usr/lib/goldbake/metadata-guard.nft
put usr/bin/goldbake-status
# Compiled here, so that no machine compiles at its first boot. Checked by content, not by time: a copy of the image keeps neither.
python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/goldbake/firstboot

units=(goldbake-firstboot goldbake-hostkeys goldbake-metadata-guard goldbake-agent goldbake-ttl)
for unit in "${units[@]}" goldbake-gpu-gate goldbake-agent-stopped; do
    put "usr/lib/systemd/system/$unit.service"
done
systemctl enable "${units[@]/%/.service}"
