"""Spreads an environment over folders that become layers of their own.

python layers.py FOLDER COUNT

The files of each large package move to one of COUNT folders, FOLDER/0 and so on, with the environment's path below it.
Which one is decided by the package's name alone. So whatever else is installed beside it, its folder comes out the
same, and so does the layer. What is small, and what says that a package is installed, stays where it is. All folders
together are the environment, without the bytecode that installers left.
"""

import csv
import functools
import importlib.util
import os
import stat
import sys
import sysconfig
import zlib

LARGE = 1 << 20

folder, count = sys.argv[1], int(sys.argv[2])
# The environment's path may lead over symbolic links; only below it are they the environment's own.
root = os.path.realpath(sys.prefix)
site = os.path.realpath(sysconfig.get_path("purelib"))


@functools.lru_cache(maxsize=None)
def is_real(path):
    return os.path.realpath(path) == path


def files_of(package):
    """The package's files beside those that say that it is installed, which name the others; and their bytes."""
    try:
        with open(os.path.join(site, package, "RECORD"), newline="", encoding="utf-8") as rows:
            # The same file may be named twice.
            names = {row[0] for row in csv.reader(rows) if row}
    except (OSError, ValueError, csv.Error):
        return [], 0
    files, size = [], 0
    for path in sorted({os.path.normpath(os.path.join(site, name)) for name in names}):
        if not path.startswith(site + os.sep) or path.startswith(os.path.join(site, package) + os.sep):
            continue
        try:
            status = os.lstat(path)
        except (OSError, ValueError):
            continue
        # Neither a link nor reached over one.
        if stat.S_ISREG(status.st_mode) and is_real(os.path.dirname(path)):
            files.append(path)
            size += status.st_size
    return files, size


def all_below(folder):
    """Every file in a folder; nothing where there is anything else than files and folders."""
    files, folders = [], [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    folders.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    files.append(entry.path)
                else:
                    return []
    return files


def move(files, part):
    """Moves files, a folder that holds no others as a whole."""
    tops = {}
    for path in files:
        tops.setdefault(path[len(site) + 1 :].partition(os.sep)[0], []).append(path)
    for top, inner in tops.items():
        source = os.path.join(site, top)
        target = part + source[len(root) :]
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.isdir(source) and not os.path.exists(target) and sorted(all_below(source)) == inner:
            try:
                os.rename(source, target)
                continue
            except OSError:
                # A folder of an earlier layer stays; its files can be moved.
                pass
        for path in inner:
            target = part + path[len(root) :]
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.rename(path, target)


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
    files, size = files_of(package)
    if size >= LARGE:
        name = package.partition("-")[0].lower()
        move(files, parts[zlib.crc32(name.encode()) % count])
