#!/usr/bin/env bash
# Purpose: what turns a booted copy of the image into an agent, and gives each copy SSH host keys of its own.
# Inputs:  none.
# Effect:  programs in /usr/lib/goldbake and /usr/bin, units that run them at boot.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

# Without nft the agent never starts: jobs could read the cloud's credentials.
is_installed nftables || apt_install nftables

# One line for each: a bake reads them to know what this layer is made of.
put_tree usr/lib/goldbake/firstboot
put usr/lib/goldbake/goldbake-firstboot
put usr/lib/goldbake/goldbake-agent
put usr/lib/goldbake/goldbake-agent-event
put usr/lib/goldbake/goldbake-report
put usr/lib/goldbake/goldbake-ttl
put usr/lib/goldbake/has-nvidia-device
put usr/lib/goldbake/metadata-guard.nft
put usr/bin/goldbake-status
put usr/lib/systemd/system/goldbake-firstboot.service
put usr/lib/systemd/system/goldbake-firstboot-crashed.service
put usr/lib/systemd/system/goldbake-hostkeys.service
put usr/lib/systemd/system/goldbake-metadata-guard.service
put usr/lib/systemd/system/goldbake-gpu-gate.service
put usr/lib/systemd/system/goldbake-agent.service
put usr/lib/systemd/system/goldbake-agent-stopped.service
put usr/lib/systemd/system/goldbake-ttl.service
# Compiled here, so that no machine compiles at its first boot; never compared with the text again, whose time changes when an image is copied.
python3 -m compileall -q --invalidation-mode unchecked-hash /usr/lib/goldbake/firstboot

systemctl enable goldbake-firstboot.service goldbake-hostkeys.service goldbake-metadata-guard.service goldbake-agent.service goldbake-ttl.service
