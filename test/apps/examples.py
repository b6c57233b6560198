# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's examples: their source, of the version that is installed, their programs, and what a
running one says of its pools and ports.
"""

import re

import lab
import tap

KEPT = lab.KEPT / "dpdk"
APT_SECONDS = 300
BUILD_SECONDS = 300
SOURCES = """
sed -n 's/^Types:.*/Types: deb-src/p; /^\\(URIs\\|Suites\\|Components\\|Signed-By\\):/p; /^$/p' \\
    /etc/apt/sources.list.d/debian.sources >new.sources 2>/dev/null
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >new.list 2>/dev/null
true
"""


def source():
    """The folder of DPDK's source, of the version that is installed; downloaded once."""
    version = lab.run("dpkg-query", "-W", "-f", "${source:Version}", "libdpdk-dev").strip()
    folder = KEPT / version
    if (folder / "VERSION").exists():
        return folder
    new = KEPT / "new"
    lab.run("rm", "-rf", new)
    (new / "lists/partial").mkdir(parents=True)
    # Lists of sources of our own: those of the machine stay as they are.
    lab.run("sh", "-c", SOURCES, cwd=new)
    apt = ["-q", "-o", f"Dir::Etc::sourceparts={new}", "-o", f"Dir::State::lists={new}/lists"]
    apt += ["-o", "Dir::Etc::sourcelist=/dev/null", "-o", "APT::Sandbox::User=root"]
    apt += ["-o", "Dir::Cache::pkgcache=", "-o", "Dir::Cache::srcpkgcache="]
    try:
        lab.run("apt-get", *apt, "update", seconds=APT_SECONDS, cwd=new)
        uris = lab.run("apt-get", *apt, "source", "--print-uris", f"dpdk={version}", cwd=new)
        uri = re.search(r"'(\S+orig\.tar\.\w+)'", uris)
        tap.check(uri, f"no archive of the authors among:\n{uris}")
        archive = new / "dpdk.tar"
        helper = ["/usr/lib/apt/apt-helper", "download-file", uri[1], archive]
        lab.run(*helper, seconds=APT_SECONDS, cwd=new)
        lab.run("tar", "-xf", archive, "-C", new, "--strip-components=1", seconds=APT_SECONDS)
        archive.unlink()
    except (OSError, tap.Failure) as why:
        raise tap.Skip(
            f"no source of dpdk {version}: {' '.join(str(why).split())[-200:]}"
        ) from None
    new.rename(folder)
    return folder


def built(folder, name):
    """A program that is made in a folder of the examples."""
    folder = source() / "examples" / folder
    program = folder / "build" / name
    if not program.exists():
        lab.run("make", "shared", cwd=folder, seconds=BUILD_SECONDS)
    return program


def missing(name):
    """Objects of each pool of magazine that are out, or in a mempool's cache."""
    found = {}
    for pool in lab.telemetry(name, "/magazine/list") or ():
        size = lab.telemetry(name, f"/mempool/info,{pool}")["populated_size"]
        out = size - lab.telemetry(name, f"/magazine/stats,{pool}")["free"]
        if out:
            found[pool] = out
    return found


def counters(name):
    stats = [lab.telemetry(name, f"/ethdev/stats,{port}") for port in (0, 1)]
    return [{key: of[key] for key in ("ipackets", "opackets", "obytes")} for of in stats]
