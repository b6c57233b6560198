# SPDX-License-Identifier: BSD-3-Clause
"""Two ports for an application: what it receives is given, what it sends is kept.

Files: net_pcap. The application reads them as soon as it runs; what it sends is in the files when
it has closed its ports. Wires: net_tap, whose packets go through sockets of this process. A wire
carries packets of several mbufs and has offloads of checksums; what the application sends is seen
at once.
"""

import select
import socket

import lab
import packets
import tap

SOCKET_BYTES = 64 << 20
QUEUE_PACKETS = 1 << 16
SO_RCVBUFFORCE = 33


class Files:
    """Two ports of net_pcap."""

    INTO_SIGHT = False
    ENVIRONMENT = {}

    def __init__(self, frames):
        self.frames = frames
        self.sources = [lab.HERE / f"in{port}.pcap" for port in (0, 1)]
        self.sinks = [lab.HERE / f"out{port}.pcap" for port in (0, 1)]
        for source, part in zip(self.sources, frames):
            packets.write_pcap(source, part)

    def words(self):
        pairs = zip(self.sources, self.sinks)
        return [f"--vdev=net_pcap{n},rx_pcap={i},tx_pcap={o}" for n, (i, o) in enumerate(pairs)]

    def up(self):
        return True

    def send(self):
        """The application reads them by itself."""

    def sent(self):
        """What the application sent, once it has closed its ports."""
        return [sorted(packets.read_pcap(sink)) for sink in self.sinks]

    def close(self):
        pass


class Wires:
    """Two ports of net_tap."""

    INTO_SIGHT = True
    ENVIRONMENT = {"LD_PRELOAD": str(lab.BUILD / "test/libjumbo_ports.so")}

    def __init__(self, frames):
        self.frames = frames
        self.names = [f"wire{port}" for port in (0, 1)]
        self.sockets = []
        self.seen = [[], []]
        # Nothing of the kernel's own is on the wires.
        lab.run("sysctl", "-qw", "net.ipv6.conf.default.disable_ipv6=1", status=None)

    def words(self):
        return [f"--vdev=net_tap{n},iface={name},mac=fixed" for n, name in enumerate(self.names)]

    def up(self):
        """Whether the application has started its ports; then the sockets are there."""
        shown = [lab.run("ip", "link", "show", name, status=None) for name in self.names]
        if not self.sockets and all("LOWER_UP" in text for text in shown):
            for name in self.names:
                # What is not received at once waits there.
                lab.run("ip", "link", "set", name, "txqueuelen", QUEUE_PACKETS)
                self.sockets.append(self._open(name))
        return bool(self.sockets)

    @staticmethod
    def _open(name):
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        wire.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SOCKET_BYTES)
        wire.bind((name, 0))
        return wire

    def send(self, window=None, wait_for=None):
        """All of both ports; or so many at a time, until as many packets are sent."""
        window = window or max(map(len, self.frames))
        ready = sum(map(len, self.sent()))
        for first in range(0, max(map(len, self.frames)), window):
            for wire, frames in zip(self.sockets, self.frames):
                for frame in frames[first : first + window]:
                    wire.send(frame)
                    ready += 1
            if wait_for:
                wait_for(lambda: sum(map(len, self.sent())) >= ready, f"{ready} packets sent")

    def sent(self):
        """What the application has sent so far."""
        for wire, seen in zip(self.sockets, self.seen):
            while select.select([wire], [], [], 0)[0]:
                frame, (_, _, kind, *_) = wire.recvfrom(packets.SNAPLEN)
                if kind != socket.PACKET_OUTGOING:
                    seen.append(frame)
        return [sorted(seen) for seen in self.seen]

    def close(self):
        for wire in self.sockets:
            wire.close()
