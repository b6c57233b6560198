#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""TCP of a file through testpmd that puts segments together (GRO), or cuts them (GSO): the bytes of
each connection are those that went in, in the frames that the default handler makes of them.

GRO makes chains of mbufs; GSO makes mbufs that refer to the data of others.
"""

import os
import pathlib
import struct

import packets
import tap
import testpmd
from testpmd import FULL, ROOT, Testpmd, work_dir

LIBRARY = pathlib.Path(os.environ.get("MAGAZINE_BUILD", ROOT / "build")) / "test/libtyped_ports.so"
DEFAULT_HANDLER = "ring_mp_mc"
FOLDER = work_dir()
SOURCE, SINK = FOLDER / "in.pcap", FOLDER / "out.pcap"
COUNT = 20000 if FULL else 3200  # whole bursts
FLOWS = 4
HEADERS = 14 + 20 + 20
SEGMENT = 1000  # bytes of a frame
PORT = f"net_pcap0,rx_pcap={SOURCE},tx_pcap={SINK}"
RUNS = ((None, {}), ("guard=1", {}), ("cache=0", {}), (None, {"mbcache": 0}))
# Bytes of a segment that goes in, what is switched on, and whether frames become fewer.
KINDS = {
    "GRO": (SEGMENT, ("set port 0 gro on", "set gro flush 1"), True),
    "GSO": (6000, (f"set gso segsz {SEGMENT}", "set port 0 gso on"), False),
    "GRO and GSO": (
        SEGMENT // 2,
        ("set port 0 gro on", "set gro flush 1", f"set gso segsz {SEGMENT}", "set port 0 gso on"),
        None,
    ),
}


def segments(count, size):
    """Connections, whose segments take turns."""
    frames = []
    for i in range(count):
        turn, flow = divmod(i, FLOWS)
        data = packets.pattern(size, i)
        segment = packets.tcp(data, sport=3000 + flow, sequence=1 + turn * size)
        packet = packets.ipv4(segment, packets.PROTO_TCP, ident=turn + 1)
        frames.append(packets.ether(packet, packets.ETHER_IPV4))
    return frames


def streams(frames):
    """The bytes of each connection, by its port, in the order of their numbers."""
    parts = {}
    for frame in frames:
        port, _, sequence = struct.unpack_from("!HHI", frame, 34)
        length = struct.unpack_from("!H", frame, 16)[0] - 40
        parts.setdefault(port, []).append((sequence, frame[HEADERS : HEADERS + length]))
    return {port: b"".join(data for _, data in sorted(found)) for port, found in parts.items()}


def through(kind, ops, options, more):
    """What comes out; every mbuf is back."""
    size, commands, fewer = KINDS[kind]
    frames = segments(COUNT * SEGMENT // size // 32 * 32, size)
    packets.write_pcap(SOURCE, frames)
    args = ["--port-topology=loop", "--no-flush-rx"]
    more = {"ops": ops, "options": options, "preload": LIBRARY, **more}
    with Testpmd("gro", [PORT], args=args, **more) as pmd:
        for command in ("csum mac-swap off 0", *commands):
            pmd.command(command)
        pmd.forward("csum", len(frames), ports=(0,))
        pmd.require_idle()
        pmd.stop_ports()
        pmd.close_ports()
        pmd.require_idle()
        pmd.quit()
    out = packets.read_pcap(SINK)
    tap.check(streams(out) == streams(frames), "other bytes came out than went in")
    if fewer is not None:
        tap.check(
            (len(out) < len(frames) // 4) if fewer else (len(out) > 4 * len(frames)),
            f"{kind}: {len(frames)} frames in, {len(out)} out",
        )
    if "GSO" in kind:
        longest = max(map(len, out))
        tap.check(longest <= SEGMENT, f"{longest} bytes after GSO")
    return out


for name in KINDS:
    expected = None
    with tap.case(f"{name}, {DEFAULT_HANDLER}"):
        expected = through(name, DEFAULT_HANDLER, None, {})
    for text, changes in RUNS if FULL else RUNS[:2]:
        words = f"{text or 'no options'}{', mempool cache 0' if changes else ''}"
        with tap.case(f"{name}, {testpmd.OPS}, {words}"):
            if expected is None:
                raise tap.Skip(f"not with {DEFAULT_HANDLER} either")
            tap.check(
                through(name, testpmd.OPS, text, changes) == expected,
                f"other frames than with {DEFAULT_HANDLER}",
            )
tap.finish()
