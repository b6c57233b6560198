# SPDX-License-Identifier: BSD-3-Clause
"""Which test programs execute which code.

A full run measures it: a build for gcov, in which each program runs once. A run by default has
programs.txt: how long each program takes, and for each file the few that together execute most of
it. test_mutations.py --map makes that anew, in some minutes; a file that it lacks has the program
of its own name, and those that most others have.

First of all comes the program that is named after the file; of others, those first that execute
little else: they look closest.
"""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import textwrap

from tree import HERE, SOURCES, tap

TABLE = HERE / "programs.txt"
HEAD = """# SPDX-License-Identifier: BSD-3-Clause
# Made by test_mutations.py --map: the seconds that each test program takes, and the programs that
# execute a file.
"""
PROGRAMS_MAX = 8


def executed(build, folder, sources):
    """The functions of sources that a program executed, as (file, function); folder has its .gcda
    files.
    """
    data = []
    for path in folder.rglob("*.gcda"):
        notes = build / path.relative_to(folder).with_suffix(".gcno")
        if notes.is_file():
            shutil.copy(notes, path.with_suffix(".gcno"))
            data.append(path)
    if not data:
        return set()
    done = subprocess.run(
        ["gcov", "--json-format", "--stdout", *data], capture_output=True, cwd=build, check=True
    )
    found = set()
    for line in done.stdout.splitlines():
        for file in json.loads(line)["files"]:
            name = re.sub(r"^(\.\./)+", "", file["file"])
            if name.startswith(sources):
                found |= {
                    (name, one["name"]) for one in file["functions"] if one["execution_count"]
                }
    return found


def measure(tree, programs, workers):
    """The functions that each program executes, and what failed: from a build of this tree for
    gcov.
    """
    problem = tree.make(programs)
    tap.check(not problem, problem)
    strip = len(tree.build.resolve().parts) - 1

    def run(name):
        folder = tree.root / "coverage" / name
        folder.mkdir(parents=True)
        failure = tree.run(name, GCOV_PREFIX=str(folder), GCOV_PREFIX_STRIP=str(strip))
        # Programs for the driver say little of what lies below it.
        return (
            name,
            executed(tree.build, folder, "drivers" if tree.arguments(name) else SOURCES),
            failure,
        )

    results = list(workers.map(run, programs))
    return {name: found for name, found, _ in results}, {
        name: why for name, _, why in results if why
    }


def write(done, seconds):
    """Keep it in programs.txt."""
    files = {}
    for name in sorted(done, key=lambda name: len(done[name])):
        for file, function in done[name]:
            files.setdefault(file, {}).setdefault(name, set()).add(function)
    text = HEAD + "".join(f"{name} {taken:.1f}\n" for name, taken in sorted(seconds.items()))
    for file, programs in sorted(files.items()):
        name = pathlib.Path(file).name
        rows = textwrap.wrap(" ".join(chosen(pathlib.Path(file).stem, programs)), 98 - len(name))
        text += "".join(f"{name}: {row}\n" for row in rows)
    TABLE.write_text(text)


def chosen(own, programs):
    """Some of the programs, given with what each executes: each adds most to those before, or else
    has most.
    """
    names, seen = [], set()
    left = dict(programs)
    while left and len(names) < PROGRAMS_MAX:
        name = (
            own
            if own in left
            else max(left, key=lambda name: (len(left[name] - seen), len(left[name])))
        )
        seen |= left.pop(name)
        names.append(name)
    return names


class Map:
    """The programs of a function: as measured, or else as programs.txt has them for its file."""

    def __init__(self, done=None):
        self.functions, self.files, self.seconds = {}, {}, {}
        for name in sorted(done or {}, key=lambda name: len(done[name])):
            for _, function in done[name]:
                self.functions.setdefault(function, []).append(name)
        for line in TABLE.read_text().splitlines() if TABLE.is_file() else []:
            file, colon, programs = line.partition(":")
            if colon:
                self.files.setdefault(file, []).extend(programs.split())
            elif not line.startswith("#"):
                name, seconds = line.split()
                tap.check(name not in self.seconds, f"{TABLE.name}: {name} is there twice")
                self.seconds[name] = float(seconds)
        counts = collections.Counter(name for names in self.files.values() for name in names)
        self.common = [name for name, _ in counts.most_common(PROGRAMS_MAX)]
        self.measured = done is not None

    def programs(self, file, function, known):
        """Those to run for a mutant of that function, of the programs that are known."""
        found = (
            self.functions.get(function, [])
            if self.measured
            else self.files.get(file.name, self.common)
        )
        own = [file.stem] if file.stem in found or not self.measured else []
        return [name for name in dict.fromkeys(own + found) if name in known]
