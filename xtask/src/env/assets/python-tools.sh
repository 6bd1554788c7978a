# Run in a container of Debian 12 with Python: makes the tools for Python under /out.
#   Python-3.11.2.tgz      the upstream source, out of Debian's source package
#   cpython-...tar.gz      a prebuilt Python that runs wherever it is unpacked, made of Debian's packages
#   get-pip.py             an installer of pip that carries the wheel in itself
set -eu
export DEBIAN_FRONTEND=noninteractive
version=3.11.2
cd /tmp

sed -n 's/^deb /deb-src /p' /etc/apt/sources.list > /etc/apt/sources.list.d/source.list
apt-get -q update
apt-get -q install -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io patchelf xz-utils
apt-get -q source --download-only python3.11

# The source, packed anew as the upstream offers it. It goes on while the rest is made.
archive=$(ls python3.11_$version.orig.tar.*z)
case $archive in
    *.gz) cp "$archive" /out/Python-$version.tgz ;;
    *) xz -dc "$archive" | gzip -1 > /out/Python-$version.tgz ;;
esac &
packing=$!

# The prebuilt Python: program, library, and the shared libraries that a plain image lacks.
tree=/tmp/python
mkdir -p $tree/bin $tree/lib
cp /usr/bin/python3.11 $tree/bin/
cp -r /usr/lib/python3.11 $tree/lib/
rm -rf $tree/lib/python3.11/EXTERNALLY-MANAGED $tree/lib/python3.11/dist-packages $tree/lib/python3.11/test
find $tree -name __pycache__ -prune -exec rm -rf {} +
# Debian installs into dist-packages and local/; upstream's sysconfig and distutils install into site-packages. The
# program itself carries Debian's site frozen in it, which looks into dist-packages: one folder under both names.
# Upstream's ensurepip brings its own wheels, Debian's looks for another package's.
tar -xf "$archive" "Python-$version/Lib/sysconfig.py" "Python-$version/Lib/distutils" "Python-$version/Lib/ensurepip"
rm -rf $tree/lib/python3.11/distutils $tree/lib/python3.11/ensurepip
cp -r Python-$version/Lib/sysconfig.py Python-$version/Lib/distutils Python-$version/Lib/ensurepip $tree/lib/python3.11/
mkdir -p $tree/lib/python3.11/site-packages
ln -s site-packages $tree/lib/python3.11/dist-packages
# Links that lead out of the tree would break.
find $tree -type l ! -exec test -e {} \; -delete
for library in $(find $tree -name '*.so' -exec ldd {} + | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p' | sort -u); do
    case $library in
        */libc.so.* | */libm.so.* | */libpthread.so.* | */libdl.so.* | */librt.so.* | */ld-linux*) ;;
        *) cp -L "$library" $tree/lib/ ;;
    esac
done
for library in $(ldd $tree/bin/python3.11 | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p'); do
    case $library in
        */libc.so.* | */libm.so.*) ;;
        *) cp -L "$library" $tree/lib/ ;;
    esac
done
# An old-style path holds for the libraries' own libraries too.
patchelf --force-rpath --set-rpath '$ORIGIN/../lib' $tree/bin/python3.11
ln -s python3.11 $tree/bin/python3
ln -s python3.11 $tree/bin/python

wheel=$(ls /usr/share/python-wheels/pip-*.whl)
python3 -m zipfile -e "$wheel" $tree/lib/python3.11/site-packages
cat > $tree/bin/pip3 <<'SCRIPT'
#!/bin/sh
'''exec' "$(dirname "$(readlink -f "$0")")/python3.11" "$0" "$@"
' '''
import sys
from pip._internal.cli.main import main
sys.exit(main())
SCRIPT
chmod 755 $tree/bin/pip3
cp $tree/bin/pip3 $tree/bin/pip
cp $tree/bin/pip3 $tree/bin/pip3.11
# Tried here, away from where it was made and without the machine's own library.
mv $tree /opt/python
/opt/python/bin/python3 -c 'import ssl, ctypes, json, sqlite3, lzma, sys; assert sys.prefix == "/opt/python", sys.prefix'
/opt/python/bin/pip3 --version
/opt/python/bin/python3 -m venv /tmp/venv
/tmp/venv/bin/pip --version
find /opt/python -name __pycache__ -prune -exec rm -rf {} +
tar --numeric-owner -C /opt -cf - python | gzip -1 > /out/cpython-$version-fixture-x86_64-linux-install_only.tar.gz

{
    cat /in/get-pip.py
    echo "WHEEL_NAME = \"$(basename "$wheel")\""
    echo 'WHEEL = """'
    base64 -w 120 "$wheel"
    echo '"""'
    echo
    echo 'if __name__ == "__main__":'
    echo '    sys.exit(main())'
} > /out/get-pip.py

wait $packing
case $(tar -tzf /out/Python-$version.tgz | head -n 1) in
    Python-$version/*) ;;
    *) echo "the source package does not hold Python-$version/" >&2; exit 1 ;;
esac
