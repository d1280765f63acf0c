#!/usr/bin/env bash
# Purpose: nothing of the bake, and nothing that must differ between two machines, stays in the image. Runs last.
# Inputs:  none.
# Effect:  caches, logs, histories, identities and keys are gone.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

# empty FOLDER: remove what is in it, keep the folder and its permissions.
empty() {
    [[ ! -d $1 ]] || find "$1" -xdev -mindepth 1 -delete
}

apt-get -q -y --purge autoremove
apt-get -q clean
empty /var/lib/apt/lists
rm -f /var/cache/apt/*.bin /var/cache/debconf/*-old /var/lib/dpkg/*-old

# Logs: files of packages stay as empty files with their owners, journals go.
empty /var/log/journal
find /var/log -xdev -type f \( -name '*.gz' -o -name '*.[0-9]' -o -name '*.old' \) -delete
find /var/log -xdev -type f -exec truncate --size 0 {} +

if command -v cloud-init >/dev/null; then
    cloud-init clean --logs --seed
fi
empty /var/lib/cloud
empty /var/lib/goldbake
rm -f /var/lib/waagent/ovf-env.xml /var/lib/waagent/CustomData
empty /var/lib/dhcp
find /root /home -xdev \( -name '.*_history' -o -name '.wget-hsts' -o -name '.lesshst' -o -name .sudo_as_admin_successful \) -delete
rm -rf /root/.cache /root/.gnupg /home/*/.cache
# Not the folder that this script reads.
find /var/tmp -xdev -mindepth 1 -maxdepth 1 ! -path "$(dirname "$GOLDBAKE_SCRIPTS")" -exec rm -rf {} +

# Identities and keys last: a step before may have made new ones. The SSH connection of the bake lives on without them.
rm -f /var/lib/systemd/random-seed /var/lib/systemd/credential.secret
rm -f /var/lib/dkms/mok.key /var/lib/dkms/mok.pub /var/lib/shim-signed/mok/MOK.priv /var/lib/shim-signed/mok/MOK.der
truncate --size 0 /etc/machine-id
rm -f /var/lib/dbus/machine-id
find /root/.ssh /home/*/.ssh /etc/ssh -name 'authorized_keys*' -type f -delete 2>/dev/null || true # a folder may not be there
rm -f /etc/ssh/ssh_host_*
