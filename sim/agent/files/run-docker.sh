#!/bin/bash
# Simulated agent: run as the main program of a container, which has no service manager: an update (3, 4) starts it again.
if [ "$EUID" -eq 0 ] && [ -z "${AGENT_ALLOW_RUNASROOT:-}" ]; then
    echo "Must not run interactively with sudo"
    exit 1
fi
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
child=
stop() { [ -z "$child" ] || kill -INT "$child" 2>/dev/null; }
trap stop TERM INT
while :; do
    ./bin/Agent.Listener run --startuptype service "$@" &
    child=$!
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, not the listener
        wait "$child"
        code=$?
    done
    child=
    if [ "$code" -ne 3 ] && [ "$code" -ne 4 ]; then
        exit "$code"
    fi
    sleep 5
done
