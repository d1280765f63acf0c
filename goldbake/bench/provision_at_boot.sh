#!/usr/bin/env bash
# The old way, for `./inv bench.boot`: a stock machine installs driver, Docker, toolkit and agent at its first boot and then registers.
# The same packages and versions as the golden image, in the fewest steps; a recipe over SSH would only be slower.
# Inputs: DRIVER_VERSION DOCKER_VERSION ORGANIZATION_URL POOL NAME; /run/provision/{toolkit/,agent.tar.gz,ca.pem,token}. Effect: the agent listens.
set -euo pipefail

driver=$1 docker=$2 url=$3 pool=$4 name=$5
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
trap 'printf "provisioning failed in line %s\n" "$LINENO"' ERR
# The daily timers of a stock machine take apt's locks at its first boot; its time-out for locks does not hold for those of lists and archives.
systemctl stop apt-daily.timer apt-daily-upgrade.timer apt-daily.service apt-daily-upgrade.service
apt-get -qq update
apt-get install -qq -y --no-install-recommends "nvidia-kernel-dkms=$driver-*" "nvidia-kernel-support=$driver-*" "nvidia-smi=$driver-*" \
    "libcuda1=$driver-*" "libnvidia-ml1=$driver-*" "libnvcuvid1=$driver-*" "libnvidia-encode1=$driver-*" "libnvidia-ptxjitcompiler1=$driver-*" \
    nvidia-persistenced nvidia-modprobe
apt-get install -qq -y --no-install-recommends "docker.io=$docker*" apparmor
apt-get install -qq -y --no-install-recommends libicu72 libssl3 liblttng-ust1 git iputils-ping libkrb5-3
install -m 755 /run/provision/toolkit/nvidia-* /usr/bin/

useradd --create-home --groups docker agent
root=/opt/azure-pipelines-agent
install -d -o agent -g agent -m 750 "$root"
tar --extract --gzip --no-same-owner --file /run/provision/agent.tar.gz --directory "$root"
chown -R agent:agent "$root"
cd "$root"
VSTS_AGENT_INPUT_TOKEN=$(cat /run/provision/token)
export VSTS_AGENT_INPUT_TOKEN
setpriv --reuid agent --regid agent --init-groups ./config.sh --unattended --auth pat --replace --url "$url" --pool "$pool" --agent "$name" --work _work --sslcacert /run/provision/ca.pem
unset VSTS_AGENT_INPUT_TOKEN
exec setpriv --reuid agent --regid agent --init-groups ./run.sh --startuptype service
