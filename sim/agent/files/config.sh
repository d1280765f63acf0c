#!/bin/bash
# Simulated agent: configure or remove. Refuses root like the real one.
if [ "$(id -u)" -eq 0 ] && [ -z "${AGENT_ALLOW_RUNASROOT:-}" ]; then
    echo "Must not run with sudo"
    exit 1
fi
cd "$(dirname "$0")" || exit 1
. ./env.sh
if [ "${1:-}" = remove ]; then
    exec ./bin/Agent.Listener "$@"
fi
exec ./bin/Agent.Listener configure "$@"
