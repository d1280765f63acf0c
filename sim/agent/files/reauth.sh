#!/bin/bash
# Simulated agent: a new key for an agent that is configured already.
if [ "$EUID" -eq 0 ] && [ -z "${AGENT_ALLOW_RUNASROOT:-}" ]; then
    echo "Must not run with sudo"
    exit 1
fi
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
exec ./bin/Agent.Listener reauth "$@"
