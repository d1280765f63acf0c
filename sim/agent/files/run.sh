#!/bin/bash
# Simulated agent: run. Refuses root like the real one.
if [ "$(id -u)" -eq 0 ] && [ -z "${AGENT_ALLOW_RUNASROOT:-}" ]; then
    echo "Must not run interactively with sudo"
    exit 1
fi
cd "$(dirname "$0")" || exit 1
exec ./bin/Agent.Listener run "$@"
