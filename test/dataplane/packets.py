# SPDX-License-Identifier: BSD-3-Clause
"""Ethernet frames as bytes, and pcap files of them: what the capture port receives and what it
sent.
"""

import socket
import struct

PCAP_MAGIC = 0xA1B2C3D4
PCAP_HEADER = struct.Struct("<IHHiIII")
PCAP_RECORD = struct.Struct("<IIII")
LINKTYPE_ETHERNET = 1
SNAPLEN = 65535

ETHER_IPV4, ETHER_ARP, ETHER_VLAN, ETHER_IPV6 = 0x0800, 0x0806, 0x8100, 0x86DD
PROTO_ICMP, PROTO_TCP, PROTO_UDP = 1, 6, 17
ETHER_MIN = 60

HOST_MAC = bytes.fromhex("020000001101")
PORT_MAC = bytes.fromhex("020000002202")
BROADCAST = b"\xff" * 6
HOST_IP, PORT_IP = "198.18.0.1", "198.18.0.2"
HOST_IP6, PORT_IP6 = "2001:db8::1", "2001:db8::2"


def checksum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ether(payload, ethertype, dst=PORT_MAC, src=HOST_MAC, vlan=None):
    tag = struct.pack("!HH", ETHER_VLAN, vlan) if vlan is not None else b""
    return (dst + src + tag + struct.pack("!H", ethertype) + payload).ljust(ETHER_MIN, b"\0")


def ipv4(payload, proto, src=HOST_IP, dst=PORT_IP, ident=1):
    def header(check):
        return struct.pack(
            "!BBHHHBBH4s4s",
            0x45,
            0,
            20 + len(payload),
            ident,
            0,
            64,
            proto,
            check,
            socket.inet_aton(src),
            socket.inet_aton(dst),
        )

    return header(checksum(header(0))) + payload


def ipv6(payload, proto, src=HOST_IP6, dst=PORT_IP6):
    return (
        struct.pack("!IHBB", 6 << 28, len(payload), proto, 64)
        + socket.inet_pton(socket.AF_INET6, src)
        + socket.inet_pton(socket.AF_INET6, dst)
        + payload
    )


def _pseudo(src, dst, proto, length):
    if ":" in src:
        return (
            socket.inet_pton(socket.AF_INET6, src)
            + socket.inet_pton(socket.AF_INET6, dst)
            + struct.pack("!II", length, proto)
        )
    return socket.inet_aton(src) + socket.inet_aton(dst) + struct.pack("!BBH", 0, proto, length)


def udp(data, sport=1000, dport=2000, src=HOST_IP, dst=PORT_IP):
    length = 8 + len(data)
    header = struct.pack("!HHHH", sport, dport, length, 0)
    check = checksum(_pseudo(src, dst, PROTO_UDP, length) + header + data) or 0xFFFF
    return header[:6] + struct.pack("!H", check) + data


def tcp(data, sport=3000, dport=4000, src=HOST_IP, dst=PORT_IP, sequence=1):
    header = struct.pack("!HHIIBBHHH", sport, dport, sequence, 2, 5 << 4, 0x10, 8192, 0, 0)
    check = checksum(_pseudo(src, dst, PROTO_TCP, len(header) + len(data)) + header + data)
    return header[:16] + struct.pack("!H", check) + header[18:] + data


def echo_request(data, ident=7, sequence=1):
    header = struct.pack("!BBHHH", 8, 0, 0, ident, sequence)
    return header[:2] + struct.pack("!H", checksum(header + data)) + header[4:] + data


def arp_request():
    return struct.pack(
        "!HHBBH6s4s6s4s",
        1,
        ETHER_IPV4,
        6,
        4,
        1,
        HOST_MAC,
        socket.inet_aton(HOST_IP),
        b"\0" * 6,
        socket.inet_aton(PORT_IP),
    )


def pattern(length, seed):
    """Bytes that differ from place to place and from packet to packet, so that a mixed-up segment
    shows.
    """
    return bytes((i * 7 + seed * 13 + (i >> 8)) & 0xFF for i in range(length))


def flows(count, size):
    """count frames of about size payload bytes, in turn UDP, TCP, UDP in a VLAN, UDP over IPv6, TCP
    over IPv6.
    """
    frames = []
    for i in range(count):
        data = pattern(size + i % 16, i)
        ident = (i + 1) & 0xFFFF
        v6 = {"src": HOST_IP6, "dst": PORT_IP6}
        frames.append(
            (
                lambda: ether(ipv4(udp(data), PROTO_UDP, ident=ident), ETHER_IPV4),
                lambda: ether(ipv4(tcp(data), PROTO_TCP, ident=ident), ETHER_IPV4),
                lambda: ether(
                    ipv4(udp(data), PROTO_UDP, ident=ident), ETHER_IPV4, vlan=100 + i % 100
                ),
                lambda: ether(ipv6(udp(data, **v6), PROTO_UDP), ETHER_IPV6),
                lambda: ether(ipv6(tcp(data, **v6), PROTO_TCP), ETHER_IPV6),
            )[i % 5]()
        )
    return frames


def echoes(count, size):
    """Echo requests to answer, with an ARP request before every eighth."""
    frames = []
    for i in range(count):
        if i % 8 == 0:
            frames.append(ether(arp_request(), ETHER_ARP, dst=BROADCAST))
        frames.append(
            ether(
                ipv4(echo_request(pattern(size, i), sequence=i), PROTO_ICMP, ident=i + 1),
                ETHER_IPV4,
            )
        )
    return frames


def _l3(frame):
    """Offset of the network header, and its ethertype."""
    ethertype = struct.unpack_from("!H", frame, 12)[0]
    if ethertype == ETHER_VLAN:
        return 18, struct.unpack_from("!H", frame, 16)[0]
    return 14, ethertype


def swap_mac(frame):
    return frame[6:12] + frame[:6] + frame[12:]


def swap_5tuple(frame):
    """What 5tswap makes of one of flows(): MAC, IP addresses and ports change places, checksums
    stay right.
    """
    at, ethertype = _l3(frame)
    addr, size, l4 = (at + 12, 4, at + 20) if ethertype == ETHER_IPV4 else (at + 8, 16, at + 40)
    out = bytearray(swap_mac(frame))
    out[addr : addr + 2 * size] = frame[addr + size : addr + 2 * size] + frame[addr : addr + size]
    out[l4 : l4 + 4] = frame[l4 + 2 : l4 + 4] + frame[l4 : l4 + 2]
    return bytes(out)


def is_echo_reply_to(frame, request):
    """Whether frame answers the echo request: type 0, addresses swapped, ident, sequence and data
    as sent.
    """
    end = 14 + struct.unpack_from("!H", frame, 16)[0]
    return (
        frame[:6] == request[6:12]
        and frame[12:14] == request[12:14]
        and frame[26:30] == request[30:34]
        and frame[30:34] == request[26:30]
        and frame[34] == 0
        and frame[38:] == request[38:]
        and checksum(frame[34:end]) == 0
    )


def is_arp_reply(frame):
    return _l3(frame)[1] == ETHER_ARP and frame[20:22] == b"\0\2" and frame[:6] == HOST_MAC


def is_arp(frame):
    return _l3(frame)[1] == ETHER_ARP


def write_pcap(path, frames):
    with open(path, "wb") as out:
        out.write(PCAP_HEADER.pack(PCAP_MAGIC, 2, 4, 0, 0, SNAPLEN, LINKTYPE_ETHERNET))
        for i, frame in enumerate(frames):
            out.write(PCAP_RECORD.pack(1, i, len(frame), len(frame)) + frame)


def read_pcap(path):
    """Frames of a capture in this machine's byte order; magic with micro- or nanoseconds."""
    with open(path, "rb") as source:
        data = source.read()
    at, frames = PCAP_HEADER.size, []
    while at + PCAP_RECORD.size <= len(data):
        length = PCAP_RECORD.unpack_from(data, at)[2]
        at += PCAP_RECORD.size
        frames.append(data[at : at + length])
        at += length
    return frames
