#!/usr/bin/env bash
# Purpose: the container engine in exactly the wanted version, started by its socket.
# Inputs:  GOLDBAKE_OS, GOLDBAKE_CODENAME, GOLDBAKE_DOCKER_SOURCE, GOLDBAKE_DOCKER_VERSION; for source docker: GOLDBAKE_DOCKER_REPOSITORY_URL,
#          GOLDBAKE_DOCKER_KEY_URL, GOLDBAKE_DOCKER_KEY_FINGERPRINT.
# Effect:  packages, /etc/docker/daemon.json, docker.socket enabled.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_OS "$os_form"
need GOLDBAKE_CODENAME '[a-z]+'
need GOLDBAKE_DOCKER_SOURCE 'docker|debian'
need GOLDBAKE_DOCKER_VERSION "$version_form"

if [[ $GOLDBAKE_DOCKER_SOURCE == docker ]]; then
    need GOLDBAKE_DOCKER_REPOSITORY_URL "$url_form"
    need GOLDBAKE_DOCKER_KEY_URL "$url_form"
    need GOLDBAKE_DOCKER_KEY_FINGERPRINT "$fingerprint_form"
    # Two engines fight over the same files and socket (https://docs.docker.com/engine/install/debian/).
    others=()
    for package in docker.io docker-doc docker-compose podman-docker containerd runc; do
        ! is_installed "$package" || others+=("$package")
    done
    ((${#others[@]} == 0)) || apt-get -q -y purge "${others[@]}"
    fetch_key "$GOLDBAKE_DOCKER_KEY_URL" /etc/apt/keyrings/docker.asc "$GOLDBAKE_DOCKER_KEY_FINGERPRINT"
    add_repository docker "deb [signed-by=/etc/apt/keyrings/docker.asc arch=amd64] $GOLDBAKE_DOCKER_REPOSITORY_URL $GOLDBAKE_CODENAME stable"
    version=$(exact docker-ce "$GOLDBAKE_DOCKER_VERSION")
    packages=("docker-ce=$version" "docker-ce-cli=$version" containerd.io docker-buildx-plugin docker-compose-plugin)
else
    [[ $GOLDBAKE_OS == debian-* ]] || fail "source debian is not for $GOLDBAKE_OS" "docker: {source: docker, …} in images.yaml"
    version=$(exact docker.io "$GOLDBAKE_DOCKER_VERSION")
    packages=("docker.io=$version")
    # Debian 13 took the client out of docker.io.
    [[ -z $(available docker-cli) ]] || packages+=("docker-cli=$version")
fi
# apparmor: only recommended, but where the kernel has AppArmor on no container starts without it.
apt_install "${packages[@]}" apparmor

# What the toolkit adds to it later stays when this script runs again.
[[ -s /etc/docker/daemon.json ]] || put etc/docker/daemon.json
# The first `docker` of a job starts the daemon; at boot it would cost seconds before the agent is online.
systemctl disable docker.service
systemctl enable docker.socket
