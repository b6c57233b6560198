#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""A pool smaller than the rings behind it: the forwarding lcores get every mbuf, and all of them
come back.

Without a mempool cache nothing may stay out of reach in what the driver keeps for another lcore.
"""

import tap
from testpmd import COUNT_SECONDS, RING_PORTS, FULL, Testpmd, wait_for

ROUNDS = 20 if FULL else 3

for cores, service, mbufs in ((1, False, 1025), (2, False, 1500), (2, True, 2000)):
    with tap.case(
        f"pool of {mbufs}, {cores} forwarding lcores{', a service lcore' if service else ''}"
    ), Testpmd("last", RING_PORTS, cores, service, mbufs=mbufs, mbcache=0) as pmd:
        for _ in range(ROUNDS):
            with pmd.forwarding("txonly") as run:
                wait_for(lambda: pmd.missing() == mbufs, COUNT_SECONDS, f"all {mbufs} mbufs taken")
            held = pmd.missing()
            tap.check(held == run.totals.tx > 0, f"{run.totals.tx} sent, {held} held")
            with pmd.forwarding("rxonly"):
                pass
            pmd.require_idle()
        run = pmd.forward("io", 1000, how="tx_first 1")
        with pmd.forwarding("rxonly"):
            pass
        pmd.require_idle()
        pmd.quit()
tap.finish()
