#!/usr/bin/env bash
# Purpose: the user that jobs run as: no administrator, no password, may use Docker.
# Inputs:  none.
# Effect:  user and group `agent` with the home /home/agent.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"

if ! id agent >/dev/null 2>&1; then
    useradd --create-home --home-dir /home/agent --shell /bin/bash --user-group --comment "Azure Pipelines agent" agent
fi
passwd --quiet --lock agent
getent group docker >/dev/null || fail "there is no group docker" "install-docker comes before create-users in images.yaml"
usermod --append --groups docker agent
chmod 750 /home/agent
