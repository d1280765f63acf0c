#!/bin/bash
# Simulated agent: keeps the PATH of the time of configuration for jobs.
printf '%s' "$PATH" >.path
: >>.env
