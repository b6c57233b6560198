#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The commands of tools/magazine-gdb.py beside a testpmd and in its core, traces of EAL, probes."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import tap
import testpmd
from testpmd import RING_PORTS, ROOT, START_SECONDS, Testpmd

import patience

POOL = "mb_pool_0"
COMMANDS = ROOT / "tools/magazine-gdb.py"
# What babeltrace2 ends with, from 2.1 on, for traces of DPDK, whatever trace points they are of.
NOT_DPDK = "Unexpected stream class configuration"
PLACES = re.compile(r"(\d+) objects: (\d+) out .*, (\d+) in slots, (\d+) in depots, (\d+) in slabs")
# The objects of the first slot that has some; one of them, once more on top of it.
TWICE = """python
home = homes(caches()[0])[0]
number, slot = next((n, s) for n, s in slots(home) if int(s["rounds"]) and int(s["rounds"]) < 62)
top = int(slot["rounds"])
first = rounds_at(slot["loaded"], 1)[0]
gdb.execute("whose %d" % (first + 5))
place = int(slot["loaded"]) + gdb.lookup_type("struct mag_magazine").sizeof + 8 * top
gdb.execute("set var *(unsigned long *)%d = %d" % (place, first))
gdb.execute("set var ((struct mag_slot *)%d)->rounds = %d" % (int(slot.address), top + 1))
gdb.execute("whose %d" % first)
gdb.execute("set var ((struct mag_slot *)%d)->rounds = %d" % (int(slot.address), top))
end"""


def ours():
    if testpmd.OPS != "magazine":
        raise tap.Skip(f"this is about the driver, and this run is on {testpmd.OPS}")


def use(pmd):
    """Objects go around, and all come back."""
    for mode in ("flowgen", "rxonly"):
        with pmd.forwarding(mode):
            pass
    pmd.require_idle()


def run(*command):
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience.scaled(START_SECONDS),
        check=False,
    )
    return done.stdout


def gdb(target, *commands):
    """What the debugger says of a process, or of a program and its core."""
    if shutil.which("gdb") is None:
        raise tap.Skip("gdb is not installed")
    script = ["set debuginfod enabled off", "set pagination off", f"source {COMMANDS}", *commands]
    with tempfile.NamedTemporaryFile("w", suffix=".gdb") as file:
        file.write("\n".join(script) + "\n")
        file.flush()
        said = run("gdb", "-q", "-batch", "-nx", *target, "-x", file.name)
    if "ptrace: Operation not permitted" in said:
        raise tap.Skip("this machine lets nobody look into a process")
    if "No symbol table is loaded" in said or "No symbol" in said and "registry.c" in said:
        raise tap.Skip("the library was built without debugging symbols")
    return said


def places(said):
    found = PLACES.search(said)
    tap.check(found, said)
    return [int(number) for number in found.groups()]


def library():
    """The library that the plugin loads."""
    linked = run("ldd", testpmd.PLUGIN)
    found = re.search(r"libmagazine\.so\S* => (\S+)", linked)
    tap.check(found, linked)
    return pathlib.Path(found[1])


with tap.case("gdb tells of a live process what telemetry tells, and finds an object freed twice"):
    ours()
    with Testpmd("gdb", RING_PORTS, 2, mbcache=0, options="rounds=62") as pmd:
        use(pmd)
        told = pmd.telemetry(f"/magazine/info,{POOL}")
        said = gdb(["-p", str(pmd.process.pid)], "print-cache", f"print-depot {POOL}", TWICE)
        tap.check(
            places(said) == [told[key] for key in ("objects", "out", "lcores", "depot", "slabs")],
            f"{told}\n{said}",
        )
        tap.check(f"{told['magazines_full']} magazines" in said, f"{told}\n{said}")
        tap.check(said.count(f'pool "{POOL}"') == 2, said)
        once, twice = said.split(f'pool "{POOL}"')[1:3]
        tap.check("+ 5" in once and "free: in the loaded magazine of slot" in once, said)
        tap.check("freed twice" not in once and "freed twice" in twice, said)
        said = gdb(["-p", str(pmd.process.pid)], "whose 8", "print-cache nobody")
        tap.check("0x8: of no slab of any pool" in said, said)
        tap.check(f'"nobody": no such pool: there are: {POOL}' in said, said)
        pmd.quit()

with tap.case("gdb tells the same of a core"):
    ours()
    with Testpmd("core", RING_PORTS, 1, mbcache=32) as pmd, tempfile.TemporaryDirectory() as work:
        use(pmd)
        told = pmd.telemetry(f"/magazine/info,{POOL}")
        core = f"{work}/core"
        said = gdb(["-p", str(pmd.process.pid)], f"gcore {core}")
        tap.check(os.path.exists(core), said)
        said = gdb([os.path.realpath(shutil.which(testpmd.PROGRAM)), core], f"print-cache {POOL}")
        objects, out, lcores, depot, slabs = places(said)
        tap.check((objects, out) == (told["objects"], told["out"] + told["caches"]), said)
        tap.check([lcores, depot, slabs] == [told[k] for k in ("lcores", "depot", "slabs")], said)
        pmd.quit()


def babeltrace(folder):
    """What the first reader that can read it says of a trace."""
    readers = list(filter(shutil.which, ("babeltrace2", "babeltrace")))
    for reader in readers:
        text = run(reader, folder)
        if NOT_DPDK not in text:
            return text
    raise tap.Skip(
        f"{' and '.join(readers)} read no traces of DPDK" if readers else "no babeltrace installed"
    )


with tap.case("traces of EAL are read by babeltrace"):
    ours()
    with tempfile.TemporaryDirectory() as work:
        traced = (f"--trace-dir={work}", "--trace=lib.magazine.*")
        with Testpmd("trace", RING_PORTS, 1, mbcache=0, eal=traced) as pmd:
            use(pmd)
            pmd.telemetry(f"/magazine/set,{POOL},rounds,62")
            pmd.quit()
        (folder,) = pathlib.Path(work).iterdir()
        text = babeltrace(folder)
    tap.check(re.search(rf'lib\.magazine\.slab_made: .*region = "{POOL}"', text), text[:2000])
    tap.check(
        re.search(
            rf'lib\.magazine\.resize: .*cache = "{POOL}", before = 0x1FE, rounds = 0x3E', text
        ),
        text[-2000:],
    )

with tap.case("each trace point has a probe of the same name"):
    ours()
    # Those of the header that tests compile against say whether there are any.
    header = any(pathlib.Path("/usr/include").glob("**/sys/sdt.h"))
    names = re.findall(
        r"RTE_TRACE_POINT_REGISTER\(\w+, lib\.magazine\.(\w+)\)",
        (ROOT / "lib/magazine/base/trace_points.c").read_text(),
    )
    notes = run("readelf", "-n", str(library()))
    probes = re.findall(r"Provider: magazine\s+Name: (\w+)", notes)
    if not header and not probes:
        raise tap.Skip("sys/sdt.h is not installed")
    tap.check(names and sorted(names) == sorted(set(probes)), f"{names}\n{probes}")
tap.finish()
