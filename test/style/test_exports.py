#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Each library exports what its public headers declare, and for the driver what its door declares;
nothing else.

The lists are version.map beside each library's sources. A function that is static inline in a
header may be exported too, for languages that do not read C headers.
"""

import os
import pathlib
import re
import subprocess
import sys

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST), str(TEST / "dataplane")]

import tap  # noqa: E402
from c_source import declarations, functions  # noqa: E402

ROOT = TEST.parent
BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD", ROOT / "build"))
LIBRARY = ROOT / "lib/magazine"
DRIVER = ROOT / "drivers/mempool/magazine"
DOOR = [LIBRARY / "door/door.h"]
LIBMAGAZINE = BUILD / "lib/magazine/libmagazine.so"
PLUGIN = BUILD / "drivers/mempool/magazine/librte_mempool_magazine.so"

# Library, folder of its version.map, and the headers of each node.
LIBRARIES = [
    (LIBMAGAZINE, LIBRARY, {"MAGAZINE_0": sorted(LIBRARY.glob("mag_*.h")), "INTERNAL": DOOR}),
    (PLUGIN, DRIVER, {"MAGAZINE_0": sorted(DRIVER.glob("rte_*.h"))}),
]


def statements(headers):
    for header in headers:
        for statement in declarations(header.read_text()):
            yield re.sub(r"\bMAG_\w+_(?:BEGIN|END)\b ?", "", statement)


def declared(headers):
    """Names that are defined elsewhere: functions, and variables."""
    names = set()
    for statement in statements(headers):
        if statement.startswith(("typedef", "static", "MAG_INLINE", "_Static_assert")):
            continue
        if found := re.search(r"\b((?:mag|rte)_\w+) ?(?:\(|MAG_INITIAL_EXEC|$)", statement):
            if "(" in statement or statement.startswith("extern"):
                names.add(found[1])
    return names


def inlined(headers):
    """Names of functions that are defined in headers."""
    return {name for header in headers for name, _ in functions(header.read_text())}


def listed(folder):
    """The names of each node."""
    text = re.sub(r"/\*.*?\*/|#.*", " ", (folder / "version.map").read_text())
    return {
        node: set(re.findall(r"\b((?:mag|rte)_\w+);", body))
        for node, body in re.findall(r"(\w+) \{(.*?)\}", text, re.DOTALL)
    }


def symbols(library, *options):
    """The names in a library's dynamic symbol table, and the node of each."""
    text = subprocess.run(
        ["nm", "-D", *options, library], check=True, capture_output=True, text=True
    ).stdout
    found = {}
    for line in text.splitlines():
        kind, name = line.split()[-2:]
        name, _, node = name.replace("@@", "@").partition("@")
        if kind != "A":
            found[name] = node
    return found


def require_same(one, other, what):
    tap.check(
        one == other,
        "\n".join(
            [f"{name}: {what[0]}" for name in sorted(one - other)]
            + [f"{name}: {what[1]}" for name in sorted(other - one)]
        ),
    )


def main():
    for library, folder, nodes in LIBRARIES:
        name = library.name
        lists = listed(folder)
        for node, headers in nodes.items():
            with tap.case(
                f"{name}: node {node} is what {' '.join(header.name for header in headers)} "
                "declares"
            ):
                names = lists.get(node, set())
                require_same(
                    names - inlined(headers),
                    declared(headers),
                    ("is exported and not declared", "is declared and not exported"),
                )
        with tap.case(f"{name}: it exports its list"):
            require_same(
                {(symbol, node) for symbol, node in symbols(library, "--defined-only").items()},
                {(symbol, node) for node, names in lists.items() for symbol in names},
                ("is exported and not listed", "is listed and not exported"),
            )
    with tap.case("the driver uses all of its door, and beside it public names alone"):
        used = {name for name in symbols(PLUGIN, "--undefined-only") if name.startswith("mag_")}
        lists = listed(LIBRARY)
        tap.check(not used - lists["INTERNAL"] - lists["MAGAZINE_0"], f"uses {used}")
        tap.check(not lists["INTERNAL"] - used, f"does not use {lists['INTERNAL'] - used}")
    with tap.case("functions of the door are marked as internal, as a build of DPDK wants it"):
        bare = [
            found[1]
            for statement in statements(DOOR)
            if not statement.startswith("__rte_internal")
            and (found := re.search(r"\b(mag_door_\w+) \(", statement))
        ]
        tap.check(not bare, f"not marked: {' '.join(bare)}")
    tap.finish()


if __name__ == "__main__":
    main()
