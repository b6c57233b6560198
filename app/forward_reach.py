# SPDX-License-Identifier: BSD-3-Clause
"""The demonstration at the end of forward.sh: how many of a pool's free mbufs can one lcore have?

One lcore sends all mbufs that it gets, into ring ports. Then all lcores receive and free them, each
its share, which fills their mempool caches. Then one lcore sends again. Mbufs that lie in the
mempool caches of other lcores are free, but neither ring_mp_mc nor any other handler can have them.
The driver's option cache=N makes these caches as small as wanted, whatever the application asks
for; what lies in the magazines of other lcores can be had.

The result is a count and depends on no clock.
"""

import argparse
import time

import patience
from forward_options import OPS
from testpmd_process import Failure

LCORES = 8
MBUFS = 6000
MBCACHE = 512
CACHES = ("cache=0", "cache=32")
POLL_SECONDS = 0.05
SECONDS = 10  # for an idle machine


def settings(options, driver_options):
    """Options of a testpmd here: what the user said of the machine, and the rest from above."""
    return argparse.Namespace(
        **{
            **vars(options),
            "vdev": ["net_ring0", "net_ring1"],
            "lcores": LCORES,
            "mbufs": MBUFS,
            "mbcache": MBCACHE,
            "burst": 32,
            "forward_mode": "txonly",
            "options": driver_options,
            # Received by the lcores, and not by the main lcore at the start.
            "more": ["--no-flush-rx"],
        }
    )


def parts(options):
    """The testpmds: options and handler of each."""
    mine = [(settings(options, text), OPS) for text in CACHES]
    return mine if options.no_compare else mine + [(settings(options, None), options.against)]


def label(pmd):
    return f"{pmd.ops}, {pmd.options.options}" if pmd.ops == OPS else pmd.ops


def poll(pmd, done):
    """The pool's state, when done(state) holds or, at the latest, in time."""
    deadline = patience.Deadline(SECONDS)
    while True:
        state = pmd.pool_state()
        if done(state) or not deadline.left():
            return state
        time.sleep(POLL_SECONDS)


def forward(pmd, mode, lcores, done):
    for command in (f"set nbcore {lcores}", f"set fwd {mode}", "start"):
        pmd.run(command)
    state = poll(pmd, done)
    pmd.run("stop")
    return state


def taken_by_one(pmd):
    """The pool's state when lcore 1, the first that forwards, has all that it can get: the handler
    has none, nor has the mempool cache of this lcore.
    """
    return forward(
        pmd,
        "txonly",
        1,
        lambda state: state["in_handler"] == 0 and state["in_cache_of"].get(1, 0) == 0,
    )


def free_by_all(pmd):
    state = forward(pmd, "rxonly", LCORES, lambda state: state["free"] == state["mbufs"])
    if state["free"] != state["mbufs"]:
        raise Failure(
            f"testpmd on {pmd.ops}: {state['mbufs'] - state['free']:,} of {state['mbufs']:,} mbufs "
            "did not come back from the ring ports"
        )


def count(pmd):
    first = taken_by_one(pmd)
    free_by_all(pmd)
    again = taken_by_one(pmd)
    free_by_all(pmd)
    return {
        "handler": pmd.ops,
        "options": pmd.options.options,
        "first": first["mbufs"] - first["free"],
        "again": again["mbufs"] - again["free"],
        "out_of_reach": again["free"],
        "refused": first["in_handler"] + again["in_handler"],
    }


def announce():
    print(
        f"\nThe last mbuf: a pool of {MBUFS:,}, {LCORES} lcores, an application with mempool "
        f"caches of {MBCACHE}.\nOne lcore sends all that it can get; all lcores receive and free "
        "that; one lcore sends again.",
        flush=True,
    )


def verdict(name, result):
    if result["refused"] and result["handler"] == OPS:
        return f"{name}: {result['refused']:,} mbufs REFUSED though the driver has them"
    if result["out_of_reach"]:
        return f"{name}: no mbuf for this lcore while {result['out_of_reach']:,} are free"
    return f"{name}: one lcore can have every mbuf"


def failed(counted):
    """magazine alone promises that what it has can be had."""
    return any(result["handler"] == OPS and result["refused"] for result in counted.values())
