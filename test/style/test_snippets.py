#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The snippets of C in README and guide compile, in each standard of C and C++ that an application
may be in.

They are read from the documents. Statements become the body of a function; a line "..." stands for
what is left out. What a snippet takes for granted, such as a port and its mbufs, is declared before
it. Public headers count as the application's own here, so that all warnings hold for them, and
DPDK's as those of the system.
"""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "dataplane"))

import tap  # noqa: E402

ROOT = TEST.parent
PUBLIC = (
    *sorted((ROOT / "lib/magazine").glob("mag_*.h")),
    *sorted((ROOT / "drivers/mempool/magazine").glob("rte_*.h")),
)
DOCUMENTS = {"README.md": "markdown", "doc/guide/magazine.rst": "rst"}

STANDARDS = [
    ("gcc", "c", "c11"),
    ("gcc", "c", "c17"),
    ("g++", "c++", "c++17"),
    ("g++", "c++", "c++20"),
]
CLANG = [
    ("clang", "c", "c11"),
    ("clang", "c", "c17"),
    ("clang++", "c++", "c++17"),
    ("clang++", "c++", "c++20"),
]
# A snippet need not use all that it declares.
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Werror",
    "-Wno-unused-variable",
    "-Wno-unused-but-set-variable",
    "-Wno-unused-function",
]

PREAMBLE = """
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <rte_cycles.h>
#include <rte_debug.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_mempool_magazine.h>
#include <rte_mempool_magazine_inline.h>

struct flow {
	int id;
};

extern struct rte_mempool *mp;
extern struct mag_region *sessions;
extern struct rte_mbuf *m[32];
extern uint16_t port, queue, n, i;
struct flow *flow_of(struct rte_mbuf *m);
"""


def of_markdown(text):
    return [found[1] for found in re.finditer(r"(?ms)^```c\n(.*?)^```", text)]


def of_rst(text):
    """The indented lines after each directive, as they are without the indent."""
    snippets = []
    for found in re.finditer(r"(?m)^\.\. code-block:: c\n\n((?: {3}.*\n|\n)+)", text):
        snippets.append(re.sub(r"(?m)^ {3}", "", found[1]))
    return snippets


def part(number, snippet):
    """One snippet in the program: a function if it is made of statements."""
    rest = re.sub(r"(?m)^#include .*\n", "", snippet)
    rest = re.sub(r"(?m)^(\s*)\.\.\.$", r"\1;", rest)
    line = f'#line 1 "snippet {number}"\n'
    if re.search(r"(?m)^\w[\w *]*\([^;]*\)\n\{", rest):
        return line + re.sub(r"(?m)^(\w[\w *]*\([^;]*\))\n\{", r"\1;\n\1\n{", rest)
    name = f"snippet_{number}(void)"
    return f"int {name};\n\nint\n{name}\n{{\n{line}{rest}\nreturn 0;\n}}\n"


def program(snippets):
    """One file with all snippets of a document, and before them what they include."""
    includes = [line for snippet in snippets for line in re.findall(r"(?m)^#include .*\n", snippet)]
    return (
        PREAMBLE
        + "".join(includes)
        + "\n".join(part(i, snippet) for i, snippet in enumerate(snippets, 1))
    )


def system_flags():
    text = subprocess.run(
        ["pkg-config", "--cflags", "libdpdk"], check=True, capture_output=True, text=True
    ).stdout
    flags = []
    for flag in shlex.split(text):
        flags += ["-isystem", flag[2:]] if flag.startswith("-I") else [flag]
    return flags


def errors(compiler, language, standard, file, flags):
    done = subprocess.run(
        [
            compiler,
            "-x",
            language,
            f"-std={standard}",
            "-D_GNU_SOURCE",
            "-fsyntax-only",
            *WARNINGS,
            *flags,
            file,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = [line for line in done.stdout.splitlines() if "error: " in line]
    return "\n".join([f"-std={standard} {compiler}:", *lines[:3]]) if done.returncode else ""


def main():
    standards = STANDARDS + (CLANG if shutil.which("clang++") else [])
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        for header in PUBLIC:
            shutil.copy(header, folder)
        flags = [f"-I{folder}", *system_flags()]
        for document, kind in DOCUMENTS.items():
            snippets = {"markdown": of_markdown, "rst": of_rst}[kind]((ROOT / document).read_text())
            with tap.case(f"{document} has snippets"):
                tap.check(snippets, "none were found")
            file = folder / f"{pathlib.Path(document).stem}.c"
            file.write_text(program(snippets))
            for standard in standards:
                with tap.case(
                    f"{document}: {len(snippets)} snippets with {standard[0]} -std={standard[2]}"
                ):
                    text = errors(*standard, file, flags)
                    tap.check(not text, text)
    tap.finish()


if __name__ == "__main__":
    main()
