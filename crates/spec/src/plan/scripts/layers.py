"""Spreads an environment over folders that become layers of their own.

python layers.py FOLDER COUNT

The files of each large package move to one of COUNT folders, FOLDER/0 and so on, with the environment's path below it.
Which one is decided by the package's name alone. So whatever else is installed beside it, its folder comes out the
same, and so does the layer. What is small, and what says that a package is installed, stays where it is. All folders
together are the environment, without the bytecode that installers left.
"""

import csv
import importlib.util
import os
import sys
import sysconfig
import zlib

LARGE = 1 << 20

folder, count = sys.argv[1], int(sys.argv[2])
# The environment's path may lead over symbolic links; only below it are they the environment's own.
root = os.path.realpath(sys.prefix)
site = os.path.realpath(sysconfig.get_path("purelib"))


def files_of(package):
    """The package's files beside those that say that it is installed, which name the others."""
    try:
        with open(os.path.join(site, package, "RECORD"), newline="", encoding="utf-8") as rows:
            # The same file may be named twice.
            names = {row[0] for row in csv.reader(rows) if row}
    except (OSError, ValueError, csv.Error):
        return []
    paths = {os.path.normpath(os.path.join(site, name)) for name in names}
    return [
        path
        for path in sorted(paths)
        if path.startswith(site + os.sep)
        and not path.startswith(os.path.join(site, package) + os.sep)
        and os.path.isfile(path)
        # Neither a link nor reached over one.
        and os.path.realpath(path) == path
    ]


def without_bytecode():
    """Takes away the bytecode that can be made again of what lies beside it."""
    for parent, _, names in os.walk(root):
        if os.path.basename(parent) != "__pycache__":
            continue
        for name in names:
            path = os.path.join(parent, name)
            try:
                made_of = importlib.util.source_from_cache(path)
            except ValueError:
                continue
            if os.path.isfile(made_of):
                os.remove(path)
        if not os.listdir(parent):
            os.rmdir(parent)


without_bytecode()
parts = [f"{folder}/{number}{sys.prefix}" for number in range(count)]
for part in parts:
    os.makedirs(part)
for package in sorted(name for name in os.listdir(site) if name.endswith(".dist-info")):
    files = files_of(package)
    if sum(os.path.getsize(path) for path in files) < LARGE:
        continue
    name = package.partition("-")[0].lower()
    part = parts[zlib.crc32(name.encode()) % count]
    for path in files:
        target = part + path[len(root) :]
        os.makedirs(os.path.dirname(target), exist_ok=True)
        os.rename(path, target)
