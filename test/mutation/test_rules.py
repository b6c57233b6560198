#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Each test that test/rules.md names exists and is run."""

import pathlib
import re
import sys

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "dataplane"))

import tap  # noqa: E402

PROGRAMS = {"unit": "test_{}.c", "contract": "{}_test.c"}
SECTIONS = [
    "2. Caches: replaced handlers",
    "4. The lcore layer",
    "5. The depot",
    "6. Update",
    "7. Purge, enable, reap",
    "10. Regions: mirrors",
    "11. Check",
    "13. Statistics: telemetry",
]


def rows():
    """Section, rule, suite, program and test of each row."""
    section = None
    for line in (TEST / "rules.md").read_text().splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| ") and line != "| rule | test |":
            row = re.fullmatch(r"\| (.+) \| (\w+)/(\w+): (\w+) \|", line)
            tap.check(row, f"not understood: {line}")
            yield section, *row.groups()


def main():
    found = []
    with tap.case("the table can be read, and has all its sections"):
        found = list(rows())
        sections = list(dict.fromkeys(row[0] for row in found))
        tap.check(sections == SECTIONS, f"sections are {sections}")
    for section in SECTIONS:
        with tap.case(f"each rule of {section} has a test"):
            wrong = []
            for _, rule, suite, program, test in (row for row in found if row[0] == section):
                source = TEST / suite / PROGRAMS[suite].format(program)
                text = source.read_text() if source.is_file() else ""
                # A test puts itself on the list; where it is run more than once, it is the argument
                # of another macro.
                alone = re.search(rf"^TEST\({test}[,)]", text, re.MULTILINE)
                listed = re.search(rf"^{test}\(", text, re.MULTILINE) and re.search(
                    rf"\(\s*{test}\s*[,)]", text
                )
                if not alone and not listed:
                    wrong.append(f"{rule}: {suite}/{program}: no test {test}")
            tap.check(not wrong, "\n".join(wrong))
    tap.finish()


if __name__ == "__main__":
    main()
