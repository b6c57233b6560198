#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The ABI that programs are compiled against is that of abi/, or the soversion is another one.

What is compared is the public headers alone: the type of each function, and each struct, those of
the inlined fast path too. --store writes the file of the present soversion: once for each
soversion, and again when something was added.
"""

import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "dataplane")]

import tap  # noqa: E402
import test_exports as exports  # noqa: E402

HEADERS = [header for nodes in exports.LIBRARIES for header in nodes[2].get("MAGAZINE_0", ())]
MESON = exports.LIBRARY / "meson.build"
# A struct of parameters or statistics has its size in front, and may grow at its end.
GROWING = """[suppress_type]
	type_kind = struct
	name_regexp = ^mag_.*_(params|stats|info)$
	has_data_member_inserted_at = end
"""
CHANGED, INCOMPATIBLE = 4, 8


def soversion():
    return re.search(r"soversion: '(\d+)'", MESON.read_text())[1]


def baseline():
    return HERE / "abi" / f"magazine.{soversion()}.{platform.machine()}.abi"


def source():
    """A variable of the type of each exported function, and of each struct of a public header."""
    lines = [f'#include "{header.name}"' for header in HEADERS]
    for _, folder, _ in exports.LIBRARIES:
        for name in sorted(exports.listed(folder)["MAGAZINE_0"]):
            lines.append(f"__typeof__(&{name}) api_{name};")
    for header in HEADERS:
        for name in re.findall(r"(?m)^struct (\w+) \{", header.read_text()):
            lines.append(f"struct {name} *api_struct_{name};")
    return "\n".join(lines) + "\n"


def run(*command):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)


def build(folder):
    """The headers' types in a library of their own, and a folder that has the headers alone."""
    public = folder / "public"
    public.mkdir()
    for header in HEADERS:
        shutil.copy(header, public)
    code, library = folder / "api.c", folder / "api.so"
    code.write_text(source())
    flags = run("pkg-config", "--cflags", "libdpdk").stdout.split()
    compiled = run(
        os.environ.get("CC", "cc"),
        *flags,
        "-g",
        "-shared",
        "-fPIC",
        "-I",
        public,
        "-o",
        library,
        code,
    )
    if compiled.returncode != 0:
        raise tap.Failure(compiled.stderr)
    return library, public


def abi_of(folder):
    library, public = build(folder)
    made = run(
        *("abidw", "--headers-dir", public, "--drop-private-types", "--no-corpus-path"),
        *("--no-comp-dir-path", "--no-show-locs", "--no-write-default-sizes", library),
    )
    if made.returncode != 0:
        raise tap.Failure(made.stderr)
    return made.stdout


def compare(folder):
    if not shutil.which("abidiff"):
        raise tap.Skip("no abidiff here (Debian: apt-get install abigail-tools)")
    if not baseline().is_file():
        others = sorted(path.name for path in baseline().parent.glob("*.abi"))
        if not any(f".{soversion()}." in name for name in others):
            raise tap.Failure(
                f"abi/{baseline().name}: not there; store it with {sys.argv[0]} --store"
            )
        raise tap.Skip(
            f"the ABI of soversion {soversion()} is stored for {', '.join(others)} alone"
        )
    growing = folder / "growing"
    growing.write_text(GROWING)
    library, public = build(folder)
    difference = run(
        *("abidiff", "--no-added-syms", "--suppressions", growing, "--drop-private-types"),
        *("--headers-dir2", public, baseline(), library),
    )
    tap.check(
        difference.returncode & 3 == 0,
        f"abidiff cannot compare: {difference.stderr or difference.stdout}",
    )
    tap.check(
        difference.returncode & (CHANGED | INCOMPATIBLE) == 0,
        f"{difference.stdout}Take the change back, or raise soversion in library and driver.",
    )


def main():
    with tempfile.TemporaryDirectory() as name:
        if "--store" in sys.argv[1:]:
            baseline().parent.mkdir(exist_ok=True)
            baseline().write_text(abi_of(pathlib.Path(name)))
            return
        with tap.case(f"the ABI is that of soversion {soversion()}"):
            compare(pathlib.Path(name))
    tap.finish()


if __name__ == "__main__":
    main()
