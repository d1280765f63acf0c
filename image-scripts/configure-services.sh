#!/usr/bin/env bash
# Purpose: NVIDIA's services work where there is a GPU and are silently skipped where there is none: an image boots clean on both.
# Inputs:  none.
# Effect:  /usr/lib/goldbake/has-nvidia-device; drop-ins; units enabled, none started.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

# unit_file NAME: the packaged file of a unit; fails when there is none.
unit_file() {
    local folder
    for folder in /usr/lib/systemd/system /lib/systemd/system; do
        if [[ -f $folder/$1 ]]; then
            printf '%s' "$folder/$1"
            return
        fi
    done
    fail "there is no unit $1" "its package comes in an earlier script of images.yaml"
}

put usr/lib/goldbake/has-nvidia-device

# Ubuntu's unit passes --no-persistence-mode, so that it persists nothing; and it has no [Install] section.
persistenced=$(unit_file nvidia-persistenced.service)
command=$(sed -n 's/^ExecStart=//p' "$persistenced" | tail -n 1)
[[ -n $command ]] || fail "$persistenced has no ExecStart"
put etc/systemd/system/nvidia-persistenced.service.d/goldbake.conf
printf 'ExecStart=\nExecStart=%s\n' "${command// --no-persistence-mode/}" >>/etc/systemd/system/nvidia-persistenced.service.d/goldbake.conf

unit_file nvidia-cdi-refresh.service >/dev/null
put etc/systemd/system/nvidia-cdi-refresh.service.d/goldbake.conf
units=(nvidia-persistenced.service nvidia-cdi-refresh.service nvidia-cdi-refresh.path)
if is_installed nvidia-fabricmanager || compgen -G '/var/lib/dpkg/info/nvidia-fabricmanager-*.list' >/dev/null; then
    put etc/systemd/system/nvidia-fabricmanager.service.d/goldbake.conf
    units+=(nvidia-fabricmanager.service)
fi
systemctl enable "${units[@]}"
