#!/usr/bin/env bash
# Purpose: nvidia-container-toolkit in exactly the wanted version, and Docker told about it.
# Inputs:  GOLDBAKE_TOOLKIT_SOURCE, GOLDBAKE_TOOLKIT_VERSION; for source nvidia: GOLDBAKE_TOOLKIT_REPOSITORY_URL, GOLDBAKE_TOOLKIT_KEY_URL,
#          GOLDBAKE_TOOLKIT_KEY_FINGERPRINT; for source module: GOLDBAKE_FILES with toolkit/.
# Effect:  programs, /etc/nvidia-container-runtime/config.toml, the nvidia runtime in /etc/docker/daemon.json.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_TOOLKIT_SOURCE 'nvidia|module'
need GOLDBAKE_TOOLKIT_VERSION "$version_form"
version=$GOLDBAKE_TOOLKIT_VERSION
docker_options=(--cdi.enabled)

if [[ $GOLDBAKE_TOOLKIT_SOURCE == nvidia ]]; then
    need GOLDBAKE_TOOLKIT_REPOSITORY_URL "$url_form"
    need GOLDBAKE_TOOLKIT_KEY_URL "$url_form"
    need GOLDBAKE_TOOLKIT_KEY_FINGERPRINT "$fingerprint_form"
    key=/etc/apt/keyrings/nvidia-container-toolkit.asc
    fetch_key "$GOLDBAKE_TOOLKIT_KEY_URL" "$key" "$GOLDBAKE_TOOLKIT_KEY_FINGERPRINT"
    add_repository nvidia-container-toolkit "deb [signed-by=$key] $GOLDBAKE_TOOLKIT_REPOSITORY_URL /"
    wanted=()
    for package in nvidia-container-toolkit nvidia-container-toolkit-base libnvidia-container-tools libnvidia-container1; do
        wanted+=("$package=$(exact "$package" "$version")")
    done
    apt_install "${wanted[@]}"
else
    need GOLDBAKE_FILES '/.+'
    programs=(nvidia-ctk nvidia-container-runtime nvidia-container-runtime-hook nvidia-cdi-hook)
    for program in "${programs[@]}"; do
        [[ -f $GOLDBAKE_FILES/toolkit/$program ]] || fail "$GOLDBAKE_FILES/toolkit has no $program" "it is built on the bake host from packer/tools/toolkit"
    done
    for program in "${programs[@]}"; do
        install -o root -g root -m 755 "$GOLDBAKE_FILES/toolkit/$program" "/usr/bin/$program"
    done
    # Without libnvidia-container only CDI gives a container its GPU.
    put etc/nvidia-container-runtime/config.toml
    put usr/lib/systemd/system/nvidia-cdi-refresh.service
    put usr/lib/systemd/system/nvidia-cdi-refresh.path
    # Docker before 25 knows no CDI: as its default, the runtime turns `--gpus all` into CDI devices.
    docker_options+=(--set-as-default)
fi

for program in nvidia-ctk nvidia-container-runtime nvidia-cdi-hook; do
    said=$("$program" --version 2>&1) || fail "$program cannot run: $said"
    [[ ${said%%$'\n'*} == *" version $version" ]] || fail "$program is not version $version: ${said%%$'\n'*}"
done
# nvidia-ctk stops at an empty file, and another program's broken one would be lost without a word.
[[ ! -e /etc/docker/daemon.json ]] || python3 -m json.tool /etc/docker/daemon.json >/dev/null || fail "/etc/docker/daemon.json is not JSON"
nvidia-ctk --quiet runtime configure --runtime=docker "${docker_options[@]}"
if dockerd --help | grep -q -- --validate; then
    dockerd --validate --config-file /etc/docker/daemon.json
fi
# A specification describes the GPUs of one machine: nvidia-cdi-refresh writes it at boot.
rm -f /etc/cdi/nvidia*.yaml
