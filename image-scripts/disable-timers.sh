#!/usr/bin/env bash
# Purpose: nothing installs, downloads or reboots by itself while a job runs.
# Inputs:  none.
# Effect:  apt's timers and unattended upgrades masked, apt's periodic work off.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

put etc/apt/apt.conf.d/99goldbake-periodic
systemctl mask apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service unattended-upgrades.service
for timer in man-db.timer dpkg-db-backup.timer motd-news.timer fwupd-refresh.timer ua-timer.timer update-notifier-download.timer update-notifier-motd.timer; do
    # Masked only where they exist: they cost a job its disk and processor for nothing.
    [[ ! -f /usr/lib/systemd/system/$timer && ! -f /lib/systemd/system/$timer ]] || systemctl mask "$timer"
done
