#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's examples, built from the source of the distribution's DPDK: on magazine each sends what it
sends on the default handler, and has every mbuf back.

Packets come from files and go to files, two ports of net_pcap. Files are compared where the
example closes its ports at SIGINT, counters of packets and bytes for all; mbufs are counted in the
runs without mempool caches. With arguments, only examples of these names.
"""

import collections
import re
import signal
import sys
import time

import lab
import packets
import tap

KEPT = lab.KEPT / "dpdk"
APT_SECONDS = 300
BUILD_SECONDS = 300
TRAFFIC_SECONDS = 60
QUIET_SECONDS = 1  # without a packet more: all are through
COUNT = 5000 if not lab.FULL else 50000
SOURCES = """
sed -n 's/^Types:.*/Types: deb-src/p; /^\\(URIs\\|Suites\\|Components\\|Signed-By\\):/p; /^$/p' \\
    /etc/apt/sources.list.d/debian.sources >new.sources 2>/dev/null
sed -n 's/^deb /deb-src /p' /etc/apt/sources.list >new.list 2>/dev/null
true
"""

# One lcore for both ports, each with a crypto device.
CRYPTO = "-p 3 -q 2 --cdev_type ANY --chain CIPHER_ONLY --cipher_op ENCRYPT".split()

# ends: it closes its ports at SIGINT, so that its files are complete.
Example = collections.namedtuple("Example", "folder lcores arguments ends devices")
# Examples that chain mbufs for transmission are not here: net_pcap does not offer that.

EXAMPLES = {
    "l2fwd": Example("l2fwd", 2, ["-p", "3", "-T", "0"], True, []),
    "packet_ordering": Example("packet_ordering", 4, ["-p", "3"], True, []),
    "rxtx_callbacks": Example("rxtx_callbacks", 1, [], False, []),
    "l2fwd-crypto": Example(
        "l2fwd-crypto",
        1,
        [*CRYPTO, "--cipher_algo", "null"],
        False,
        ["crypto_null0", "crypto_null1"],
    ),
    "basicfwd": Example("skeleton", 1, [], True, []),
}


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


def built(name):
    """The program of an example."""
    folder = source() / "examples" / EXAMPLES[name].folder
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


def through(process, name, count):
    """Counters when all packets came in, and nothing has moved for a while."""

    def ready():
        tap.check(process.poll() is None, f"{name} ended: {process.poll()}")
        try:
            return sum(of["ipackets"] for of in counters(name)) >= count
        except (OSError, ValueError, TypeError, KeyError):
            return False

    lab.wait_for(ready, TRAFFIC_SECONDS, f"{count} packets received")
    before = None
    while before != (before := counters(name)):
        time.sleep(QUIET_SECONDS)
    return before


def results(how, name, program, files):
    """What it sent on each port, with one handler."""
    example = EXAMPLES[name]
    ports = []
    for port, file in enumerate(files):
        out = lab.HERE / f"out{port}.pcap"
        ports.append(f"--vdev=net_pcap{port},rx_pcap={file},tx_pcap={out}")
    frames = sum(len(packets.read_pcap(file)) for file in files)
    line = [program, *lab.eal(how, name, example.lcores), *ports]
    line += [*(f"--vdev={device}" for device in example.devices), "--", *example.arguments]
    log = lab.HERE / "log"
    with open(log, "w", encoding="utf-8") as output:
        process = lab.start(*line, env=lab.environment(how), stdout=output)
        try:
            sent = through(process, name, frames)
            # Mempool caches hold some, and nothing tells how many: only where they are off. An
            # example may keep packets that it has not sent, in a buffer for transmission.
            if how.options:
                kept = sum(of["ipackets"] - of["opackets"] for of in sent)
                lab.wait_for(
                    lambda: sum(missing(name).values()) <= max(kept, 0),
                    20,
                    f"every mbuf back but {kept}: {missing(name)}",
                )
            names = lab.telemetry(name, "/magazine/list")
            tap.check(bool(names) == (how.ops == "magazine"), f"pools of magazine: {names}")
            lab.end(process, signal.SIGINT)
        except tap.Failure as why:
            raise tap.Failure(f"{how.name}: {why}\n{lab.last_lines(log.read_text())}") from None
        finally:
            process.kill()
            process.wait()
    lab.require_quiet(how, log.read_text(errors="replace"))
    captured = None
    if example.ends:
        outs = [lab.HERE / f"out{port}.pcap" for port in (0, 1)]
        captured = [sorted(packets.read_pcap(out)) for out in outs]
    return sent, captured


def compare(name):
    lab.need_tools(make="make", cc="gcc", **{"apt-get": "apt"})
    program = built(name)
    files = [lab.HERE / f"in{port}.pcap" for port in (0, 1)]
    frames = packets.flows(COUNT, 200)
    if EXAMPLES[name].devices:  # l2fwd-crypto keeps what is not plain IPv4
        frames = [frame for frame in frames if frame[12:14] == b"\x08\0"]
    packets.write_pcap(files[0], frames[::2])
    packets.write_pcap(files[1], frames[1::2])
    default, *others = lab.RUNS
    expected = results(default, name, program, files)
    tap.check(all(of["opackets"] for of in expected[0]), f"nothing is sent: {expected[0]}")
    tap.note(f"{name}: {expected[0]}")
    for how in others:
        sent, captured = results(how, name, program, files)
        tap.check(sent == expected[0], f"{how.name}: {sent}, default {expected[0]}")
        tap.check(captured == expected[1], f"{how.name}: other packets than on the default handler")


def main():
    # Before the network is ours alone.
    if lab.outside() and set(sys.argv[1:]) <= set(EXAMPLES):
        try:
            source()
        except (tap.Skip, tap.Failure) as why:
            lab.skip_all(why)
    lab.enter()
    for name in sys.argv[1:] or EXAMPLES:
        with tap.case(name):
            compare(name)
    tap.finish()


main()
