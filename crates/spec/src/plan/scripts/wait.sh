#!/bin/sh
# Keeps the container running for its services until it is told to stop.
stop() {
    trap '' TERM INT
    # Only the first process of a container's own process table may tell all others.
    if [ "$$" = 1 ]; then
        kill -s TERM -- -1 2>/dev/null
    fi
    exit 0
}
trap stop TERM INT
while :; do
    sleep 86400 &
    wait "$!"
done
