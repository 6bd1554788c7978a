#!/bin/sh
# Starts the services of this image, then becomes the image's own command. A service that does
# not start is a line on stderr; the command runs all the same.

# How many of the words that follow are the image's own entrypoint.
entrypoint_words=@ENTRYPOINT_WORDS@
helpers=/usr/local/dros/libexec

say() {
    printf 'fastbuild-start: %s\n' "$1" >&2
}

if [ -x "$helpers/fastbuild-sshd" ]; then
    if [ "$(id -u)" = 0 ]; then
        "$helpers/fastbuild-sshd" </dev/null
    else
        sudo -n "$helpers/fastbuild-sshd" </dev/null
    fi || say 'the SSH server did not start'
fi

if [ -x "$helpers/fastbuild-jupyter" ]; then
    "$helpers/fastbuild-jupyter" </dev/null &
fi

# With no command, or with nothing but a shell that would find its input at its end at once, the
# container would stop and take the services along: wait for the signal to stop instead.
if [ "$#" -eq 0 ]; then
    exec "$helpers/fastbuild-wait"
fi
if [ "$#" -eq "$((entrypoint_words + 1))" ] && [ "$(readlink /proc/self/fd/0)" = /dev/null ]; then
    for last in "$@"; do :; done
    case $last in
    sh | bash | /bin/sh | /bin/bash | /usr/bin/sh | /usr/bin/bash)
        # Rotates the words so that all but the last stay and the last becomes the waiting.
        count=1
        while [ "$count" -lt "$#" ]; do
            set -- "$@" "$1"
            shift
            count=$((count + 1))
        done
        shift
        set -- "$@" "$helpers/fastbuild-wait"
        ;;
    esac
fi
exec "$@"
