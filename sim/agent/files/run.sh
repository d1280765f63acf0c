#!/bin/bash
# Simulated agent: run in the foreground. Refuses root like the real one; after an update in --once mode (4) the new version runs once more.
if [ "$EUID" -eq 0 ] && [ -z "${AGENT_ALLOW_RUNASROOT:-}" ]; then
    echo "Must not run interactively with sudo"
    exit 1
fi
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
./bin/Agent.Listener run "$@"
code=$?
if [ "$code" -eq 4 ]; then
    sleep 5
    ./bin/Agent.Listener run "$@"
    code=$?
fi
exit "$code"
