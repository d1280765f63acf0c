#!/bin/bash
# Simulated agent: keeps the PATH of this moment for jobs, and some variables for every start. A line that .env has already stays.
[ -e .env ] || : >.env
kept=$(<.env)
for name in LANG JAVA_HOME ANT_HOME M2_HOME ANDROID_HOME ANDROID_SDK_ROOT GRADLE_HOME NVM_BIN NVM_PATH LD_LIBRARY_PATH PERL5LIB \
    VSTS_HTTP_PROXY VSTS_HTTP_PROXY_USERNAME VSTS_HTTP_PROXY_PASSWORD AGENT_TOOLSDIRECTORY; do
    if [ -n "${!name:-}" ] && [[ $'\n'$kept != *$'\n'"$name="* ]]; then
        printf '%s=%s\n' "$name" "${!name}" >>.env
    fi
done
printf '%s\n' "$PATH" >.path
