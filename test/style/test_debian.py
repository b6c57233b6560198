#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""What debian/ says again, in Debian's words, is what the rest of the tree says."""

import pathlib
import re
import sys

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "dataplane"))

import tap  # noqa: E402
import test_exports  # noqa: E402

ROOT = TEST.parent


def text(name):
    return (ROOT / name).read_text()


def found(pattern, name):
    """What the first group of pattern matches in the file of that name."""
    match = re.search(pattern, text(name), re.MULTILINE)
    tap.check(match, f"{name} has no {pattern}")
    return match[1]


def main():
    with tap.case("the symbols of libmagazine0 are those of version.map, and its nodes"):
        lists = test_exports.listed(test_exports.LIBRARY)
        listed = {f"{name}@{node}" for node, names in lists.items() for name in names | {node}}
        symbols = set(
            re.findall(r"^ (\S+@\S+) ", text("debian/libmagazine0.symbols"), re.MULTILINE)
        )
        test_exports.require_same(
            symbols, listed, ("is not in version.map", "is not in debian/libmagazine0.symbols")
        )
    with tap.case("the package has the version of the project"):
        version = found(r"^\tversion: '([^']+)'", "meson.build")
        package = found(r"^magazine-dpdk \(([^)]+)\)", "debian/changelog")
        tap.check(version == package, f"meson.build has {version}, debian/changelog {package}")
    with tap.case("library, package and symbols have one number"):
        soversion = found(r"soversion: '(\d+)'", "lib/magazine/meson.build")
        for name in ("control", "libmagazine0.symbols"):
            tap.check(
                f"libmagazine{soversion}" in text(f"debian/{name}"),
                f"the soversion is {soversion}: debian/{name} has no libmagazine{soversion}",
            )
    with tap.case("debian/copyright has the text of LICENSE"):
        words = text("LICENSE").split("Redistribution", 1)[1].split()
        copied = text("debian/copyright").split("Redistribution", 1)[1].replace("\n .\n", "\n\n")
        tap.check(words == copied.split(), "debian/copyright differs from LICENSE")
    tap.finish()


if __name__ == "__main__":
    main()
