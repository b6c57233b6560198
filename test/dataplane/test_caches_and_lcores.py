#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Mempool caches of 0, 250 and 512 mbufs, on 1 and 2 forwarding lcores, with and without a service
lcore.
"""

import itertools

import tap
from testpmd import NULL_PORTS, FULL, Testpmd

MODES = ("io", "rxonly", "txonly", "flowgen", "macswap") if FULL else ("io", "flowgen")
MEMORY = ("native", "xmem", "xbuf") if FULL else ("native",)
BURSTS = (1, 32, 512) if FULL else (32,)

for memory, burst, cache, cores, service in itertools.product(
    MEMORY, BURSTS, (0, 250, 512), (1, 2), (False, True)
):
    name = (
        f"mempool cache {cache}, {cores} forwarding lcores{', a service lcore' if service else ''}"
    )
    name += f", {memory} memory, bursts of {burst}" if FULL else ""
    args = [f"--mp-alloc={memory}", f"--burst={burst}"]
    with tap.case(name), Testpmd(
        "lcores", NULL_PORTS, cores, service, mbcache=cache, args=args
    ) as pmd:
        tap.check(
            all(pool.cache_size == cache for pool in pmd.pools()), f"other cache size than {cache}"
        )
        for mode in MODES:
            run = pmd.forward(mode, count="tx" if mode == "txonly" else "rx")
            tap.check(
                run.lcores == set(range(1, cores + 1)), f"{mode}: lcores {run.lcores} forwarded"
            )
            tap.check(run.totals.rx + run.totals.tx > 0, f"{mode}: no packets")
            pmd.require_idle()
        pmd.stop_ports()
        pmd.close_ports()
        pmd.require_idle()
        pmd.quit()
tap.finish()
