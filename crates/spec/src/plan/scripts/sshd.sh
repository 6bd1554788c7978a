#!/bin/sh
# Starts the SSH server; needs root. Host keys are made here, at the first start, so that no two
# containers share them. Whoever logs in has the variables that the container was started with: they
# come by standard input, one a line, with \001 for a line break within one.
PATH=/usr/sbin:/usr/bin:/sbin:/bin
export PATH
login_script=/etc/profile.d/fastbuild.sh

variables=$(cat)
sshd=$(command -v sshd || echo /usr/sbin/sshd)
# Only the container's start says which variables those are: the user who may run this must not change
# them under root's logins.
if running=$(cat /run/sshd.pid 2>/dev/null) && [ "$(readlink "/proc/$running/exe")" = "$(readlink -f "$sshd")" ]; then
    exit 0
fi
mkdir -p /run/sshd && chmod 0755 /run/sshd
ssh-keygen -A >/dev/null || exit 1

# 10 * major + minor, such as 92 for OpenSSH 9.2.
version=$("$sshd" -V 2>&1 | sed -n 's/.*OpenSSH_\([0-9][0-9]*\)[.]\([0-9]\).*/\1\2/p' | head -n 1)
version=${version:-0}
mark=$(printf '\001')

# How a variable reaches sessions: `setenv` by the server's SetEnv, since OpenSSH 7.8; `login` by the login
# shells' script alone, as nothing else can hold it; `other` by PAM and that script.
way() {
    name=${1%%=*}
    case $name in
    '' | [0-9]* | *[!A-Za-z0-9_]*) return ;;
    HOME | LOGNAME | MAIL | OLDPWD | PWD | SHELL | SHLVL | TERM | USER | _ | SSH_* | SUDO_*) return ;;
    # Login shells begin with the distribution's.
    PATH) echo other ;;
    *)
        case $1 in
        *"$mark"*) echo login ;;
        *[\"\\]*) if [ "$version" -ge 87 ]; then echo setenv; else echo login; fi ;;
        *) if [ "$version" -ge 78 ]; then echo setenv; else echo other; fi ;;
        esac
        ;;
    esac
}

# The variables that go the ways which follow, each line changed by sed.
of_way() {
    edit=$1
    shift
    printf '%s\n' "$variables" | while IFS= read -r variable; do
        case " $* " in
        *" $(way "$variable") "*) printf '%s\n' "$variable" | sed "$edit" ;;
        esac
    done
}

others=$(sed -e '/^# The variables of this container/,$d' -e '/^[[:space:]]*PATH=/d' /etc/environment 2>/dev/null)
{
    [ -z "$others" ] || printf '%s\n' "$others"
    echo '# The variables of this container.'
    of_way 's/=\(.*\)/="\1"/' other
} 2>/dev/null >/etc/environment.fastbuild && mv /etc/environment.fastbuild /etc/environment
{
    echo '# The variables of this container that login shells have from here alone.'
    of_way "s/'/'\\\\''/g; s/=\(.*\)/='\1'/; s/^/export /" other login | tr '\001' '\n'
} 2>/dev/null >"$login_script.new" && mv "$login_script.new" "$login_script"
settings=$(of_way 's/[\\"]/\\&/g; s/.*/ "&"/' setenv | tr -d '\n')
if [ -n "$settings" ]; then
    exec "$sshd" -o "SetEnv$settings" </dev/null
fi
exec "$sshd" </dev/null
