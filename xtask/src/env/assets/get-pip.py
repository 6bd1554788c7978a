#!/usr/bin/env python3
"""Installs pip from the wheel at the end of this file.

Made by FastBuild's test environment; it takes the options of `pip install`, and needs no network.
"""

import base64
import os
import sys
import tempfile


def main():
    # Known from the original, without meaning here: neither of them is installed.
    ignored = {"--no-setuptools", "--no-wheel"}
    options = [option for option in sys.argv[1:] if option not in ignored]
    with tempfile.TemporaryDirectory() as folder:
        wheel = os.path.join(folder, WHEEL_NAME)
        with open(wheel, "wb") as file:
            file.write(base64.b64decode(WHEEL))
        sys.path.insert(0, wheel)
        from pip._internal.cli.main import main as pip

        return pip(["install", "--upgrade", "--force-reinstall", "--no-deps", "--no-index", *options, wheel])


