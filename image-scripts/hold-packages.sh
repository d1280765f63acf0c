#!/usr/bin/env bash
# Purpose: no upgrade changes kernel, driver, toolkit or container engine behind the image's back: the owner patches by baking again.
# Inputs:  none.
# Effect:  apt-mark hold on every such package, the metapackages too.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

mapfile -t packages < <(
    dpkg-query -W -f '${db:Status-Status} ${Package}\n' | awk '$1 == "installed" { print $2 }' |
        grep -E '^linux-(image|headers|modules|signatures|aws|azure|gcp|generic|virtual)(-|$)|(^|-)(lib)?nvidia(-|$)|^libnv(cuvid|optix)|^libcuda|^cuda-(drivers|keyring)|^libxnvctrl|^(docker-ce|docker-ce-cli|docker\.io|docker-cli|containerd|containerd\.io|runc)$'
)
((${#packages[@]})) || fail "there is nothing to hold" "kernel, driver and Docker come in earlier scripts of images.yaml"
apt-mark hold "${packages[@]}" >/dev/null
say "held: ${#packages[@]} packages"
