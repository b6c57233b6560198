#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Packets from one testpmd to another and back, through memif and through vhost with virtio-user:
a file goes in, and comes out the same.

    first: pcap port <-> memif or vhost       second: memif or virtio-user

First with the default handler: what it does not do either is skipped.
"""

import packets
import tap
import testpmd
from testpmd import FULL, HUGE, StartRefused, Testpmd, wait_for, work_dir

DEFAULT_HANDLER = "ring_mp_mc"
FOLDER = work_dir()
SOURCE, SINK, SOCKET = FOLDER / "in.pcap", FOLDER / "out.pcap", FOLDER / "socket"
COUNT = 20000 if FULL else 3000
PCAP = f"net_pcap0,rx_pcap={SOURCE},tx_pcap={SINK}"
MEMIF = f"net_memif0,socket={SOCKET},socket-abstract=no"
# The port of each. The second one shares its memory, for which one file is enough. memif with
# zero-copy is not here: its closed ports leave mbufs behind, with the default handler too.
KINDS = {
    "memif": (f"{MEMIF},role=server", f"{MEMIF},role=client"),
    "vhost and virtio-user": (f"net_vhost0,iface={SOCKET}", f"net_virtio_user0,path={SOCKET}"),
}
ONE_FILE = ["--single-file-segments"]
RUNS = (
    (None, {}),
    ("guard=1", {}),
    ("cache=0", {}),
    (None, {"mbcache": 0}),
)


def forward(pmd):
    """Nothing is dropped because the other one is slower."""
    pmd.command("set burst tx delay 10 retry 1000000")
    answer = pmd.command("set fwd io retry")
    tap.check("with retry" in answer, f"set fwd io retry: {answer}")
    pmd.start()


def there_and_back(kind, ops, options, more):
    """The file comes back as it was, and every mbuf of either process."""
    SOCKET.unlink(missing_ok=True)
    SINK.unlink(missing_ok=True)
    frames = packets.flows(COUNT, 400)
    packets.write_pcap(SOURCE, frames)
    first, second = KINDS[kind]
    how = {"ops": ops, "options": options, **more}
    with Testpmd("first", [PCAP, first], args=["--no-flush-rx"], **how) as a, Testpmd(
        "second", [second], args=["--port-topology=loop"], eal=ONE_FILE, **how
    ) as b:
        for pmd, port in ((a, 1), (b, 0)):
            wait_for(
                lambda: pmd.telemetry(f"/ethdev/link_status,{port}")["status"] == "UP",
                30,
                "they are connected",
            )
        before = a.counters((0,))
        forward(b)
        forward(a)
        a.wait_packets(before, COUNT, "tx", kind)
        for pmd in (a, b):
            pmd.stop()
        for pmd in (b, a):
            pmd.stop_ports()
            pmd.close_ports()
            pmd.require_idle()
        for pmd in (b, a):
            pmd.quit()
    tap.check(packets.read_pcap(SINK) == frames, "other packets came back than were sent")


for name in KINDS:
    works = False
    with tap.case(f"{name}, {DEFAULT_HANDLER}"):
        if not HUGE:
            raise tap.Skip("memory is shared by hugepages, and there are none")
        try:
            there_and_back(name, DEFAULT_HANDLER, None, {})
        except StartRefused as refused:
            why = "; ".join(str(refused).splitlines()[-4:])
            raise tap.Skip(f"not with {DEFAULT_HANDLER} either: {why}") from None
        works = True
    for text, changes in RUNS if FULL else RUNS[:2]:
        words = f"{text or 'no options'}{', mempool cache 0' if changes else ''}"
        with tap.case(f"{name}, {testpmd.OPS}, {words}"):
            if not works:
                raise tap.Skip(f"not with {DEFAULT_HANDLER} either")
            there_and_back(name, testpmd.OPS, text, changes)
tap.finish()
