#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Each option of the driver under traffic, given by MAGAZINE_OPTIONS, and bad ones refused with a
sentence.
"""

import tap
import testpmd
from testpmd import RING_PORTS, FULL, StartRefused, Testpmd

GOOD = (
    "rounds=14",
    "rounds=510",
    "visit=0",
    "magazines=0",
    "block=64",
    "interval=10ms",
    "rounds=14,visit=0,interval=10ms",
    "check=1,interval=10ms",
)
BAD = (("rounds=7", "rounds=7"), ("colour=red", "colour=red"), ("interval=0", "interval=0"))
CACHES = (0, 250, 512) if FULL else (0, 250)
MODES = ("io", "flowgen", "macswap") if FULL else ("io", "flowgen")
RING_PACKETS = 200000 if FULL else 5000


def ours():
    if testpmd.OPS != "magazine":
        raise tap.Skip(f"options are the driver's, and this run is on {testpmd.OPS}")


for options in GOOD:
    for cache in CACHES:
        with tap.case(f"{options}, mempool cache {cache}"):
            ours()
            with Testpmd("options", RING_PORTS, 2, True, mbcache=cache, options=options) as pmd:
                for mode in MODES:
                    run = pmd.forward(mode, RING_PACKETS, how="tx_first 4")
                    tap.check(run.totals.rx > 0 and run.totals.tx > 0, f"{mode}: {run.totals}")
                    with pmd.forwarding("rxonly"):
                        pass
                    pmd.require_idle()
                pmd.quit()

for options, named in BAD:
    with tap.case(f"{options} is refused, by name"):
        ours()
        try:
            with Testpmd("options", RING_PORTS, options=options):
                raise tap.Failure("testpmd started")
        except StartRefused as refused:
            tap.check(named in str(refused).replace(f"MAGAZINE_OPTIONS={options}", ""), refused)
            tap.check("must be" in str(refused), f"no word on what is allowed\n{refused}")
tap.finish()
