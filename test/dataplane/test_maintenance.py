#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Update and reap while testpmd forwards: by a service lcore, by the control thread, and asked for
all the time.
"""

import tap
import testpmd
from testpmd import COUNT_SECONDS, NULL_PORTS, RING_PORTS, FULL, Testpmd, wait_for

INTERVAL = "interval=10ms"
UPDATE_SECONDS = 10
UPDATES = 100 if FULL else 10
REAPS = 2000 if FULL else 200


def stats(pmd):
    """The driver's own counters of the only packet pool."""
    (name,) = pmd.pool_names()
    return pmd.telemetry(f"/magazine/stats,{name}")


def ours():
    if testpmd.OPS != "magazine":
        raise tap.Skip(f"maintenance is the driver's, and this run is on {testpmd.OPS}")


def wait_updates(pmd, wanted, when):
    first = stats(pmd)["updates"]
    wait_for(
        lambda: stats(pmd)["updates"] >= first + wanted, UPDATE_SECONDS, f"{wanted} updates {when}"
    )


for service, cache in ((True, 0), (True, 250), (False, 0), (False, 250)):
    who = "a service lcore" if service else "the control thread"
    with tap.case(f"updates by {who}, mempool cache {cache}"):
        ours()
        with Testpmd("updates", NULL_PORTS, 2, service, mbcache=cache, options=INTERVAL) as pmd:
            with pmd.forwarding("flowgen") as run:
                wait_updates(pmd, UPDATES, "while forwarding")
            tap.check(run.totals.rx > 0 and run.totals.tx > 0, f"{run.totals}")
            pmd.require_idle()
            wait_updates(pmd, UPDATES, "while idle")
            pmd.require_idle()
            pmd.quit()

for ports, cache in ((NULL_PORTS, 0), (RING_PORTS, 0), (RING_PORTS, 250)):
    with tap.case(f"reaped all the time, mempool cache {cache}, {ports[0]}"):
        ours()
        with Testpmd("reaped", ports, 2, True, mbcache=cache, options=INTERVAL) as pmd:
            (name,) = pmd.pool_names()
            with pmd.forwarding("flowgen") as run:
                for _ in range(REAPS):
                    pmd.telemetry(f"/magazine/reap,{name}")
            tap.check(run.totals.rx > 0 and run.totals.tx > 0, f"{run.totals}")
            with pmd.forwarding("rxonly"):
                pass
            pmd.require_idle()
            pmd.quit()

with tap.case("the driver's own count of free objects is the pool's"):
    ours()
    with Testpmd("count", NULL_PORTS, 2, mbcache=250) as pmd:
        pmd.forward("io")
        (pool,) = pmd.pools()
        wait_for(
            lambda: stats(pmd)["free"] == pmd.pools()[0].backend, COUNT_SECONDS, "both counts equal"
        )
        tap.check(
            stats(pmd)["objects"] == pool.size,
            f"{stats(pmd)['objects']} objects, pool of {pool.size}",
        )
        pmd.quit()
tap.finish()
