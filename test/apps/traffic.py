# SPDX-License-Identifier: BSD-3-Clause
"""Frames for DPDK's examples: for each of two ports, those that the example's tables route."""

import random
import socket
import struct

import packets
from packets import ETHER_IPV4, ETHER_IPV6, PROTO_UDP

LARGE = 6000  # bytes of a packet to be cut, or put together
CUT = 1400  # bytes of a fragment: a multiple of 8
PROTO_FRAGMENT = 44
MORE_FRAGMENTS = 0x2000
GROUPS = ("224.0.0.101", "224.0.0.102", "224.0.0.103", "224.0.0.120")  # the last has no port
FROM6 = "2001:db8::9"


def _alternate(frames):
    return [frames[::2], frames[1::2]]


def flows(count):
    return _alternate(packets.flows(count, 200))


def flows4(count):
    """Without tags, and of IPv4."""
    frames = packets.flows(2 * count, 200)
    return _alternate([frame for frame in frames if frame[12:14] == b"\x08\0"])


def _datagram4(size, seed, there):
    data = packets.udp(packets.pattern(size, seed), dst=there)
    return packets.ipv4(data, PROTO_UDP, dst=there, ident=seed + 1)


def _datagram6(size, seed, there):
    data = packets.udp(packets.pattern(size, seed), src=FROM6, dst=there)
    return packets.ipv6(data, PROTO_UDP, src=FROM6, dst=there)


def _routed(count, size, places4, places6):
    frames = []
    for i in range(count):
        there = places4[i // 4 % len(places4)]
        frames.append(packets.ether(_datagram4(size, i, there.format(i % 200 + 1)), ETHER_IPV4))
        there = places6[i // 4 % len(places6)]
        frames.append(packets.ether(_datagram6(size, i, there.format(i % 200 + 1)), ETHER_IPV6))
    return _alternate(frames[:count])


def routed(count):
    """For the routes of l3fwd, in its files of rules."""
    return _routed(
        count, 200, ("198.18.0.{}", "198.18.1.{}"), ("2001:200::{:x}", "2001:200:0:1::{:x}")
    )


ROUTES4 = ("100.10.0.{}", "100.20.0.{}")
ROUTES6 = ("101:101:101::{:x}", "201:101:101::{:x}")


def large(count):
    """Packets that ip_fragmentation cuts, for its own routes."""
    return _routed(count // 5, LARGE, ROUTES4, ROUTES6)


def _cut4(frame):
    header, data = frame[14:34], frame[34:]
    parts = []
    for at in range(0, len(data), CUT):
        part = data[at : at + CUT]
        place = at // 8 | (MORE_FRAGMENTS if at + CUT < len(data) else 0)
        new = (
            header[:2] + struct.pack("!H", 20 + len(part)) + header[4:6] + struct.pack("!H", place)
        )
        new += header[8:10] + b"\0\0" + header[12:]
        new = new[:10] + struct.pack("!H", packets.checksum(new)) + new[12:]
        parts.append(frame[:14] + new + part)
    return parts


def _cut6(frame, ident):
    header, data = frame[14:54], frame[54:]
    parts = []
    for at in range(0, len(data), CUT):
        part = data[at : at + CUT]
        more = 1 if at + CUT < len(data) else 0
        extension = struct.pack("!BBHI", header[6], 0, at | more, ident)
        length = struct.pack("!H", len(extension) + len(part))
        new = header[:4] + length + bytes([PROTO_FRAGMENT]) + header[7:]
        parts.append(frame[:14] + new + extension + part)
    return parts


def fragments(count):
    """Fragments for ip_reassembly, those of a few packets mixed with each other."""
    order = random.Random(1)
    mixed = []
    for frames in large(count):
        parts, few = [], []
        for i, frame in enumerate(frames):
            few += _cut4(frame) if frame[12:14] == b"\x08\0" else _cut6(frame, i)
            if i % 4 == 3 or i == len(frames) - 1:
                order.shuffle(few)
                parts += few
                few = []
        mixed.append(parts)
    return mixed


def multicast(count):
    frames = []
    for i in range(count):
        there = GROUPS[i // 2 % len(GROUPS)]
        mac = b"\x01\0\x5e" + socket.inet_aton(there)[1:]
        frames.append(packets.ether(_datagram4(200 + i % 1000, i, there), ETHER_IPV4, dst=mac))
    return _alternate(frames)
