#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The checks of the other tests fail when there is something to find: another handler, mbufs out,
complaints.
"""

import tap
import testpmd
from testpmd import NULL_PORTS, RING_PORTS, Testpmd

OTHER = "ring_mp_mc" if testpmd.OPS != "ring_mp_mc" else "stack"


def must_fail(what, call, wanted):
    """call() has to raise Failure with the wanted words."""
    try:
        call()
    except tap.Failure as failure:
        tap.check(wanted in str(failure), f"{what}: failed for another reason\n{failure}")
    else:
        raise tap.Failure(f"{what}: passed")


with tap.case("a pool of another handler is found"), Testpmd("other", NULL_PORTS, ops=OTHER) as pmd:
    pmd.pools()
    pmd.ops = testpmd.OPS
    must_fail("require_all_back", pmd.require_all_back, f"is of the handler '{OTHER}'")

with tap.case("mbufs in a ring are missed until the ring is emptied"), Testpmd(
    "missed", RING_PORTS
) as pmd:
    testpmd.COUNT_SECONDS = 0.5
    pmd.forward("io", 100, how="tx_first 1")
    must_fail("require_all_back", pmd.require_all_back, "64 mbufs are not back")
    with pmd.forwarding("rxonly"):
        pass
    pmd.require_all_back()

with tap.case("mbufs that testpmd loses are missed for ever"), Testpmd(
    "lost", NULL_PORTS, args=["--noisy-tx-sw-buffer-size=64", "--noisy-tx-sw-buffer-flushtime=0"]
) as pmd:
    # 22.11 throws the queue of this mode away at a stop, with the packets in it; a testpmd that
    # does not has none out.
    run = pmd.forward("noisy", 1000)
    lost = run.totals.rx - run.totals.tx
    tap.check(pmd.missing() == lost, f"{pmd.missing()} mbufs missing, testpmd kept {lost}")
    if lost:
        pmd.stop_ports()
        pmd.close_ports()
        must_fail("require_all_back", pmd.require_all_back, f"{lost} mbufs are not back")

with tap.case("a command that is none is a complaint"), Testpmd("complaint", NULL_PORTS) as pmd:
    pmd.require_no_errors()
    pmd.command("no such thing")
    must_fail("require_no_errors", pmd.require_no_errors, "testpmd complained")
    must_fail("quit", pmd.quit, "testpmd complained")

with tap.case("a process that died is found"), Testpmd("died", NULL_PORTS) as pmd:
    pmd.process.kill()
    must_fail("command", lambda: pmd.command("show port summary all"), "")

with tap.case("a refused start is found, with what was said"):
    must_fail("start", lambda: Testpmd("refused", ["net_no_such_driver0"]), "net_no_such_driver0")
tap.finish()
