#!/usr/bin/env bash
# Purpose: the Azure Pipelines agent, unpacked and never configured: each machine gets its own identity at its first boot.
# Inputs:  GOLDBAKE_OS, GOLDBAKE_AGENT_VERSION, GOLDBAKE_AGENT_SHA256; GOLDBAKE_FILES with agent.tar.gz when the bake host has it (simulated, or
#          a file: URL in images.lock.yaml), else GOLDBAKE_AGENT_URL.
# Effect:  /opt/azure-pipelines-agent, and the libraries that the agent needs.
set -euo pipefail
# shellcheck source=lib/common.sh
source "${GOLDBAKE_SCRIPTS:?}/lib/common.sh"
need GOLDBAKE_OS "$os_form"
need GOLDBAKE_AGENT_VERSION "$version_form"
need GOLDBAKE_AGENT_SHA256 "$sha256_form"
need GOLDBAKE_FILES '/.+'
[[ -f $GOLDBAKE_FILES/agent.tar.gz ]] || need GOLDBAKE_AGENT_URL "$url_form"
id agent >/dev/null 2>&1 || fail "there is no user agent" "create-users comes before install-agent in images.yaml"
root=/opt/azure-pipelines-agent

# The agent's own installdependencies.sh fails on Debian 12 (microsoft/azure-pipelines-agent#5161).
case $GOLDBAKE_OS in
debian-12) libraries=(libicu72 libssl3 liblttng-ust1) ;;
debian-13) libraries=(libicu76 libssl3t64 liblttng-ust1t64) ;;
ubuntu-22.04) libraries=(libicu70 libssl3 liblttng-ust1) ;;
ubuntu-24.04) libraries=(libicu74 libssl3t64 liblttng-ust1t64) ;;
esac
# iputils-ping: the agent's update script sleeps with ping. git: the first step of nearly every job.
apt_install "${libraries[@]}" ca-certificates curl git iputils-ping libc-bin libkrb5-3 zlib1g

work=$(mktemp -d)
trap 'rm -rf "$work" "$root.new"' EXIT
if [[ -f $GOLDBAKE_FILES/agent.tar.gz ]]; then
    cp "$GOLDBAKE_FILES/agent.tar.gz" "$work/agent.tar.gz"
    got=$(sha256sum "$work/agent.tar.gz" | cut -d' ' -f1)
    [[ $got == "$GOLDBAKE_AGENT_SHA256" ]] || fail "agent.tar.gz has SHA-256 $got, wanted is $GOLDBAKE_AGENT_SHA256"
else
    fetch "$GOLDBAKE_AGENT_URL" "$work/agent.tar.gz" "$GOLDBAKE_AGENT_SHA256"
fi

rm -rf "$root.new"
install -d -o agent -g agent -m 750 "$root.new"
tar --extract --gzip --no-same-owner --file "$work/agent.tar.gz" --directory "$root.new"
chown -R agent:agent "$root.new"
chmod 750 "$root.new"
got=$(cd "$root.new" && setpriv --reuid agent --regid agent --init-groups env --ignore-environment HOME=/home/agent PATH="$PATH" bin/Agent.Listener --version) ||
    fail "the agent cannot start" "the lines above say why; see the libraries in this script"
[[ $got == "$GOLDBAKE_AGENT_VERSION" ]] || fail "the tarball holds agent $got, wanted is $GOLDBAKE_AGENT_VERSION"
# Asking for the version leaves a log.
rm -rf "$root.new/_diag" "$root"
mv "$root.new" "$root"
