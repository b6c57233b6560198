#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Packets of several mbufs: made by txonly, sent round rings, and received into small mbufs."""

import re

import packets
import tap
from testpmd import RING_PORTS, FULL, Testpmd, work_dir

SEGMENTS = ((64, 64, 128), (40, 24), (60, 1, 1, 1, 1, 1, 1, 1), (2048, 2048))
RING_HOLDS = 1023
HEADROOM = 128
TORN = (
    2  # lines that may be unreadable, because the prompt and the echo of a command fell into them
)
RING_MBUFS = 20480  # three a packet in two full rings, and as much again in hand
FOLDER = work_dir()
SOURCE, SINK = FOLDER / "in.pcap", FOLDER / "out.pcap"
ONE_PORT = ["--port-topology=loop", "--no-flush-rx"]
CIRCLING_PACKETS = 200000 if FULL else 5000


def set_segments(pmd, lengths):
    pmd.command(f"set txpkts {','.join(map(str, lengths))}")
    shown = pmd.command("show config txpkts")
    tap.check(f"Number of segments: {len(lengths)}" in shown, f"set txpkts {lengths}: {shown}")


def drain(pmd):
    with pmd.forwarding("rxonly"):
        pass


def txonly_to_capture(pmd, lengths):
    """txonly leaves packets whose bytes are the sum of the segments."""
    set_segments(pmd, lengths)
    pmd.forward("txonly", 500, ports=(0,), count="tx")
    pmd.require_idle()
    pmd.stop_ports()
    found = {len(frame) for frame in packets.read_pcap(SINK)}
    tap.check(found == {sum(lengths)}, f"segments {lengths}: lengths sent {found}")
    pmd.start_ports()


def segments_shown(pmd, count):
    """Receive count packets, each shown by testpmd; return their lengths and segment counts."""
    pmd.command("set verbose 1")
    pmd.set_mode("rxonly")
    before = pmd.counters((0,))
    pmd.type("start")
    pmd.wait_packets(before, count)
    pmd.stop()
    found = (re.search(r"length=(\d+) - nb_segs=(\d+) ", line) for line in pmd.lines)
    return [(int(m[1]), int(m[2])) for m in found if m]


with tap.case("txonly with segments: start and quit"), Testpmd(
    "segments", [f"net_pcap0,tx_pcap={SINK}"], args=ONE_PORT
) as pmd:
    for lengths in SEGMENTS:
        with tap.case(f"txonly with segments {lengths}"):
            txonly_to_capture(pmd, lengths)
    with tap.case("txonly with a random split"):
        set_segments(pmd, SEGMENTS[0])
        pmd.command("set txsplit rand")
        pmd.forward("txonly", 500, ports=(0,), count="tx")
        pmd.require_idle()
    pmd.quit()

for cores in (1, 2):
    where = f"rings, {cores} forwarding lcores"
    with tap.case(f"{where}: start and quit"), Testpmd(
        "circling", RING_PORTS, cores, mbufs=RING_MBUFS
    ) as pmd:
        with tap.case(f"{where}: packets of three segments circle"):
            set_segments(pmd, SEGMENTS[0])
            pmd.command("set txsplit on")
            run = pmd.forward("macswap", CIRCLING_PACKETS, how="tx_first 4")
            held = pmd.missing()
            tap.check(held == 3 * 2 * 4 * 32, f"{held} mbufs circle")
            drain(pmd)
            pmd.require_idle()
        with tap.case(f"{where}: packets of three segments fill the rings"):
            pmd.forward("txonly", RING_HOLDS, count="tx")
            held = pmd.missing()
            tap.check(held == 3 * 2 * RING_HOLDS, f"{held} mbufs in the rings")
            drain(pmd)
            pmd.require_idle()
        pmd.quit()

for size, args in ((512, []), (512, ["--mp-alloc=xmem"]), (384, ["--mbcache=0"])):
    with tap.case(f"packets received into mbufs of {size} bytes {' '.join(args)}"):
        frames = packets.flows(50, 1400)
        packets.write_pcap(SOURCE, frames)
        with Testpmd(
            "scatter",
            [f"net_pcap0,rx_pcap={SOURCE}"],
            args=ONE_PORT + args + [f"--mbuf-size={size}"],
        ) as pmd:
            shown = segments_shown(pmd, len(frames))
            tap.check(
                len(shown) >= len(frames) - TORN, f"{len(shown)} of {len(frames)} packets shown"
            )
            for length, segments in shown:
                least, most = -(-length // size), -(-length // (size - HEADROOM))
                tap.check(
                    1 < least <= segments <= most,
                    f"{length} bytes in {segments} segments of {size}",
                )
            pmd.require_idle()
            pmd.quit()
tap.finish()
