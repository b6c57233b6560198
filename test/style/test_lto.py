#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Library and driver build with link-time optimization, export the same, and work.

With MAGAZINE_FULL=1, in build-lto.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test/dataplane"), str(ROOT / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

HERE = ROOT / "build-lto"
PROGRAM = "test/unit/test_depot"
SECONDS = 600


def run(*command, **environment):
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=patience.scaled(SECONDS),
    )
    said = "\n".join(done.stdout.splitlines()[-20:])
    tap.check(done.returncode == 0, f"{' '.join(map(str, command))}: {done.returncode}\n{said}")


def require_full():
    if os.environ.get("MAGAZINE_FULL") != "1":
        raise tap.Skip("with --full only: builds the library once more")


def targets():
    """Both shared libraries and a program, as ninja names them."""
    listed = subprocess.run(
        ["ninja", "-C", HERE, "-t", "targets", "all"], check=True, capture_output=True, text=True
    ).stdout
    libraries = re.findall(r"(?m)^(\S+/lib(?:rte_mempool_)?magazine\.so[.\d]*):", listed)
    # The tests' own library is of the same name.
    return [*(name for name in libraries if not name.startswith("test/")), PROGRAM]


def main():
    with tap.case("it builds without a warning"):
        require_full()
        shutil.rmtree(HERE, ignore_errors=True)
        run("meson", "setup", "-Db_lto=true", "-Dwerror=true", HERE)
        run("ninja", "-C", HERE, *targets())
    with tap.case("it exports the same"):
        require_full()
        run(ROOT / "test/style/test_exports.py", MAGAZINE_BUILD=str(HERE))
    with tap.case(f"{PROGRAM} passes"):
        require_full()
        run(HERE / PROGRAM)
    tap.finish()


if __name__ == "__main__":
    main()
