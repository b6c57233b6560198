#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""testpmd killed in the middle of its work leaves nothing that a new start under the same prefix
minds.
"""

import itertools

import tap
from testpmd import NULL_PORTS, PREFIX, FULL, Testpmd, remove_files_of

KILLS = 20 if FULL else 4
SERVED = f"{PREFIX}-killed"


def killed_while_forwarding(service, mode):
    """Kill -9 between two packets; its files stay, because close() is not called."""
    pmd = Testpmd("killed", NULL_PORTS, 2, service, prefix=SERVED)
    before = pmd.counters((0, 1))
    pmd.pools()
    pmd.set_mode(mode)
    pmd.start()
    pmd.wait_packets(before, 1000)
    pmd.kill()
    tap.check(pmd.process.returncode == -9, f"ended with {pmd.process.returncode}, not by the kill")


try:
    modes, services = itertools.cycle(("io", "flowgen")), itertools.cycle((True, False, False))
    for number, mode, service in zip(range(KILLS), modes, services):
        with tap.case(
            f"kill {number + 1} in {mode}{' with a service lcore' if service else ''}, then a "
            "clean run"
        ):
            killed_while_forwarding(service, mode)
            killed_while_forwarding(service, mode)
            with Testpmd("again", NULL_PORTS, 2, service, prefix=SERVED) as pmd:
                run = pmd.forward(mode)
                tap.check(run.totals.rx > 0 and run.totals.tx > 0, f"{run.totals}")
                pmd.require_idle()
                pmd.quit()
finally:
    remove_files_of(SERVED)
tap.finish()
