#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The pages that are made from the tree: Doxygen's of the public headers, and those of man(1)."""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TEST / "dataplane"))

import tap  # noqa: E402

ROOT = TEST.parent
HEADERS = [
    path
    for path in sorted((ROOT / "lib/magazine").glob("mag_*.h"))
    if path.name not in ("mag_compiler.h", "mag_inline.h")
] + sorted((ROOT / "drivers/mempool/magazine").glob("rte_*.h"))
MAN = sorted((ROOT / "doc/man").glob("*.in"))
OPTIONS = re.compile(r'^\t\{"(\w+)",', re.MULTILINE)


def configured(template, values):
    text = template.read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value))
    return text


def require_silence(*command, **settings):
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        **settings,
    )
    tap.check(done.returncode == 0 and not done.stdout, f"{done.returncode}: {done.stdout}")


def doxygen(folder):
    if not shutil.which("doxygen"):
        raise tap.Skip("no doxygen here (Debian: apt-get install doxygen)")
    values = {"VERSION": "test", "SOURCE": ROOT, "OUTPUT": folder}
    file = folder / "Doxyfile"
    file.write_text(configured(ROOT / "doc/api/Doxyfile.in", values))
    require_silence("doxygen", file)
    pages = {path.name for path in (folder / "html").iterdir()}
    missing = [
        header.name
        for header in HEADERS
        if header.name.replace("_", "__").replace(".", "_8") + ".html" not in pages
    ]
    tap.check(not missing and "index.html" in pages, f"no page of {missing}: {sorted(pages)}")


def man_page(template):
    if not shutil.which("groff"):
        raise tap.Skip("no groff here (Debian: apt-get install groff)")
    text = configured(template, {"VERSION": "1.2.3"})
    require_silence("groff", "-man", "-ww", "-z", "-Tutf8", input=text)


def main():
    with tempfile.TemporaryDirectory() as folder:
        with tap.case("doxygen has no warning, and a page of each public header"):
            doxygen(pathlib.Path(folder))
    for template in MAN:
        with tap.case(f"{template.name[:-3]} is a page without a warning"):
            man_page(template)
    keys = OPTIONS.findall((ROOT / "lib/magazine/parts/options.c").read_text())
    for document, form in (
        ("doc/guide/magazine.rst", r"(?m)^ *``{}``"),
        ("doc/man/rte_mempool_magazine.7.in", r"(?m)^(?:\\fB|\.BI ){}= ?"),
    ):
        with tap.case(f"{document} has each option"):
            text = (ROOT / document).read_text()
            missing = [key for key in keys if not re.search(form.format(key), text)]
            tap.check(keys and not missing, f"of {keys} not {missing}")
    tap.finish()


if __name__ == "__main__":
    main()
