#!/bin/bash
# Simulated agent: configure or remove. Run it in its own folder: the libraries are looked for below the folder that it is called from.
if [ "$EUID" -eq 0 ] && [ -z "${AGENT_ALLOW_RUNASROOT:-}" ]; then
    echo "Must not run with sudo"
    exit 1
fi

hint="Execute sudo ./bin/installdependencies.sh to install what is missing."
for library in ./bin/*.so; do
    [ -e "$library" ] || continue
    if ! command -v ldd >/dev/null; then
        echo "Can not find 'ldd'. Please install 'ldd' and try again."
        exit 1
    fi
    if ldd "$library" | grep 'not found'; then
        echo "A library that $library needs is missing."
        echo "$hint"
        exit 1
    fi
done
ldconfig=$(command -v ldconfig) || ldconfig=/sbin/ldconfig
if [[ $("$ldconfig" -p 2>/dev/null) != *libicu* ]]; then
    echo "Libicu's dependencies are missing."
    echo "$hint"
    exit 1
fi

cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
. ./env.sh
if [ "${1:-}" = remove ]; then
    exec ./bin/Agent.Listener "$@"
fi
exec ./bin/Agent.Listener configure "$@"
