#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Forwarding and ports stopped, started, closed and made again.

Whoever holds mbufs gives them back, quit is clean, and mbufs that are out at the end are reported.
"""

import packets
import tap
from testpmd import NULL_PORTS, RING_PORTS, FULL, Testpmd, work_dir

CYCLES = 50 if FULL else 5
QUITS = 20 if FULL else 3
FOLDER = work_dir()
SOURCE = FOLDER / "in.pcap"
RING_HOLDS = 1023

with tap.case("start and stop of forwarding, again and again"), Testpmd(
    "cycle", NULL_PORTS, 2, True
) as pmd:
    for _ in range(CYCLES):
        run = pmd.forward("io")
        tap.check(run.totals.rx > 0 and run.totals.tx > 0, f"{run.totals}")
        pmd.require_idle()
    pmd.quit()

with tap.case("start and stop of ports, again and again"), Testpmd("ports", NULL_PORTS, 2) as pmd:
    for _ in range(CYCLES):
        pmd.forward("macswap")
        pmd.stop_ports()
        pmd.require_idle()
        pmd.start_ports()
    pmd.forward("macswap")
    pmd.require_idle()
    pmd.quit()

with tap.case("one port closed, the other goes on, another one is attached"), Testpmd(
    "close", NULL_PORTS
) as pmd:
    pmd.forward("io")
    pmd.stop_ports()
    pmd.command("port close 1")
    pmd.start_ports()
    pmd.forward("io", ports=(0,))
    pmd.require_idle()
    attached = pmd.command("port attach net_null7")
    tap.check("Port 1 is attached" in attached, attached)
    pmd.start_ports()
    pmd.forward("io")
    pmd.require_idle()
    pmd.stop_ports()
    pmd.close_ports()
    pmd.require_idle()
    pmd.quit()

with tap.case("quit while packets flow"), Testpmd("quit", NULL_PORTS, 2, True) as pmd:
    before = pmd.counters((0, 1))
    pmd.set_mode("io")
    pmd.start()
    pmd.wait_packets(before, 1000)
    pmd.pools()
    pmd.quit()

with tap.case("quit while rings hold packets, which the driver reports"), Testpmd(
    "held", RING_PORTS
) as pmd:
    pmd.forward("txonly", RING_HOLDS, count="tx")
    held = pmd.missing()
    tap.check(held == 2 * RING_HOLDS, f"{held} held")
    pmd.quit(held)

with tap.case("mbufs that a port keeps for its receive queue come back when it is closed"):
    frames = packets.flows(200, 100)
    packets.write_pcap(SOURCE, frames)
    with Testpmd(
        "keep", [f"net_pcap0,rx_pcap={SOURCE},infinite_rx=1"], args=["--port-topology=loop"]
    ) as pmd:
        pmd.forward("rxonly", ports=(0,))
        held = pmd.missing()
        tap.check(held == len(frames), f"{held} mbufs held, wanted {len(frames)}")
        pmd.stop_ports()
        pmd.close_ports()
        pmd.require_idle()
        pmd.quit()

# Its interrupt handle stays with EAL's interrupt thread, which rte_eal_cleanup() does not stop in
# 22.11. An alarm that is set then runs without memory: the driver sets none.
with tap.case("EAL ends with a memif port that leaves its interrupt handle behind"):
    for n in range(QUITS):
        with Testpmd(
            f"memif{n}", [f"net_memif0,role=server,socket-abstract=no,socket={FOLDER}/memif"]
        ) as pmd:
            pmd.quit()
tap.finish()
