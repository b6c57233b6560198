#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Every forwarding mode counts packets, complains of nothing and loses no mbuf.

On null ports an lcore frees what it took. Between ring ports the mbufs go on to the other port's
lcore, which frees them, and stay in the rings at a stop until rxonly has emptied these.
"""

import tap
from testpmd import NULL_PORTS, RING_PORTS, FULL, Testpmd

MODES = (
    "io",
    "mac",
    "macswap",
    "rxonly",
    "txonly",
    "flowgen",
    "5tswap",
    "icmpecho",
    "noisy",
    "csum",
)
ONLY_RECEIVE = (
    "rxonly",
    "icmpecho",
)  # null ports bring no echo requests; test_packet_contents.py does
ONLY_SEND = ("txonly",)
ICMPECHO_BURST_MAX = (
    255  # with more, the loop over a burst never ends in testpmd 22.11, whatever the handler
)
RING_MODES = ("io", "mac", "macswap", "5tswap", "noisy", "csum", "flowgen")
RING_PACKETS = 200000 if FULL else 5000
RING_HOLDS = 1023


def require_counts(mode, totals):
    """Both ports received and sent, as far as the mode does."""
    for port, (rx, tx) in totals.ports.items():
        tap.check((rx > 0) == (mode not in ONLY_SEND), f"port {port}: {rx} packets received")
        tap.check((tx > 0) == (mode not in ONLY_RECEIVE), f"port {port}: {tx} packets sent")


def null_ports(cores, burst=32):
    where = f"null ports, {cores} forwarding lcores, bursts of {burst}"
    args = [f"--burst={burst}"]
    with tap.case(f"{where}: start and quit"), Testpmd(
        "modes", NULL_PORTS, cores=cores, args=args
    ) as pmd:
        for mode in MODES:
            if mode == "icmpecho" and burst > ICMPECHO_BURST_MAX:
                continue
            with tap.case(f"{where}: {mode}"):
                run = pmd.forward(mode, count="tx" if mode in ONLY_SEND else "rx")
                tap.check(run.lcores == set(range(1, cores + 1)), f"lcores {run.lcores} forwarded")
                require_counts(mode, run.totals)
                refused = sum(c["rx_nombuf"] for c in pmd.counters((0, 1)).values())
                tap.check(
                    refused == 0,
                    f"{refused} times no mbuf for a packet, though the pool has plenty",
                )
                pmd.require_idle()
        pmd.quit()


def drain(pmd):
    """Take what the rings hold; start receives and frees it before it forwards."""
    with pmd.forwarding("rxonly"):
        pass


def ring_ports(cores):
    where = f"ring ports, {cores} forwarding lcores"
    with tap.case(f"{where}: start and quit"), Testpmd("rings", RING_PORTS, cores=cores) as pmd:
        for mode in RING_MODES:
            with tap.case(f"{where}: {mode}"):
                run = pmd.forward(mode, RING_PACKETS, how="tx_first 4")
                require_counts(mode, run.totals)
                drain(pmd)
                pmd.require_idle()
        with tap.case(f"{where}: txonly fills the rings, rxonly empties them"):
            run = pmd.forward("txonly", RING_HOLDS, count="tx")
            held = pmd.missing()
            tap.check(held == run.totals.tx == 2 * RING_HOLDS, f"sent {run.totals.tx}, held {held}")
            drain(pmd)
            pmd.require_idle()
        pmd.quit()


for number in (1, 2):
    null_ports(number)
    ring_ports(number)
for burst in (1, 8, 64, 512) if FULL else (1, 512):
    null_ports(2, burst)
tap.finish()
