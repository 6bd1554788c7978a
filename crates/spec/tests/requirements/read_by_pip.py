"""Reads requirement files by pip's own code: those a caller sent, and what was written of them.

Input: JSON lines {"files": {name: text}, "requirements": text, "constraints": text}; the first file is requirements.txt.
Output, for each: {"sent": ..., "written": ...}, each a list of requirements with the options, or {"error": ...}.
"""

import json
import os
import sys
import tempfile
import types

import pip
from pip._internal.models.format_control import FormatControl
from pip._internal.req.constructors import install_req_from_parsed_requirement
from pip._internal.req.req_file import parse_requirements
from pip._vendor.packaging.utils import canonicalize_name

try:
    from pip._internal.models.release_control import ReleaseControl
except ImportError:  # before pip 26
    ReleaseControl = types.SimpleNamespace


class Finder:
    def __init__(self):
        self.search_scope = types.SimpleNamespace(find_links=[], index_urls=[], no_index=False)
        self.format_control = FormatControl(set(), set())
        self.release_control = ReleaseControl()
        self.pre = False
        self.prefer_binary = False

    find_links = property(lambda self: self.search_scope.find_links)
    index_urls = property(lambda self: self.search_scope.index_urls)
    trusted_hosts = ()

    def set_allow_all_prereleases(self):
        self.pre = True

    def set_prefer_binary(self):
        self.prefer_binary = True


class Session:
    def __init__(self):
        self.trusted = []

    def add_trusted_host(self, host, source=None, suppress_logging=False):
        self.trusted.append(host)

    def update_index_urls(self, urls):
        pass


def read(path, constraint=False):
    finder, session = Finder(), Session()
    options = types.SimpleNamespace(require_hashes=False, features_enabled=[], isolated_mode=False)
    lines = []
    for parsed in parse_requirements(
        path, session=session, finder=finder, options=options, constraint=constraint
    ):
        one = install_req_from_parsed_requirement(parsed)
        lines.append(
            [
                canonicalize_name(one.req.name) if one.req else None,
                sorted(one.extras),
                sorted(str(part) for part in one.req.specifier) if one.req else [],
                one.link.url if one.link else None,
                str(one.markers) if one.markers else None,
                {name: sorted(values) for name, values in one.hash_options.items()},
                one.constraint,
                one.editable,
            ]
        )
    scope = finder.search_scope
    return {
        "lines": sorted(lines, key=json.dumps),
        "options": {
            "indexes": list(scope.index_urls),
            # Older ones forget it with the indexes before.
            "no_index": getattr(scope, "no_index", None),
            "find_links": list(scope.find_links),
            "trusted": session.trusted,
            "pre": finder.pre or ":all:" in getattr(finder.release_control, "all_releases", ()),
            "prefer_binary": finder.prefer_binary,
            "no_binary": sorted(finder.format_control.no_binary),
            "only_binary": sorted(finder.format_control.only_binary),
            "require_hashes": bool(options.require_hashes),
        },
    }


def guarded(do):
    try:
        return do()
    except (Exception, SystemExit) as error:
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    print(json.dumps({"pip": pip.__version__}))
    for line in sys.stdin:
        case = json.loads(line)
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            for name, text in case["files"].items():
                os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
                with open(name, "w", encoding="utf-8", newline="") as file:
                    file.write(text)
            sent = guarded(lambda: read("requirements.txt"))
            written = None
            if case["written"] is not None:
                for name in ("requirements", "constraints"):
                    with open(f"written-{name}.txt", "w", encoding="utf-8") as file:
                        file.write(case["written"][name])

                def both():
                    result = read("written-requirements.txt")
                    more = read("written-constraints.txt", constraint=True)
                    result["lines"] = sorted(result["lines"] + more["lines"], key=json.dumps)
                    return result

                written = guarded(both)
            os.chdir("/")
        print(json.dumps({"sent": sent, "written": written}))


main()
