# Finds out what an image contains. POSIX sh (dash, bash, busybox ash); needs no command beside the
# shell itself, no network, no writable file, and writes nothing but its findings: lines of
# "@@key value", closed by "@@end". A finding may come several times; the order of keys is open.

say() {
    printf '@@%s %s\n' "$1" "$2"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# ask KEY COMMAND...: every line the command prints, on either stream, as a finding.
ask() {
    key=$1
    shift
    $limit "$@" 2>&1 </dev/null | {
        count=0
        while [ "$count" -lt 100 ] && IFS= read -r line; do
            say "$key" "$line"
            count=$((count + 1))
        done
    }
}

# lines KEY FILE: every line of a file.
lines() {
    [ -r "$2" ] && [ -f "$2" ] || return 0
    while IFS= read -r line || [ -n "$line" ]; do
        say "$1" "$line"
    done <"$2"
}

# hosts KEY TEXT: the host of every URL in a text; never its user name and password.
hosts() {
    rest=$2
    while :; do
        case $rest in
            *://*) rest=${rest#*://} ;;
            *) return 0 ;;
        esac
        host=${rest%%[/ ,\'\"]*}
        host=${host##*@}
        host=${host%%:*}
        [ -n "$host" ] && say "$1" "$host"
    done
}

# file_hosts KEY FILE: the host of every URL in a file, comments left out.
file_hosts() {
    [ -r "$2" ] && [ -f "$2" ] || return 0
    while IFS= read -r text || [ -n "$text" ]; do
        case $text in
            \#* | \;*) ;;
            *) hosts "$1" "$text" ;;
        esac
    done <"$2"
}

find_conda() {
    for conda in "$(command -v conda 2>/dev/null)" \
        /usr/local/dros/conda/bin/conda /opt/conda/bin/conda "$HOME/miniconda3/bin/conda" \
        "$HOME/anaconda3/bin/conda" /root/miniconda3/bin/conda /root/anaconda3/bin/conda \
        /opt/miniconda3/bin/conda /opt/anaconda3/bin/conda /opt/miniforge3/bin/conda; do
        case $conda in
            /*) [ -x "$conda" ] && return 0 ;;
        esac
    done
    conda=
    return 1
}

# python_of SCRIPT CODE: what Python code prints, run by the interpreter that the script's first line names. It fails
# where that is none.
python_of() {
    IFS= read -r interpreter <"$1" 2>/dev/null
    case $interpreter in
        '#!/'*python*) $limit ${interpreter#??} -c "$2" </dev/null ;;
        *) return 1 ;;
    esac
}

# pip itself takes a quarter of a second to tell its version; the package knows it at once. It said its place
# otherwise before version 20.
ask_pip() {
    if version=$(python_of "$(command -v "$1")" '
import sys
del sys.path[0]
import os, pip
assert int(pip.__version__.split(".")[0]) >= 20
place = os.path.dirname(os.path.abspath(pip.__file__))
print("pip %s from %s (python %d.%d)" % ((pip.__version__, place) + tuple(sys.version_info[:2])))'); then
        say "pip.$1" "$version"
    else
        ask "pip.$1" "$1" --version
    fi
}

# JupyterLab itself takes a second and more to tell its version; the package's metadata has it at once.
ask_jupyter_lab() {
    for lab in "$(command -v jupyter-lab 2>/dev/null)" /usr/local/dros/*/bin/jupyter-lab \
        /opt/conda/bin/jupyter-lab; do
        [ -x "$lab" ] && [ -f "$lab" ] || continue
        say jupyter_lab.path "$lab"
        if version=$(python_of "$lab" \
            'import importlib.metadata as m; print(m.version("jupyterlab"))'); then
            say jupyter_lab "$version"
        else
            ask jupyter_lab "$lab" --version
        fi
        return 0
    done
}

probe() {
    export LC_ALL=C LANG=C PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
    HOME=${HOME:-/root}
    PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
    PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/dros/python/bin
    export HOME PATH
    limit=
    timeout 9 true </dev/null >/dev/null 2>&1 && limit='timeout 9'

    say begin 1
    if has uname; then
        ask kernel uname -a
    else
        lines kernel /proc/version
    fi
    if [ -r /etc/os-release ]; then
        lines os /etc/os-release
    else
        lines os /usr/lib/os-release
    fi
    for file in /etc/centos-release /etc/redhat-release; do
        lines release "$file"
    done

    # Few at a time: the container's processes are counted.
    for command in python python2 python3; do
        has "$command" && ask "python.$command" "$command" --version &
    done
    has python3 && ask python3 python3 -c '
import importlib.util, os, sysconfig
stdlib = sysconfig.get_path("stdlib")
print("managed" if os.path.exists(os.path.join(stdlib, "EXTERNALLY-MANAGED")) else "free")
if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
    print("venv")' &
    wait
    for command in pip pip2 pip3; do
        has "$command" && ask_pip "$command" &
    done
    wait

    if has apt-get; then
        if has apt; then
            ask apt apt --version
        else
            ask apt apt-get --version
        fi
        for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list \
            /etc/apt/sources.list.d/*.sources; do
            file_hosts apt.host "$file"
        done
    fi
    has dnf && say dnf yes
    for command in yum dnf; do
        has "$command" || continue
        say yum.command "$command"
        # Asking the package database is ten times faster than asking yum.
        if has rpm && version=$($limit rpm -q --qf '%{VERSION}\n' "$command" </dev/null); then
            say yum "$version"
        else
            ask yum "$command" --version
        fi
        break
    done
    for file in /etc/yum.repos.d/*.repo /etc/yum.conf /etc/dnf/dnf.conf; do
        file_hosts yum.host "$file"
    done

    for file in /etc/pip.conf /etc/xdg/pip/pip.conf "$HOME/.pip/pip.conf" \
        "$HOME/.config/pip/pip.conf" "$PIP_CONFIG_FILE"; do
        file_hosts pip.host "$file"
    done
    hosts pip.host "$PIP_INDEX_URL $PIP_EXTRA_INDEX_URL"

    if find_conda; then
        say conda.path "$conda"
        ask conda "$conda" --version &
        ask conda.environment "$conda" env list &
        wait
        for file in "${conda%/bin/conda}/.condarc" "$HOME/.condarc" /etc/conda/.condarc \
            "$CONDARC"; do
            file_hosts conda.host "$file"
        done
    fi

    for sshd in "$(command -v sshd 2>/dev/null)" /usr/sbin/sshd /usr/local/sbin/sshd; do
        [ -x "$sshd" ] && [ -f "$sshd" ] || continue
        say sshd.path "$sshd"
        ask sshd "$sshd" -V
        has ssh && ask sshd ssh -V
        has dpkg-query && ask sshd.package dpkg-query -W -f '${Version}\n' openssh-server
        has rpm && ask sshd.package rpm -q --qf '%{VERSION}-%{RELEASE}\n' openssh-server
        break
    done

    ask_jupyter_lab
    has sudo && say sudo yes
    say end 1
}

# In a function, so that a script that comes in by standard input has been read to its end before
# standard input is taken away.
probe </dev/null 2>/dev/null
exit 0
