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
# On the command line these win over every settings file and variable that the base image has for another
# address, port or login.
hash=$(sed -n 's/.*"hashed_password": "\([^"]*\)".*/\1/p' /etc/jupyter/jupyter_server_config.json)
if [ -z "$hash" ]; then
    echo 'fastbuild-jupyter: the password cannot be read, JupyterLab does not start' >&2
    exit 1
fi
unset JUPYTER_TOKEN JUPYTER_TOKEN_FILE JUPYTER_PORT JUPYTER_PORT_RETRIES
exec @JUPYTER_LAB@ --ServerApp.ip=0.0.0.0 --ServerApp.port=8888 --ServerApp.port_retries=0 \
    --ServerApp.allow_root=True --ServerApp.open_browser=False --ServerApp.base_url=/ \
    --ServerApp.token= --ServerApp.password="$hash" --ServerApp.sock= --ServerApp.certfile= --ServerApp.keyfile= \
    --ServerApp.identity_provider_class=jupyter_server.auth.identity.PasswordIdentityProvider \
    --IdentityProvider.token= --PasswordIdentityProvider.password_required=True \
    --PasswordIdentityProvider.hashed_password="$hash" @DEFAULT_KERNEL@ \
    </dev/null >>"$log" 2>&1
