#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The shape of the code: layers, no include circles; files, functions and lines that are short.

house.txt lists what is allowed to be larger, and how large. An allowance that is larger than needed
fails too, so that the list only shrinks.
"""

import pathlib
import re
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE.parent), str(HERE.parent / "dataplane")]

import tap  # noqa: E402
from c_source import functions  # noqa: E402

FILE_LINES = 500
FUNCTION_LINES = 40
COLUMNS = 100
TAB = 8
CODE = ("lib/", "drivers/", "app/")
# Data and pictures, and what other programs lay out.
NO_TEXT = (".png", ".svg", ".pcap", ".abi", ".expected", ".abignore", ".json")
# A row of a Markdown table, or an address, cannot be broken.
UNBREAKABLE = re.compile(r"^\s*\||https?://\S{40}")
INCLUDE = re.compile(r'^#\s*include\s+"([^"]+)"', re.MULTILINE)
PROTOTYPE = re.compile(
    r"^(?:__rte_internal )?[a-z][^;{}()#]*?\b(mag_\w+)\([^;{}]*\)[^;{}]*;", re.MULTILINE
)


def tracked():
    """Names of the files in the tree, relative to its root."""
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0 and listed.stdout:
        names = listed.stdout.splitlines()
    else:
        names = [
            str(path.relative_to(ROOT))
            for path in ROOT.rglob("*")
            if path.is_file()
            and path.suffix != ".pyc"
            and not path.relative_to(ROOT).parts[0].startswith(("build", "."))
        ]
    return sorted(name for name in names if (ROOT / name).is_file())


def rooms(folder):
    """By room, which is a header with the source of the same name: the rooms that it includes."""
    includes = {}
    for file in sorted(folder.rglob("*.[ch]")):
        for name in INCLUDE.findall(file.read_text()):
            includes.setdefault(file.stem, set()).add(pathlib.Path(name).stem)
    return {room: {other for other in others if other != room} for room, others in includes.items()}


def circles(includes):
    """Groups of rooms, each of which can be reached from each other one."""

    def reached(room):
        found, todo = set(), [room]
        while todo:
            for other in includes.get(todo.pop(), ()):
                if other not in found:
                    found.add(other)
                    todo.append(other)
        return found

    reach = {room: reached(room) for room in includes}
    groups = {
        frozenset(other for other in reach[room] if room in reach.get(other, ())) for room in reach
    }
    return sorted(" ".join(sorted(group)) for group in groups if group)


def rows():
    """The rooms of each row of the table of layers in doc/architecture.md, from the top."""
    table = (
        (ROOT / "doc/architecture.md")
        .read_text()
        .split("| row | rooms |", 1)[1]
        .split("\n\n", 1)[0]
    )
    return [
        (line.split("|")[1].strip(), line.split("|")[2].split()) for line in table.splitlines()[2:]
    ]


def check_layers():
    """Each room is in one row, in the picture too; it includes only its own row and rows below."""
    layers, includes = rows(), rooms(ROOT / "lib/magazine")
    picture = (ROOT / "doc/architecture.svg").read_text()
    depth = {room: number for number, (_, names) in enumerate(layers) for room in names}
    wrong = [
        f"{room}: in no row of doc/architecture.md"
        for room in includes
        if room not in depth and not room.startswith("mag_")
    ]
    wrong += [
        f"{room}: no such file in the folder of its row, {row}"
        for row, names in layers
        for room in names
        if not any((ROOT / "lib/magazine" / row).glob(f"{room}.[ch]"))
    ]
    wrong += [
        f"{room}: not in doc/architecture.svg" for room in depth if f">{room}<" not in picture
    ]
    wrong += [
        f"{room} includes {other}, which is above it"
        for room, others in includes.items()
        for other in others
        if room in depth and other in depth and depth[other] < depth[room]
    ]
    tap.check(not wrong, "\n".join(sorted(wrong)))


def elsewhere(folder):
    """Functions that a private header declares and a source of another name defines."""
    defined = {
        function: file.stem
        for file in folder.rglob("*.c")
        for function, _ in functions(file.read_text())
    }
    return {
        f"{file.name}:{function}": 1
        for file in sorted(folder.rglob("*.h"))
        if not file.stem.startswith("mag_")
        for function in PROTOTYPE.findall(file.read_text())
        if defined.get(function, file.stem) != file.stem
    }


def findings():
    """By kind, what is larger than it should be: name and size."""
    found = {"file": {}, "function": {}, "columns": {}}
    for name in tracked():
        if name.endswith(NO_TEXT):
            continue
        text = (ROOT / name).read_text(errors="replace")
        lines = text.splitlines()
        wide = sum(
            len(line.expandtabs(TAB)) > COLUMNS and not UNBREAKABLE.search(line) for line in lines
        )
        if wide > 0:
            found["columns"][name] = wide
        if not name.startswith(CODE):
            continue
        if len(lines) > FILE_LINES:
            found["file"][name] = len(lines)
        if name.endswith((".c", ".h", ".cc")):
            found["function"].update(
                {
                    f"{name}:{function}": size
                    for function, size in functions(text)
                    if size > FUNCTION_LINES
                }
            )
    found["circle"] = {group: len(group.split()) for group in circles(rooms(ROOT / "lib/magazine"))}
    found["elsewhere"] = elsewhere(ROOT / "lib/magazine")
    return found


def allowances():
    """The same of house.txt."""
    allowed = {}
    for line in (HERE / "house.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            kind, size, name = line.split(maxsplit=2)
            allowed.setdefault(kind, {})[name] = int(size)
    return allowed


def main():
    if "--list" in sys.argv[1:]:
        for kind, sizes in findings().items():
            for name, size in sorted(sizes.items()):
                print(f"{kind} {size} {name}")
        return
    found, allowed = findings(), allowances()
    for kind, limit in (
        ("file", f"{FILE_LINES} lines"),
        ("function", f"{FUNCTION_LINES} lines"),
        ("columns", f"no line above {COLUMNS} columns"),
        ("circle", "no circle of includes"),
        ("elsewhere", "a header declares what its own source defines"),
    ):
        with tap.case(f"{kind}: {limit}"):
            sizes, most = found[kind], allowed.get(kind, {})
            wrong = [
                f"{name}: {size}, allowed {most.get(name, 0)}"
                for name, size in sizes.items()
                if size > most.get(name, 0)
            ]
            wrong += [
                f"{name}: {size} allowed, {sizes.get(name, 0)} needed: lower it in house.txt"
                for name, size in most.items()
                if size > sizes.get(name, 0)
            ]
            tap.check(not wrong, "\n".join(wrong))
    with tap.case("layers: as doc/architecture.md has them"):
        check_layers()
    tap.finish()


if __name__ == "__main__":
    main()
