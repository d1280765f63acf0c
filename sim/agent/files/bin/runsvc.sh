#!/bin/bash
# Simulated agent: the service's entry point.
cd "$(dirname "$0")" || exit 1
[ -f .path ] && PATH=$(cat .path) && export PATH
exec ./bin/Agent.Listener run --startuptype service
