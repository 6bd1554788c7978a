#!/bin/sh
# Starts the SSH server; needs root. Host keys are made here, at the first start, so that no two
# containers share them.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH

mkdir -p /run/sshd && chmod 0755 /run/sshd
ssh-keygen -A >/dev/null || exit 1
exec "$(command -v sshd || echo /usr/sbin/sshd)"
