#!/usr/bin/env bash
# Purpose: one kernel in the image, so that none can be booted that has no driver.
# Inputs:  GOLDBAKE_CLOUD.
# Effect:  purges every kernel but the newest, with its headers and modules.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_CLOUD 'aws|gcp|azure|local'

newest=$(installed_kernels | tail -n 1)
[[ -n $newest ]] || fail "there is no kernel in /boot" "see install-kernel.sh"
# A local bake is a container on the bake host's kernel; everywhere else the newest kernel must be the one that runs.
if [[ $GOLDBAKE_CLOUD != local && $(uname -r) != "$newest" ]]; then
    fail "the machine runs $(uname -r), its newest kernel is $newest" "the layer before needs reboot: true in images.yaml"
fi

mapfile -t old < <(
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' 'linux-image-*' 'linux-headers-*' 'linux-modules-*' 2>/dev/null |
        awk '$1 == "installed" && $2 ~ /^linux-(image|headers|modules)(-unsigned|-extra)?-[0-9]/ { print $2 }' | while read -r package; do
        release=$(sed -E 's/^linux-(image|headers|modules)(-unsigned|-extra)?-//' <<<"$package")
        # Headers come in two packages: 6.1.0-56-cloud-amd64 and 6.1.0-56-common, 6.8.0-52-generic and 6.8.0-52.
        [[ $newest == "$release" || $newest == "${release%-common}"-* ]] || printf '%s\n' "$package"
    done
)
if ((${#old[@]})); then
    say "removing ${old[*]}"
    apt-get -q -y purge "${old[@]}"
fi
[[ $(installed_kernels) == "$newest" ]] || fail "kernels that belong to no package are left: $(installed_kernels | paste -sd' ')" "remove them from the base image"
for tree in /lib/modules/*/; do
    [[ $(basename "$tree") == "$newest" ]] || rm -rf "$tree"
done
