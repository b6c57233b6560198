# SPDX-License-Identifier: BSD-3-Clause
"""Runs testpmd on the magazine driver, beside a second one on another handler, and compares.

forward.sh starts this: it has seen to packages, the build and hugepages, and cleans up afterwards.
Both testpmds live for the whole run and forward in turn, in short rounds, so that what disturbs the
machine disturbs both; the ratio is the median of the ratios of the pairs of rounds. Two others then
run the demonstration of forward_reach.py.
"""

import os
import re
import signal
import sys
import time
import traceback

import forward_reach
from forward_options import OPS, memory_mb, parse_options, print_plan
from forward_report import (
    Screen,
    live_text,
    print_cache,
    print_rates,
    print_reach,
    rate,
    summarise,
    write_json,
)
from testpmd_process import Failure, Testpmd

ROUND_SECONDS = 0.44  # with start and stop, a round of each takes a second


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


def unforeseen(error):
    """In one sentence: an error of the system as it is, a fault of ours with its place."""
    if isinstance(error, OSError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__} '{error}' at {os.path.basename(place.filename)}:{place.lineno}: a "
        "fault of this script; "
        "please report it with the options that it was given"
    )


class Signals:
    """Ctrl-C and its like: end the start at once, the measurement after the round that is under
    way.
    """

    came = False
    deferred = False

    @classmethod
    def handle(cls, *_):
        if not cls.came and not cls.deferred:
            cls.came = True
            raise Interrupted
        cls.came = True

    @classmethod
    def catch(cls):
        # Explicitly: a shell starts what it puts in the background with SIGINT ignored.
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, cls.handle)


def forward_round(pmd, seconds):
    """Forward once; packets per second, and the pool seen on the way."""
    pmd.run("start")
    begin, received, sent = pmd.packets()
    time.sleep(seconds / 2)
    state = pmd.pool_state()
    caches = pmd.caches() if pmd.ops == OPS else []
    left = begin + seconds - time.monotonic()
    if left > 0:
        time.sleep(left)
    end, received_end, sent_end = pmd.packets()
    pmd.run("stop")
    elapsed = end - begin
    return {
        "handler": pmd.ops,
        "seconds": elapsed,
        "received_pps": (received_end - received) / elapsed,
        "sent_pps": (sent_end - sent) / elapsed,
        "free": state["free"],
        "mbufs": state["mbufs"],
        "magazine_size": [cache.get("rounds") for cache in caches],
    }


def measure(pmds, seconds):
    """Forwards in rounds, each handler in its turn, until the time is over or a signal came.

    Who begins changes each time.
    """
    screen = Screen()
    length = ROUND_SECONDS if len(pmds) > 1 else 2 * ROUND_SECONDS
    end = time.monotonic() + seconds
    begin = time.monotonic()
    order = list(pmds)
    rounds = []
    while time.monotonic() < end - length / 2 and not Signals.came:
        records = [forward_round(pmd, length) for pmd in order]
        records.sort(key=lambda record: record["handler"] != OPS)
        rounds.append(records)
        screen.live(live_text(time.monotonic() - begin, seconds, records))
        order.reverse()
    screen.end()
    return rounds


def check_all_back(pmd):
    """Stops and closes the ports, then counts: every mbuf has to be in the pool."""
    for command in ("port stop all", "port close all"):
        pmd.run(command)
        state = pmd.pool_state()
        if state["free"] == state["mbufs"]:
            break
    return state


def check_memory(options, needed):
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.search(r"MemAvailable: *([0-9]+) kB", file.read())
    if not found:
        return
    available = int(found[1]) // 1024
    if needed > available * 3 // 4:
        raise Failure(
            f"--mbufs {options.mbufs}: that takes {needed} MB, too much for this machine, which "
            "has "
            f"{available} MB available; ask for fewer, or try --no-compare"
        )


def parts(options):
    """The testpmds that are compared: options and handler of each."""
    handlers = [OPS] if options.no_compare else [OPS, options.against]
    return [(options, ops) for ops in handlers]


def start_all(wanted, pmds):
    plugin, prefix, huge = (
        os.environ.get(f) for f in ("FORWARD_PLUGIN", "MAGAZINE_FILE_PREFIX", "MAGAZINE_HUGE")
    )
    if plugin is None or prefix is None:
        raise Failure(
            "this part sees to nothing of the machine; run app/forward.sh, which starts it"
        )
    huge = huge == "1"
    if not huge:
        check_memory(wanted[0][0], sum(memory_mb(options) for options, _ in wanted))
    for index, (options, ops) in enumerate(wanted):
        pmds.append(Testpmd(options, ops, f"{prefix}-{index}", plugin, huge))
    for pmd in pmds:
        pmd.wait_ready()


def introduce(options, pmds):
    cpus = len(os.sched_getaffinity(0))
    shared = (
        ""
        if options.lcores < cpus
        else f" (more lcores than the {cpus} CPU{'s' * (cpus > 1)}: they share)"
    )
    print(
        f"forward.sh: {' and '.join(pmd.ops for pmd in pmds)}, {options.forward_mode}, ports "
        f"{' '.join(name.split(',')[0] for name in options.vdev)}, {options.lcores} forwarding "
        f"lcore{'s' * (options.lcores > 1)} and a service lcore{shared}, {options.mbufs:,} mbufs, "
        f"mempool cache {options.mbcache}, burst {options.burst}; {OPS} with {options.options}",
        flush=True,
    )


def report(options, pmds, rounds, figures):
    """Tables, then the count of the mbufs; the exit status."""
    summary = summarise(rounds, len(pmds) > 1)
    print_rates(summary, options, len(rounds))
    caches = pmds[0].caches()
    for cache in caches:
        print_cache(cache)
    if not caches:
        print("\nPool statistics: the driver tells none over telemetry")
    print()
    status = 0
    back = {}
    for pmd in pmds:
        back[pmd.ops] = state = check_all_back(pmd)
        if state["free"] == state["mbufs"]:
            print(f"{pmd.ops}: all {state['mbufs']:,} mbufs are back in the pool")
        else:
            status = 1
            print(
                f"{pmd.ops}: {state['mbufs'] - state['free']:,} of {state['mbufs']:,} mbufs are "
                "MISSING "
                f"({state['in_handler']:,} in the handler, {state['in_mempool_caches']:,} in "
                "rte_mempool's caches)"
            )
    if not all(rate(record) for records in rounds for record in records):
        status = 1
        print(
            "no packet moved in some rounds; do the ports support forward mode "
            f"{options.forward_mode}?"
        )
    figures.update(summary, rounds=rounds, pools=caches, at_end=back)
    return status


def compare(options, pmds, figures):
    introduce(options, pmds)
    Signals.deferred = True
    rounds = measure(pmds, options.seconds)
    if Signals.came:
        print("forward.sh: interrupted", flush=True)
    status = report(options, pmds, rounds, figures) if rounds else 0
    return status or (130 if Signals.came else 0)


def demonstrate(pmds, figures):
    counted = {forward_reach.label(pmd): forward_reach.count(pmd) for pmd in pmds}
    print_reach(counted)
    for name, result in counted.items():
        print(f"  {forward_reach.verdict(name, result)}", flush=True)
    figures["last_mbuf"] = counted
    return 1 if forward_reach.failed(counted) else 0


def with_testpmds(wanted, work):
    """Starts them, does the work and ends them; the exit status."""
    pmds = []
    Signals.deferred = False
    try:
        start_all(wanted, pmds)
        status = work(pmds)
    finally:
        Signals.deferred = True
        ended = [(pmd, pmd.end()) for pmd in pmds]
    for pmd, result in ended:
        if result != 0 and status == 0:
            print(
                f"forward.sh: testpmd on {pmd.ops} {pmd.how_it_ended()} at the end", file=sys.stderr
            )
            status = 1
    return status


def run(options):
    figures = {}
    status = with_testpmds(parts(options), lambda pmds: compare(options, pmds, figures))
    if status == 0 and not Signals.came and not options.throughput_only:
        forward_reach.announce()
        status = with_testpmds(
            forward_reach.parts(options), lambda pmds: demonstrate(pmds, figures)
        )
    if options.json and figures:
        write_json(options, figures)
        print(f"figures written to {options.json}")
    return status or (130 if Signals.came else 0)


def main():
    options = parse_options(sys.argv[1:])
    if options.plan:
        print_plan(parts(options), forward_reach.parts(options))
        return 0
    Signals.catch()
    try:
        status = run(options)
    except Interrupted:
        status = 130
    except BrokenPipeError:
        # Nobody reads any more, as after "| head".
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Failure as failure:
        print(f"forward.sh: {failure}", file=sys.stderr)
        status = 1
    except Exception as error:  # noqa: BLE001 a user sees no traceback
        print(f"forward.sh: {unforeseen(error)}", file=sys.stderr)
        status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
