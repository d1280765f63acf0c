#!/usr/bin/env bash
# Purpose: nothing that the agent does not need stands between power-on and the agent; what can wait comes after it or when it is asked for.
# Inputs:  none.
# Effect:  AppArmor's profiles are loaded after the agent and before Docker; containerd starts with Docker; no look for LVM snapshots at boot;
#          units masked that only start modprobe: each costs 1.5 s of an emulated machine while udev should find disk and network;
#          generators and units masked that have nothing to do in this image; logind starts after the agent.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

# exists UNIT: a package brought this unit.
exists() {
    [[ -f /usr/lib/systemd/system/$1 || -f /lib/systemd/system/$1 ]]
}

# mask_generator NAME [FILE]: do not run systemd-NAME-generator at boot, unless FILE gives it work.
mask_generator() {
    [[ ! -s ${2-} ]] || return 0
    install -d -m 755 /etc/systemd/system-generators
    ln -sf /dev/null "/etc/systemd/system-generators/systemd-$1-generator"
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
# Each generator is a process that systemd waits for before it starts anything.
mask_generator cryptsetup /etc/crypttab
mask_generator integritysetup /etc/integritytab
mask_generator veritysetup /etc/veritytab
mask_generator rc-local /etc/rc.local
mask_generator gpt-auto # the root is named on the kernel's command line
mask_generator hibernate-resume

# The only formats that are registered at boot are Python's own, unless a script of yours adds some.
if [[ -z $(find /etc/binfmt.d /usr/lib/binfmt.d -name '*.conf' ! -name 'python3*' 2>/dev/null) ]] && exists systemd-binfmt.service; then
    systemctl mask systemd-binfmt.service
fi
# D-Bus starts it at a login, first boot and the agent when they are done (1.6 s).
if exists systemd-logind.service; then
    install -d -m 755 /etc/systemd/system/multi-user.target.wants
    ln -sf /dev/null /etc/systemd/system/multi-user.target.wants/systemd-logind.service
fi
