#!/usr/bin/env bash
# Purpose: the newest kernel of the cloud's flavour with its headers; the driver is built for it after a reboot.
# Inputs:  GOLDBAKE_OS, GOLDBAKE_CLOUD.
# Effect:  kernel and header packages.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_OS "$os_form"
need GOLDBAKE_CLOUD 'aws|gcp|azure|local'

case $GOLDBAKE_OS-$GOLDBAKE_CLOUD in
debian-*) packages=(linux-image-cloud-amd64 linux-headers-cloud-amd64) ;;
ubuntu-*-local) packages=(linux-image-generic linux-headers-generic) ;;
ubuntu-*) packages=("linux-image-$GOLDBAKE_CLOUD" "linux-headers-$GOLDBAKE_CLOUD") ;;
esac
apt_install "${packages[@]}"

newest=$(installed_kernels | tail -n 1)
[[ -n $newest ]] || fail "no kernel in /boot after installing ${packages[*]}"
# DKMS skips a kernel without headers and says nothing (dkms 3.0.10, common.postinst).
[[ -d /lib/modules/$newest/build/ ]] || apt_install "linux-headers-$newest"
say "newest kernel: $newest"
