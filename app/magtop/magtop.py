#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The mempools of a running DPDK process, like top."""

import sys

sys.dont_write_bytecode = True

import argparse  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402

import telemetry  # noqa: E402
import words  # noqa: E402
from pools import PLACES, Process  # noqa: E402

BAR_WIDTH = 20


def seconds(text):
    """An interval."""
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0.1 <= value <= 3600:
        raise argparse.ArgumentTypeError(f"{text}: must be 0.1 to 3600 seconds")
    return value


def options():
    """Of the command line."""
    parser = argparse.ArgumentParser(
        prog="magtop",
        description="Pools of a running DPDK process: rates, where the objects are, events.",
        epilog="On the screen h shows the keys. All figures come by DPDK's telemetry.",
    )
    parser.add_argument("-f", "--file-prefix", default="rte", help="of the process (default: rte)")
    parser.add_argument(
        "-i",
        "--instance",
        type=int,
        default=0,
        metavar="N",
        help="of several processes of one prefix, with --in-memory (default: 0)",
    )
    parser.add_argument(
        "-d",
        "--interval",
        type=seconds,
        default=1.0,
        metavar="SECONDS",
        help="between two looks (default: 1)",
    )
    parser.add_argument(
        "-s",
        "--sort",
        choices=sorted(words.SORTS),
        default="o",
        help="by name, size, out, gets, puts, failed (default: o)",
    )
    parser.add_argument(
        "pools", nargs="*", metavar="POOL", help="with --once, --json and --advise: these alone"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--once", action="store_true", help="print the pools once")
    what.add_argument(
        "--json", action="store_true", help="the same as JSON, with lcores and events"
    )
    what.add_argument(
        "--advise", action="store_true", help="how large each pool has to be, and why"
    )
    return parser.parse_args()


def chosen(pools, names):
    """Those that were named; exits where one is not there."""
    missing = set(names) - {pool["name"] for pool in pools}
    if missing:
        have = ", ".join(pool["name"] for pool in pools) or "none"
        sys.exit(f"magtop: pool {sorted(missing)[0]}: not there; pools are: {have}")
    return [pool for pool in pools if not names or pool["name"] in names]


def look_twice(process, interval):
    """Rates need two looks."""
    process.look()
    time.sleep(interval)
    return process.look()


def print_once(process, pools):
    """Tables."""
    print(words.heading() + " WHERE (o out, l lcores, d depot, s slabs, c mempool's caches)")
    for pool in pools:
        print(f"{words.row(pool)} {words.bar_text(pool, PLACES, BAR_WIDTH)}".rstrip())
    names = {pool["name"] for pool in pools}
    for event in process.events:
        if event["pool"] in names:
            print(words.event(event))


def print_json(process, pools):
    """All that is known."""
    names = {pool["name"] for pool in pools}
    for pool in pools:
        if pool["kind"] != "other":
            pool.update(process.details(pool["name"]))
    document = {
        "pid": process.line.pid,
        "version": process.line.version,
        "pools": pools,
        "events": [event for event in process.events if event["pool"] in names],
    }
    json.dump(document, sys.stdout, indent=1)
    print()


def print_advice(process, pools):
    """A paragraph a pool."""
    for pool in pools:
        if pool["kind"] == "other":
            print(f"{pool['name']}: of another handler, which tells nothing to go by")
            continue
        advice = process.advice(pool["name"])
        if "error" in advice:
            print(f"{pool['name']}: {advice['error']}")
            continue
        print(f"{pool['name']}: {advice['objects']} objects now; advised: {advice['advised']}")
        for reason in advice["why"]:
            print(f"  {reason}")


def main():
    """One of the modes; 1 where there is nobody to ask."""
    args = options()
    process = Process(telemetry.socket_path(args.file_prefix, args.instance))
    if not (args.once or args.json or args.advise):
        if not (sys.stdin.isatty() and sys.stdout.isatty()):
            sys.exit("magtop: no terminal: use --once or --json")
        os.environ.setdefault("ESCDELAY", "25")
        import curses  # not needed for the rest

        import screen

        try:
            curses.wrapper(screen.run, process, args.interval, args.sort)
        except curses.error as error:
            sys.exit(f"magtop: TERM={os.environ.get('TERM', '')}: {error}: use --once")
        return
    try:
        pools = process.look() if args.advise else look_twice(process, args.interval)
        pools = words.sort(chosen(pools, args.pools), args.sort)
        if args.advise:
            print_advice(process, pools)
        elif args.json:
            print_json(process, pools)
        else:
            print_once(process, pools)
    except telemetry.Lost as lost:
        sys.exit(f"magtop: {lost}")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
