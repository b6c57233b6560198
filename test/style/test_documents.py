#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""What the documents name exists: files of the tree, targets of links, and their headings."""

import pathlib
import re
import sys

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "dataplane"))

import tap  # noqa: E402

ROOT = TEST.parent
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for pattern in ("*.md", "doc/*.md", "doc/guide/*.rst", "test/README.md")
    for path in ROOT.glob(pattern)
)
# Beginnings of paths from the root of the tree, where they stand alone or begin a code.
NAMED = re.compile(
    r"(?:(?<=`)|(?<=^    )|(?<=[(\s]))(?:\./)?"
    r"((?:app|debian|doc|drivers|lib|test|tools)/[\w./-]*\w/?)",
    re.MULTILINE,
)
LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(text):
    """Of the headings of a page: Markdown's, or lines that reStructuredText underlines."""
    headings = re.findall(r"(?m)^#+ (.*)$|^(.+)\n[=~-]{3,}$", text)
    return {re.sub(r"[^\w -]", "", (a or b).strip().lower()).replace(" ", "-") for a, b in headings}


def wrong_links(document, text):
    for target in LINK.findall(text):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = ROOT / document.parent / name if name else ROOT / document
        if not file.exists():
            yield target
        elif anchor and anchor not in anchors(file.read_text()):
            yield f"{target}: no such heading"


def wrong_names(text):
    for name in NAMED.findall(text):
        any_of = re.sub(r"\b[A-Z]{3,}\b", "*", name)  # SUITE, MACHINE
        if not (ROOT / name).exists() and not list(ROOT.glob(any_of)):
            yield name


def main():
    for document in DOCUMENTS:
        text = (ROOT / document).read_text()
        with tap.case(f"{document}: links lead somewhere"):
            wrong = list(wrong_links(document, text))
            tap.check(not wrong, "\n".join(wrong))
        with tap.case(f"{document}: files that it names exist"):
            wrong = sorted(set(wrong_names(text)))
            tap.check(not wrong, "\n".join(wrong))
    tap.finish()


if __name__ == "__main__":
    main()
