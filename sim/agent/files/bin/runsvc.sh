#!/bin/bash
# Simulated agent: the service's main program. It starts the listener again after an update or a failure that may pass (everything but 0 and
# 1), and ends with 0 whatever happened: systemd sees a success even after a terminated listener.
cd "$(dirname "${BASH_SOURCE[0]}")" || exit 1
[ -x bin/Agent.Listener ] || cd .. || exit 1
[ -f .path ] && PATH=$(<.path) && export PATH
for host in externals/node24 externals/node20_1 externals/node16; do
    [ -d "$host" ] && break
    host=
done
if [ -z "$host" ]; then
    echo "There is no Node in externals to run the service with."
    exit 1
fi

child=
stopping=
stop() {
    stopping=1
    [ -z "$child" ] || kill -INT "$child" 2>/dev/null
}
trap stop TERM INT
while [ -z "$stopping" ]; do
    ./bin/Agent.Listener run --startuptype service &
    child=$!
    wait "$child"
    code=$?
    while kill -0 "$child" 2>/dev/null; do # a signal ended the wait, not the listener
        wait "$child"
        code=$?
    done
    child=
    pause=$(awk "BEGIN { print 5 * ${SIMULATED_AGENT_PACE:-1} }" 2>/dev/null || echo 5)
    case $code in
    0)
        echo "Agent listener exited with error code 0: stop the service, no retry needed."
        break
        ;;
    1)
        echo "Agent listener exited with error code 1: stop the service, no retry needed."
        break
        ;;
    3 | 4)
        echo "Agent listener exited with error code $code: it updates itself."
        pause=5 # at any pace: the new version takes the place of the old one meanwhile
        ;;
    *) echo "Agent listener exited with error code $code: start it again." ;;
    esac
    [ -n "$stopping" ] || sleep "$pause" &
    wait $!
done
exit 0
