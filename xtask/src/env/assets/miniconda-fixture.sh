#!/bin/sh
# A fixture of FastBuild's tests, not Miniconda: it takes Miniconda's flags (-b -p PREFIX) and puts a small `conda`
# there which keeps environments and records packages as conda does, without a network and without real packages.
set -eu

prefix=$HOME/miniconda3
batch=no
force=no
update=no
while getopts 'bcfhkmp:stu' option; do
    case $option in
        b) batch=yes ;;
        f) force=yes ;;
        u) update=yes ;;
        p) prefix=$OPTARG ;;
        h)
            echo "usage: $0 [-b] [-f] [-u] [-p PREFIX]"
            exit 0
            ;;
        c | k | m | s | t) ;;
        *)
            echo "ERROR: did not recognize option, please try -h" >&2
            exit 1
            ;;
    esac
done
if [ "$batch" = no ]; then
    echo 'ERROR: this fixture installs in batch mode only, give -b' >&2
    exit 1
fi
if [ -e "$prefix" ] && [ "$force" = no ] && [ "$update" = no ]; then
    echo "ERROR: File or directory already exists: '$prefix'" >&2
    echo 'If you want to update an existing installation, use the -u option.' >&2
    exit 1
fi
echo "PREFIX=$prefix"
mkdir -p "$prefix/bin" "$prefix/envs" "$prefix/pkgs" "$prefix/conda-meta" "$prefix/etc/profile.d" "$prefix/condabin"
prefix=$(cd "$prefix" && pwd)

cat > "$prefix/bin/conda" <<'CONDA'
#!/bin/sh
# The `conda` of FastBuild's test fixture.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")

fail() {
    printf '\n%s\n\n' "$1" >&2
    exit 1
}

# Splits a match specification into $name and $version, or fails as conda does.
parse() {
    specification=${1##*::}
    specification=$(printf '%s' "$specification" | tr -d "'\" ")
    name=$(printf '%s' "$specification" | sed 's/[=<>!~[].*//' | tr '[:upper:]' '[:lower:]')
    version=$(printf '%s' "$specification" | sed -n 's/^[^=<>!~]*[=<>!~]\{1,2\}\([^=,*|]*\).*/\1/p')
    version=${version%.}
    version=${version:-1.0}
    case $name in
        '' | *[!a-z0-9._-]*) fail "InvalidMatchSpec: Invalid spec '$1'" ;;
    esac
}

# Where the environment of $environment or $location lies.
find_prefix() {
    if [ -n "$location" ]; then
        prefix=$location
    elif [ "$environment" = base ] || [ -z "$environment" ]; then
        prefix=$root
    else
        prefix=$root/envs/$environment
    fi
}

need_environment() {
    find_prefix
    [ -d "$prefix/conda-meta" ] || fail "EnvironmentLocationNotFound: Not a conda environment: $prefix"
}

install_packages() {
    missing=
    for wanted in $specifications; do
        parse "$wanted"
        case $name in
            no-such-*) missing="$missing
  - $wanted" ;;
        esac
    done
    if [ -n "$missing" ]; then
        fail "PackagesNotFoundError: The following packages are not available from current channels:
$missing"
    fi
    cache=${CONDA_PKGS_DIRS:-$root/pkgs}
    mkdir -p "$prefix/bin" "$prefix/conda-meta" "$cache"
    for wanted in $specifications; do
        parse "$wanted"
        rm -f "$prefix/conda-meta/$name"-[0-9]*-0.json
        printf '{"name": "%s", "version": "%s", "build": "0", "channel": "fixture"}\n' "$name" "$version" \
            > "$prefix/conda-meta/$name-$version-0.json"
        printf '#!/bin/sh\necho "%s %s"\n' "$name" "$version" > "$prefix/bin/$name"
        chmod 755 "$prefix/bin/$name"
        echo "fixture package $name $version" > "$cache/$name-$version-0.conda"
        echo "  + $name-$version-0"
    done
    echo "# update specs: $specifications" >> "$prefix/conda-meta/history"
}

list_environments() {
    echo '# conda environments:'
    echo '#'
    printf '%-24s %s\n' base "$root"
    for folder in "$root"/envs/*/; do
        [ -d "$folder/conda-meta" ] || continue
        folder=${folder%/}
        printf '%-24s %s\n' "${folder##*/}" "$folder"
    done
    echo
}

case ${1:-} in
    --version | -V)
        echo 'conda 23.1.0'
        exit 0
        ;;
    '')
        echo 'usage: conda [-h] [-V] command ...'
        exit 0
        ;;
esac
command=$1
shift

environment=${CONDA_DEFAULT_ENV:-base}
location=
specifications=
as_json=no
case $command in
    create | install | update | upgrade | list | remove)
        while [ $# -gt 0 ]; do
            case $1 in
                -n | --name) environment=$2; shift ;;
                --name=*) environment=${1#*=} ;;
                -p | --prefix) location=$2; shift ;;
                --prefix=*) location=${1#*=} ;;
                -c | --channel) shift ;;
                --file)
                    [ -r "$2" ] || fail "CondaFileNotFound: $2"
                    specifications="$specifications $(sed 's/#.*//' "$2" | tr -d ' ' | tr '\n' ' ')"
                    shift
                    ;;
                --json) as_json=yes ;;
                -*) ;;
                *) specifications="$specifications $1" ;;
            esac
            shift
        done
        ;;
esac

case $command in
    create)
        find_prefix
        [ "$prefix" != "$root" ] || fail 'CondaValueError: The target prefix is the base prefix. Aborting.'
        rm -rf "$prefix"
        install_packages
        echo "# To activate this environment, use: conda activate $environment"
        ;;
    install | update | upgrade)
        need_environment
        install_packages
        ;;
    remove)
        need_environment
        for wanted in $specifications; do
            parse "$wanted"
            ls "$prefix/conda-meta/$name"-[0-9]*-0.json > /dev/null 2>&1 ||
                fail "PackagesNotFoundError: The following packages are missing from the target environment:
  - $name"
            rm -f "$prefix/conda-meta/$name"-[0-9]*-0.json "$prefix/bin/$name"
        done
        ;;
    list)
        need_environment
        if [ "$as_json" = yes ]; then
            printf '['
            separator=
            for record in "$prefix"/conda-meta/*.json; do
                [ -e "$record" ] || continue
                printf '%s%s' "$separator" "$(cat "$record")"
                separator=', '
            done
            printf ']\n'
        else
            printf '# packages in environment at %s:\n#\n' "$prefix"
            sed -n 's/.*"name": "\([^"]*\)", "version": "\([^"]*\)", "build": "\([^"]*\)".*/\1 \2 \3/p' \
                "$prefix"/conda-meta/*.json /dev/null
        fi
        ;;
    env)
        case ${1:-} in
            list) list_environments ;;
            remove)
                shift
                while [ $# -gt 0 ]; do
                    case $1 in
                        -n | --name) environment=$2; shift ;;
                    esac
                    shift
                done
                need_environment
                [ "$prefix" != "$root" ] || fail 'CondaEnvironmentError: cannot remove root environment'
                rm -rf "$prefix"
                ;;
            *) fail "CondaValueError: conda env ${1:-} is not part of the fixture" ;;
        esac
        ;;
    info)
        case ${1:-} in
            --envs | -e) list_environments ;;
            --base) echo "$root" ;;
            *) printf '\n     conda version : 23.1.0\n  base environment : %s  (writable)\n\n' "$root" ;;
        esac
        ;;
    config)
        # Settings are kept in the file conda reads; the fixture itself has no use for them.
        file=$HOME/.condarc
        case ${1:-} in
            --set) echo "$2: $3" >> "$file" ;;
            --add | --append | --prepend) printf '%s:\n  - %s\n' "$2" "$3" >> "$file" ;;
            --show) printf '%s:\n  - defaults\n' "${2:-channels}" ;;
            --show-sources)
                for source in "$root/.condarc" "$file"; do
                    if [ -e "$source" ]; then
                        printf '==> %s <==\n' "$source"
                        cat "$source"
                    fi
                done
                ;;
            *) ;;
        esac
        ;;
    clean) rm -rf "${CONDA_PKGS_DIRS:-$root/pkgs}"/* ;;
    init) ;;
    run)
        while [ $# -gt 0 ]; do
            case $1 in
                -n | --name) environment=$2; shift 2 ;;
                -p | --prefix) location=$2; shift 2 ;;
                --no-capture-output | --live-stream) shift ;;
                *) break ;;
            esac
        done
        need_environment
        PATH=$prefix/bin:$PATH CONDA_PREFIX=$prefix CONDA_DEFAULT_ENV=$environment exec "$@"
        ;;
    *) fail "CommandNotFoundError: No command 'conda $command'." ;;
esac
CONDA
chmod 755 "$prefix/bin/conda"
ln -sf ../bin/conda "$prefix/condabin/conda"

cat > "$prefix/etc/profile.d/conda.sh" <<PROFILE
export CONDA_EXE='$prefix/bin/conda'
conda() {
    if [ "\${1:-}" = activate ]; then
        CONDA_DEFAULT_ENV=\${2:-base}
        if [ "\$CONDA_DEFAULT_ENV" = base ]; then
            CONDA_PREFIX='$prefix'
        else
            CONDA_PREFIX='$prefix/envs/'\$CONDA_DEFAULT_ENV
        fi
        if [ ! -d "\$CONDA_PREFIX/conda-meta" ]; then
            echo "EnvironmentNameNotFound: Could not find conda environment: \$CONDA_DEFAULT_ENV" >&2
            return 1
        fi
        PATH=\$CONDA_PREFIX/bin:\$PATH
        export PATH CONDA_PREFIX CONDA_DEFAULT_ENV
    else
        "\$CONDA_EXE" "\$@"
    fi
}
PROFILE
cat > "$prefix/bin/activate" <<ACTIVATE
. '$prefix/etc/profile.d/conda.sh'
conda activate "\${1:-base}"
ACTIVATE
echo '{"name": "conda", "version": "23.1.0", "build": "0", "channel": "fixture"}' \
    > "$prefix/conda-meta/conda-23.1.0-0.json"
: > "$prefix/conda-meta/history"
echo 'installation finished.'
