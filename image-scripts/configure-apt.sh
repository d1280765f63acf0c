#!/usr/bin/env bash
# Purpose: a package manager that asks nothing, retries, and knows the components that drivers come from; everything up to date.
# Inputs:  GOLDBAKE_OS, GOLDBAKE_CODENAME, GOLDBAKE_DRIVER_SOURCE.
# Effect:  /etc/apt/apt.conf.d/80goldbake; components in the distribution's own sources; a full upgrade.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_OS "$os_form"
need GOLDBAKE_CODENAME '[a-z]+'
need GOLDBAKE_DRIVER_SOURCE 'nvidia|debian'

running=$(. /etc/os-release && printf '%s-%s' "$ID" "$VERSION_ID")
[[ $running == "$GOLDBAKE_OS" ]] || fail "this machine runs $running, the image is for $GOLDBAKE_OS" "correct the base image"

if command -v cloud-init >/dev/null; then
    say "waiting for cloud-init"
    # 2 means "done, with recoverable errors" (cloud-init 23.4 and newer); they are the base image's, not ours.
    cloud-init status --wait >/dev/null || [[ $? == 2 ]] || fail "cloud-init of the base image failed" "see /var/log/cloud-init.log there"
fi
# The daily timers would hold apt's lock in the middle of the bake; disable-timers.sh masks them for good.
systemctl stop apt-daily.timer apt-daily-upgrade.timer 2>/dev/null || true # not there on every base

put etc/apt/apt.conf.d/80goldbake
if [[ $GOLDBAKE_DRIVER_SOURCE == debian ]]; then
    # Only in the distribution's own suites: a cloud's image brings sources of others, and apt warns for ever of components that they lack.
    components='main contrib non-free non-free-firmware'
    suite="$GOLDBAKE_CODENAME(-updates|-security|-backports)?"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
        [[ ! -f $file ]] || sed -i -E "s/^(deb[[:space:]]+(\[[^]]*\][[:space:]]+)?[^[:space:]]+[[:space:]]+$suite)[[:space:]]+main\b.*/\1 $components/" "$file"
    done
    for file in /etc/apt/sources.list.d/*.sources; do
        [[ -f $file ]] || continue
        others=$(sed -n 's/^Suites://p' "$file" | grep -vE "^([[:space:]]+$suite)+[[:space:]]*$") || true # none is what we look for
        [[ -n $others ]] || sed -i -E "s/^Components:.*\bmain\b.*/Components: $components/" "$file"
    done
fi
apt_update
apt-get -q -y -o Dpkg::Options::=--force-confold full-upgrade
