#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""DPDK's examples, built from the source of the distribution's DPDK: on magazine each sends what it
sends on the default handler, and has every mbuf back.

Packets come from files and go to files, or through two interfaces of the kernel: see ports.py.
What is sent is compared, of files where the example closes its ports at SIGINT; counters of packets
and bytes for all. Mbufs are counted in the runs without mempool caches. With arguments, only
examples of these names.
"""

import contextlib
import signal
import sys
import time
import typing

import lab
import ports
import tap
import traffic
from examples import built, counters, missing, source

START_SECONDS = 60
TRAFFIC_SECONDS = 60
QUIET_SECONDS = 1  # without a packet more: all are through
COUNT = 5000
COUNT_FULL = 50000

# One lcore for both ports, each with a crypto device.
CRYPTO = "-p 3 -q 2 --cdev_type ANY --chain CIPHER_ONLY --cipher_op ENCRYPT --cipher_algo null"
L3FWD = "-p 3 -L --config=(0,0,0),(0,1,1),(1,0,0),(1,1,1) --parse-ptype"
PIPELINE = "-n 0 -r 1 -t 2 -e 4 -w 18 -s 3 -W 100"


class Example(typing.NamedTuple):
    """How it runs."""

    folder: str
    lcores: int = 1
    arguments: str = ""
    ports: type = ports.Files
    frames: object = traffic.flows
    devices: tuple = ()
    files: tuple = ()  # options with files of its folder
    ends: bool = True  # it closes its ports at SIGINT, so that files are complete
    keeps: bool = False  # it may keep packets, to send them later
    drops: bool = False  # what does not fit into its rings, as they fill faster than they empty


EXAMPLES = {
    "l2fwd": Example("l2fwd", 2, "-p 3 -T 0"),
    "packet_ordering": Example("packet_ordering", 4, "-p 3", keeps=True, drops=True),
    "rxtx_callbacks": Example("rxtx_callbacks", ends=False),
    "l2fwd-crypto": Example(
        "l2fwd-crypto",
        1,
        CRYPTO,
        frames=traffic.flows4,
        ends=False,
        devices=("crypto_null0", "crypto_null1"),
    ),
    "basicfwd": Example("skeleton"),
    "l3fwd": Example(
        "l3fwd",
        2,
        L3FWD,
        ports.Wires,
        traffic.routed,
        files=("rule_ipv4=lpm_default_v4.cfg", "rule_ipv6=lpm_default_v6.cfg"),
    ),
    "ip_fragmentation": Example("ip_fragmentation", 1, "-p 3 -q 2", ports.Wires, traffic.large),
    "ip_reassembly": Example(
        "ip_reassembly", 1, "-p 3 -q 2 --maxflows=100 --flowttl=60s", ports.Wires, traffic.fragments
    ),
    "ipv4_multicast": Example("ipv4_multicast", 1, "-p 3 -q 2", ports.Wires, traffic.multicast),
    "eventdev_pipeline": Example(
        "eventdev_pipeline", 5, PIPELINE, ports.Wires, devices=("event_sw0",)
    ),
}


def through(process, name, count, expected):
    """Counters when all packets came in, and those are sent that are expected; or, if that is not
    known, nothing has moved for a while."""

    def ready():
        tap.check(process.poll() is None, f"{name} ended: {process.poll()}")
        return sum(of["ipackets"] for of in counters(name)) >= count

    lab.wait_for(ready, TRAFFIC_SECONDS, f"{count} packets received")
    if expected:
        lab.patience.until(lambda: counters(name) == expected, TRAFFIC_SECONDS)
        return counters(name)
    before = None
    while before != (before := counters(name)):
        time.sleep(lab.patience.scaled(QUIET_SECONDS))
    return before


def line(how, name, program, wires):
    """The command line."""
    example = EXAMPLES[name]
    words = [program, *lab.eal(how, name, example.lcores), *wires.words()]
    words += [*(f"--vdev={device}" for device in example.devices), "--"]
    files = [file.split("=") for file in example.files]
    words += [f"--{option}={program.parents[1] / file}" for option, file in files]
    return words + example.arguments.split()


def begun(process, name, wires):
    """Wait until its ports are there; mbufs that they have of magazine's pools."""

    def ready():
        tap.check(process.poll() is None, f"{name} ended: {process.poll()}")
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            return wires.up() and counters(name)
        return False

    lab.wait_for(ready, START_SECONDS, f"{name} has its ports")
    return sum(missing(name).values()) if wires.INTO_SIGHT else 0


def traffic_of(how, name, process, wires, expected):
    """Counters, when all mbufs are back."""
    example = EXAMPLES[name]
    filled = begun(process, name, wires)
    wires.send()
    counted = through(process, name, sum(map(len, wires.frames)), expected)
    # Mempool caches hold some, and nothing tells how many: only where they are off.
    if how.options:
        if example.keeps:
            filled += max(sum(of["ipackets"] - of["opackets"] for of in counted), 0)
        lab.wait_for(
            lambda: sum(missing(name).values()) <= filled,
            20,
            f"every mbuf back but {filled}: {missing(name)}",
        )
    names = lab.telemetry(name, "/magazine/list")
    tap.check(bool(names) == (how.ops == "magazine"), f"pools of magazine: {names}")
    return counted


def results(how, name, program, frames, expected=None):
    """Counters of its ports, and what it sent on each, with one handler; counters to expect."""
    example = EXAMPLES[name]
    log = lab.HERE / "log"
    with open(log, "w", encoding="utf-8") as output, lab.closing(example.ports(frames)) as (wires,):
        environment = lab.environment(how, **wires.ENVIRONMENT)
        process = lab.start(*line(how, name, program, wires), env=environment, stdout=output)
        try:
            counted = traffic_of(how, name, process, wires, expected)
            sent = wires.sent() if wires.INTO_SIGHT else None
            lab.end(process, signal.SIGINT)
            if sent is None and example.ends:
                sent = wires.sent()
        except tap.Failure as why:
            raise tap.Failure(f"{how.name}: {why}\n{lab.last_lines(log.read_text())}") from None
        finally:
            process.kill()
            process.wait()
    lab.require_quiet(how, log.read_text(errors="replace"))
    return counted, sent


def compare(name):
    lab.need_tools(make="make", cc="gcc", **{"apt-get": "apt"})
    example = EXAMPLES[name]
    program = built(example.folder, name)
    frames = example.frames(COUNT_FULL if lab.FULL and not example.drops else COUNT)
    default, *others = lab.RUNS
    expected = results(default, name, program, frames)
    tap.check(all(of["opackets"] for of in expected[0]), f"nothing is sent: {expected[0]}")
    tap.note(f"{name}: {expected[0]}")
    for how in others:
        counted, sent = results(how, name, program, frames, expected[0])
        tap.check(counted == expected[0], f"{how.name}: {counted}, default {expected[0]}")
        tap.check(sent == expected[1], f"{how.name}: other packets than on the default handler")


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
