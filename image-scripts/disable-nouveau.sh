#!/usr/bin/env bash
# Purpose: the kernel's own driver must not take the GPU before NVIDIA's.
# Inputs:  none.
# Effect:  /etc/modprobe.d/goldbake-nouveau.conf; install-driver.sh rebuilds the initramfs once for both.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

put etc/modprobe.d/goldbake-nouveau.conf
