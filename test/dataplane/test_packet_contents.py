#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Packets from a capture come out as each mode promises, byte by byte, from mbufs of this driver.

An mbuf that two owners have, or a segment that is not where it was, shows in what is sent.
"""

import packets
import tap
from testpmd import Testpmd, work_dir

COUNT = 400
SMALL, LARGE = 100, 1400
SMALL_MBUF = 384
FOLDER = work_dir()
SOURCE, SINK = FOLDER / "in.pcap", FOLDER / "out.pcap"
PORT = f"net_pcap0,rx_pcap={SOURCE},tx_pcap={SINK}"
ONE_PORT = ["--port-topology=loop", "--no-flush-rx"]  # a start would else throw the capture away
PEER_MAC = bytes.fromhex("020000000000")


def forward_capture(mode, frames, args):
    """Send frames through a mode once; return what came out."""
    packets.write_pcap(SOURCE, frames)
    with Testpmd("pcap", [PORT], args=ONE_PORT + args) as pmd:
        pmd.forward(mode, len(frames), ports=(0,), count="rx" if mode == "rxonly" else "tx")
        pmd.require_idle()
        pmd.stop_ports()
        pmd.close_ports()
        pmd.require_idle()
        pmd.quit()
    return packets.read_pcap(SINK)


def readdressed(frame, sent):
    """What mac and csum send: to the peer, from the port's own address, else unchanged."""
    return sent[:6] == PEER_MAC and sent[6:12] != frame[6:12] and sent[12:] == frame[12:]


def answered(frame, sent):
    return (
        packets.is_arp_reply(sent)
        if packets.is_arp(frame)
        else packets.is_echo_reply_to(sent, frame)
    )


EXPECTED = {
    "io": lambda frame, sent: sent == frame,
    "mac": readdressed,
    "macswap": lambda frame, sent: sent == packets.swap_mac(frame),
    "5tswap": lambda frame, sent: sent == packets.swap_5tuple(frame),
    "csum": readdressed,
    "noisy": lambda frame, sent: sent == frame,
    "icmpecho": answered,
}


def contents(mode, size, args=(), what=""):
    with tap.case(f"{mode}, packets of about {size} bytes{what}"):
        frames = packets.echoes(COUNT, size) if mode == "icmpecho" else packets.flows(COUNT, size)
        sent = forward_capture(mode, frames, list(args))
        tap.check(len(sent) == len(frames), f"{len(frames)} packets in, {len(sent)} out")
        for i, (frame, out) in enumerate(zip(frames, sent)):
            tap.check(
                EXPECTED[mode](frame, out), f"packet {i}\nin:  {frame.hex()}\nout: {out.hex()}"
            )


for name in EXPECTED:
    contents(name, SMALL)
    contents(name, LARGE, [f"--mbuf-size={SMALL_MBUF}"], " in several segments")
for name in ("io", "5tswap"):
    contents(name, LARGE, ["--mp-alloc=xbuf"], " in external buffers")
    contents(
        name,
        LARGE,
        ["--mp-alloc=xbuf", f"--mbuf-size={SMALL_MBUF}"],
        " in several external buffers",
    )
contents(
    "noisy",
    SMALL,
    ["--noisy-tx-sw-buffer-size=64", "--noisy-tx-sw-buffer-flushtime=2"],
    " through its own queue",
)
with tap.case("rxonly takes a whole capture and sends nothing"):
    tap.check(
        forward_capture("rxonly", packets.flows(COUNT, SMALL), []) == [], "something was sent"
    )
tap.finish()
