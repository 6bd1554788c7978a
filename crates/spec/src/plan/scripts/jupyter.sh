#!/bin/sh
# Runs JupyterLab as the container's user, in the container's working directory. Its output goes to a
# log of its own; the image's command has the container's.
if ! [ -w "${HOME:-/nonexistent}" ]; then
    HOME=$(mktemp -d) || HOME=/tmp
    export HOME
fi
if [ "$(id -u)" = 0 ]; then
    log=/var/log/jupyterlab.log
else
    log=$HOME/.jupyterlab.log
fi
if ! (: >>"$log") 2>/dev/null; then
    printf 'fastbuild-jupyter: cannot write %s, JupyterLab runs without a log\n' "$log" >&2
    log=/dev/null
fi
if [ -x /bin/bash ]; then
    SHELL=${SHELL:-/bin/bash}
    export SHELL
fi
exec @JUPYTER_LAB@ </dev/null >>"$log" 2>&1
