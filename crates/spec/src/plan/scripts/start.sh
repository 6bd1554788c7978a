#!/bin/sh
# Starts the services of this image, then runs the image's own command. A service that does not
# start is a line on stderr; the command runs all the same.

# How many of the words that follow are the image's own entrypoint.
entrypoint_words=@ENTRYPOINT_WORDS@
helpers=/usr/local/dros/libexec

say() {
    printf 'fastbuild-start: %s\n' "$1" >&2
}

# Whether the words are the command of the image, rather than one that was given to `docker run`.
is_own_command() {
    shift "$entrypoint_words"
    @IS_OWN_COMMAND@
}

# Whether a command does nothing but read its input: a shell or an interpreter without a script, or a
# JupyterLab in whose place this image's own runs.
only_reads_input() {
    program=${1##*/}
    case $program in
    tini | tini-static | dumb-init | catatonit | docker-init)
        while [ "$#" -gt 1 ]; do
            shift
            case $1 in
            --) shift && break ;;
            -*) ;;
            *) break ;;
            esac
        done
        [ "$#" -eq 0 ] || only_reads_input "$@"
        return
        ;;
    env | exec | nohup)
        shift
        [ "$#" -gt 0 ] && only_reads_input "$@"
        return
        ;;
    start-notebook* | start-singleuser* | jupyter | jupyter-lab | jupyter-notebook | jupyter-server | jupyterhub-singleuser)
        [ -x "$helpers/fastbuild-jupyter" ]
        return
        ;;
    sh | bash | dash | ash | ksh | ksh93 | mksh | zsh | fish | csh | tcsh)
        case ${2-} in
        -c | -lc | -ec | -ic)
            [ "$#" -eq 3 ] || return 1
            case $3 in
            *start-notebook* | *jupyter-lab* | *jupyter-notebook* | *jupyter-server* | *'jupyter '*)
                [ -x "$helpers/fastbuild-jupyter" ]
                return
                ;;
            *[!A-Za-z0-9_./\ -]* | '') return 1 ;;
            esac
            # Only plain words are in it.
            only_reads_input $3
            return
            ;;
        esac
        ;;
    python | python[0-9]* | pypy* | ipython* | bpython* | ptpython* | node | nodejs | deno | bun | R | Rterm | radian | irb | pry | julia | lua | lua[0-9]* | luajit | octave* | ghci | scala* | jshell | php | perl | tclsh* | wish* | guile* | sbcl | ocaml | utop | iex | erl | maxima | gnuplot | sqlite3 | psql | mysql | redis-cli | mongosh | bc | gdb) ;;
    *) return 1 ;;
    esac
    shift
    for word in "$@"; do
        case $word in
        -c* | -e* | -f* | -m* | -p* | --command* | --eval* | --exec* | --file* | --print*) return 1 ;;
        -*) ;;
        *) return 1 ;;
        esac
    done
}

# Runs the image's own command as a child. Where it ends by itself, and well, as what finds its input at
# its end does, the container runs on for its services.
supervise() {
    stopping=
    trap 'stopping=1; kill -s TERM "$child"' TERM
    trap 'stopping=1; kill -s INT "$child"' INT
    trap 'stopping=1; kill -s QUIT "$child"' QUIT
    for signal in HUP USR1 USR2 WINCH; do
        # shellcheck disable=SC2064 # the signal's name is meant to be the one of now
        trap "kill -s $signal \"\$child\"" "$signal"
    done
    "$@" &
    child=$!
    # A signal ends `wait` before the child has ended.
    while :; do
        wait "$child"
        status=$?
        kill -0 "$child" 2>/dev/null || break
    done
    trap - TERM INT QUIT HUP USR1 USR2 WINCH
    if [ "$status" -eq 0 ] && [ -z "$stopping" ]; then
        exec "$helpers/fastbuild-wait"
    fi
    exit "$status"
}

if [ -x "$helpers/fastbuild-sshd" ]; then
    # The container's variables, for those who log in: one a line, with \001 for a line break within one.
    tr '\n\0' '\001\n' <"/proc/$$/environ" | if [ "$(id -u)" = 0 ]; then
        "$helpers/fastbuild-sshd"
    else
        sudo -n "$helpers/fastbuild-sshd"
    fi || say 'the SSH server did not start'
fi

if [ -x "$helpers/fastbuild-jupyter" ]; then
    "$helpers/fastbuild-jupyter" </dev/null &
fi

# Without a terminal, a command that only reads its input would find the end of it at once, and the
# container would stop and take the services along.
if [ "$#" -eq 0 ]; then
    exec "$helpers/fastbuild-wait"
fi
if [ "$(readlink /proc/self/fd/0)" != /dev/null ]; then
    exec "$@"
fi
command_words=$(($# - entrypoint_words))
if [ "$command_words" -gt 0 ] && (shift "$entrypoint_words" && only_reads_input "$@"); then
    # Rotates the words so that the entrypoint's stay and the command's become the waiting.
    count=0
    while [ "$count" -lt "$entrypoint_words" ]; do
        set -- "$@" "$1"
        shift
        count=$((count + 1))
    done
    shift "$command_words"
    set -- "$@" "$helpers/fastbuild-wait"
elif only_reads_input "$@"; then
    exec "$helpers/fastbuild-wait"
elif is_own_command "$@"; then
    case ${1##*/} in
    # These must be the first process of their container.
    init | systemd | s6-svscan | runsvdir | runit*) ;;
    *) supervise "$@" ;;
    esac
fi
exec "$@"
