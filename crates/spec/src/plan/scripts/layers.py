"""Spreads an environment over folders that become layers of their own.

python layers.py FOLDER COUNT

The files of each large package move to one of COUNT folders, FOLDER/0 and so on, with their whole path below it.
Which one is decided by the package's name alone. So whatever else is installed beside it, its folder comes out the
same, and so does the layer. What is small, and what says that a package is installed, stays where it is. All folders
together are the environment.
"""

import csv
import os
import shutil
import sys
import sysconfig
import zlib

LARGE = 1 << 20

folder, count = sys.argv[1], int(sys.argv[2])
site = os.path.realpath(sysconfig.get_path("purelib"))


def files_of(package):
    """The package's files beside those that say that it is installed, which name the others."""
    try:
        with open(os.path.join(site, package, "RECORD"), newline="", encoding="utf-8") as rows:
            names = [row[0] for row in csv.reader(rows) if row]
    except (OSError, ValueError, csv.Error):
        return []
    paths = (os.path.normpath(os.path.join(site, name)) for name in names)
    return [
        path
        for path in paths
        if path.startswith(site + os.sep)
        and not path.startswith(os.path.join(site, package) + os.sep)
        and os.path.isfile(path)
        and not os.path.islink(path)
    ]


# Python writes its bytecode again when it needs it.
for parent, names, _ in os.walk(sys.prefix):
    if "__pycache__" in names:
        names.remove("__pycache__")
        shutil.rmtree(os.path.join(parent, "__pycache__"))

for number in range(count):
    os.makedirs(f"{folder}/{number}{sys.prefix}")

for package in sorted(name for name in os.listdir(site) if name.endswith(".dist-info")):
    files = files_of(package)
    if sum(os.path.getsize(path) for path in files) < LARGE:
        continue
    name = package.partition("-")[0].lower()
    layer = f"{folder}/{zlib.crc32(name.encode()) % count}"
    for path in files:
        os.makedirs(layer + os.path.dirname(path), exist_ok=True)
        os.rename(path, layer + path)
