#!/usr/bin/env bash
# Purpose: what turns a booted copy of the image into an agent, and gives each copy SSH host keys of its own.
# Inputs:  none.
# Effect:  programs in /usr/lib/goldbake, units that run them at boot.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

put_tree usr/lib/goldbake/firstboot
put usr/lib/goldbake/goldbake-firstboot
put usr/lib/systemd/system/goldbake-firstboot.service
put usr/lib/systemd/system/goldbake-hostkeys.service
systemctl enable goldbake-firstboot.service goldbake-hostkeys.service
