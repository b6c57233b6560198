#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Ports whose driver reads and writes rte_mempool's caches itself, as vector drivers do: forwarding
as with the default handler, no refill refused that should not be, and every mbuf back.
"""

import os
import pathlib

import tap
import testpmd
from testpmd import FULL, NULL_PORTS, ROOT, Testpmd

LIBRARY = pathlib.Path(os.environ.get("MAGAZINE_BUILD", ROOT / "build")) / "test/libvector_ports.so"
DEFAULT_HANDLER = "ring_mp_mc"
# Descriptors of both ports, caches of all lcores at their largest, and a refill of each.
MBUFS = 4500
OPTIONS = (None, "cache=0", "cache=8", "cache=512", "guard=1", "rounds=14")
MODES = ("io", "macswap", "rxonly", "txonly") if FULL else ("io", "rxonly", "txonly")


def vector_ports(ops, cache, options):
    with Testpmd(
        "vector", NULL_PORTS, 2, True, MBUFS, cache, ops=ops, options=options, preload=LIBRARY
    ) as pmd:
        for mode in MODES:
            pmd.forward(mode, count="tx" if mode == "txonly" else "rx")
        counters = pmd.counters((0, 1))
        tap.check(all(c["oerrors"] == 0 for c in counters.values()), f"{counters}")
        tap.check(pmd.missing() > 0, "the ports keep no mbufs: they are not those meant")
        pmd.stop_ports()
        pmd.require_idle()
        pmd.start_ports()
        pmd.forward("io")
        pmd.stop_ports()
        pmd.close_ports()
        pmd.require_idle()
        pmd.quit()


for size in (0, 250, 512) if FULL else (0, 250):
    with tap.case(f"{DEFAULT_HANDLER}, mempool cache {size}"):
        vector_ports(DEFAULT_HANDLER, size, None)
    for text in OPTIONS if size else OPTIONS[:1]:
        with tap.case(f"{text or 'no options'}, mempool cache {size}"):
            vector_ports(testpmd.OPS, size, text)
tap.finish()
