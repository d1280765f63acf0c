#!/usr/bin/env bash
# Purpose: nothing that the agent does not need stands between power-on and the agent; what can wait comes after it or when it is asked for.
# Inputs:  none.
# Effect:  AppArmor's profiles are loaded after the agent and before Docker; containerd starts with Docker; no look for LVM snapshots at boot;
#          units masked that only start modprobe: each costs 1.5 s of an emulated machine while udev should find disk and network.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

# exists UNIT: a package brought this unit.
exists() {
    [[ -f /usr/lib/systemd/system/$1 || -f /lib/systemd/system/$1 ]]
}

# Compiling the profiles holds up all of sysinit.target, 5.2 s on an emulated machine; only containers are confined by them.
if exists apparmor.service; then
    put usr/lib/systemd/system/goldbake-apparmor.service
    systemctl disable apparmor.service
    systemctl enable goldbake-apparmor.service
fi
# docker.service wants both by itself (5.7 s).
if exists containerd.service; then
    systemctl disable containerd.service
fi
# Removes snapshots that an interrupted check of an LVM volume left; there is no LVM in the image.
if exists e2scrub_reap.service; then
    systemctl disable e2scrub_reap.service e2scrub_all.timer
fi
# repart has nothing to do without /etc/repart.d and still loads loop and dm_mod; pstore loads efi_pstore; the two mounts load fuse and configfs,
# which their users load by themselves.
for unit in systemd-repart.service systemd-pstore.service sys-fs-fuse-connections.mount sys-kernel-config.mount; do
    if exists "$unit"; then
        systemctl mask "$unit"
    fi
done
