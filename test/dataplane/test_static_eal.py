#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The plugin for any program: in one that has DPDK inside, which exports it or not, and in one that
has the shared libraries. It works, or says in a sentence why not; no program ends by a signal.
"""

import os
import pathlib
import shlex
import shutil
import subprocess

import tap
import testpmd
from testpmd import ROOT, patience

BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD", ROOT / "build"))
PLUGIN = BUILD / "drivers/mempool/magazine/librte_mempool_magazine_any.so"
FOLDER = testpmd.work_dir()
PARTS = ("eal", "mempool", "mempool_ring", "ring", "kvargs", "telemetry")
PROGRAM = """
#include <stdio.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mempool.h>
#ifdef OTHER_VERSION
unsigned int rte_version_year(void) { return 19; }
#endif
static void *objects[1000];
int main(int argc, char **argv)
{
	struct rte_mempool *mp;
	if (rte_eal_init(argc, argv) < 0)
		return 10;
	mp = rte_mempool_create_empty("pool", 1000, 128, 32, 0, SOCKET_ID_ANY, 0);
	if (mp == NULL || rte_mempool_set_ops_byname(mp, "magazine", NULL) != 0)
		return 11;
	if (rte_mempool_populate_default(mp) != 1000 ||
	    rte_mempool_get_bulk(mp, objects, 1000) != 0)
		return 12;
	rte_mempool_put_bulk(mp, objects, 1000);
	if (rte_mempool_avail_count(mp) != 1000)
		return 13;
	rte_mempool_free(mp);
	return rte_eal_cleanup() == 0 ? 0 : 14;
}
"""
NO_OPS = 11


def pkg_config(*what):
    return shlex.split(subprocess.run(["pkg-config", *what], capture_output=True, text=True).stdout)


def build(name, libraries, *flags):
    """A program of these libraries."""
    source, program = FOLDER / "program.c", FOLDER / name
    source.write_text(PROGRAM)
    command = ["cc", "-O2", *pkg_config("--cflags", "libdpdk"), *flags, "-o", program, source]
    done = subprocess.run(
        command + libraries, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    tap.check(done.returncode == 0, f"{command}: {done.stdout[-2000:]}")
    return program


def run(program, plugin):
    """Exit status of the program with the plugin, and what it says."""
    prefix = f"{testpmd.PREFIX}-static"
    command = [program, "--no-pci", "--no-huge", "-m", "256", f"--file-prefix={prefix}"]
    try:
        done = subprocess.run(
            command + ["-d", plugin],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience.scaled(60),
        )
    finally:
        testpmd.remove_files_of(prefix)
    return done.returncode, done.stdout


def archives():
    """All of the parts of DPDK, and what they need."""
    libdir = pathlib.Path(*pkg_config("--variable=libdir", "libdpdk"))
    files = [libdir / f"librte_{part}.a" for part in PARTS]
    # Since 25.07 EAL uses two more of its own.
    files += [f for part in ("log", "argparse") if (f := libdir / f"librte_{part}.a").exists()]
    if not all(file.exists() for file in files):
        raise tap.Skip("this DPDK has no static libraries")
    others = ["-lbsd", "-lnuma", "-lm", "-ldl", "-pthread"]
    return ["-Wl,--whole-archive", *map(str, files), "-Wl,--no-whole-archive", *others]


def require(found, status, words=()):
    """That status, the words in one line, and no word of ours else."""
    got, said = found
    ours = [line for line in said.splitlines() if line.startswith("magazine: ")]
    tap.check(got == status, f"status {got}, not {status}\n{said[-2000:]}")
    tap.check(len(ours) == (1 if words else 0), f"{len(ours)} sentences\n{said[-2000:]}")
    tap.check(all(word in ours[0] for word in words), f"not {words}: {ours}")


def main():
    with tap.case("DPDK inside, exported: the pool is ours"):
        program = build("exports", archives(), "-Wl,--export-dynamic")
        require(run(program, PLUGIN), 0)
    with tap.case("DPDK inside, not exported: a sentence says what to do"):
        words = ("DPDK inside", "--export-dynamic", "pkg-config --libs librte_mempool_magazine")
        require(run(build("hides", archives()), PLUGIN), NO_OPS, words)
    with tap.case("DPDK inside, exported in part: a sentence names what is missing"):
        some = "-Wl,--export-dynamic-symbol=rte_eal_init,--export-dynamic-symbol=rte_version_*"
        words = ("undefined symbol: ", "--whole-archive")
        require(run(build("hides_some", archives(), some), PLUGIN), NO_OPS, words)
    with tap.case("DPDK inside, of another version: a sentence names both"):
        flags = ["-Wl,--export-dynamic", "-DOTHER_VERSION", "-Wl,--allow-multiple-definition"]
        words = ("is built for DPDK ", "the program has 19.")
        require(run(build("other", archives(), *flags), PLUGIN), NO_OPS, words)
    with tap.case("DPDK's shared libraries: the pool is ours"):
        program = build("shared", pkg_config("--libs", "libdpdk"), "-Wl,--no-as-needed")
        require(run(program, PLUGIN), 0)
    with tap.case("the driver inside, and the plugin beside it: a sentence says so, and it works"):
        driver = PLUGIN.with_name("librte_mempool_magazine.a")
        inside = ["-Wl,--whole-archive", driver, "-Wl,--no-whole-archive"]
        inside += [BUILD / "lib/magazine/libmagazine.a", "-lnuma"]
        program = build("inside", [*inside, *pkg_config("--libs", "libdpdk")])
        require(run(program, PLUGIN), 0, ("registered already", "a second copy"))
    with tap.case("the driver that is inside alone, without a library of DPDK"):
        needed = subprocess.run(
            ["readelf", "-d", PLUGIN.with_name("librte_mempool_magazine_inside.so")],
            capture_output=True,
            text=True,
        ).stdout
        tap.check("NEEDED" in needed and "librte_" not in needed, needed)
    tap.finish()


if not shutil.which("cc"):
    tap.bail_out("no compiler")
main()
