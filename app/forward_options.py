# SPDX-License-Identifier: BSD-3-Clause
"""The options of forward.sh, and the memory that a run with them takes."""

import argparse
import os
import re

OPS = "magazine"
MODES = (
    "io",
    "mac",
    "macswap",
    "flowgen",
    "rxonly",
    "txonly",
    "csum",
    "icmpecho",
    "noisy",
    "5tswap",
)

# Limits of testpmd and rte_mempool.
MBUFS_MIN = 1025
MBUFS_MAX = 1 << 22
MBCACHE_MAX = 512
BURST_MAX = 512
LCORES_MAX = 64

# An mbuf of testpmd with its mempool header, the ring or bufctl that goes with it, and room to
# spare.
MBUF_BYTES = 2900
PROCESS_MB = 64

EPILOG = """\
examples:
  app/forward.sh                                  two null ports, magazine beside ring_mp_mc
  app/forward.sh --seconds 60 --throughput-only   longer, without the demonstration
  app/forward.sh --options rounds=62,interval=1   options of the driver
  app/forward.sh --vdev net_null0,size=1500 --vdev net_null1,size=1500 --forward-mode macswap \\
      --lcores 2                                  longer packets, two lcores

Exit status: 0 all is well; 1 testpmd failed, no packet moved in some round, an mbuf is missing at
the end, or magazine refused an mbuf that it had; 2 bad options, or the machine lacks something; 130
interrupted (Ctrl-C ends the run early and still shows the table), 129 or 143 the same by SIGHUP or
SIGTERM."""


def number(low, high, what):
    def parse(text):
        try:
            value = int(text, 10)
        except ValueError:
            value = None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text}: must be {low} to {high}{what}")
        return value

    return parse


def vdev(text):
    if not re.fullmatch(r"[a-z][a-z0-9_]*[0-9][^\s]*", text):
        raise argparse.ArgumentTypeError(
            f"{text}: must be a driver's name and a number, and arguments after a comma, as in "
            "net_null0 or net_tap0,iface=tap0"
        )
    return text


def driver_options(text):
    for pair in text.split(","):
        if not re.fullmatch(r"[a-z_]+=[^=\s]+", pair):
            raise argparse.ArgumentTypeError(
                f"{text}: '{pair}' is not key=value; write for example rounds=62,interval=11"
            )
    return text


def handler(text):
    if not re.fullmatch(r"[a-z0-9_]{1,31}", text) or text == OPS:
        raise argparse.ArgumentTypeError(
            f"{text}: must be another mempool handler, as ring_mp_mc or stack"
        )
    return text


def output_file(text):
    folder = os.path.dirname(os.path.abspath(text))
    if os.path.isdir(text) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(
            f"{text}: cannot be written; name a file in a folder that is there"
        )
    return text


class Parser(argparse.ArgumentParser):
    """Options are written out: the scripts look for some of them, too."""

    def __init__(self, **settings):
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message):
        self.exit(2, f"{self.prog}: {message} (see --help)\n")


def option_parser():
    parser = Parser(
        prog="forward.sh",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Forwards packets with the distribution's dpdk-testpmd on the magazine mempool "
        "driver,\n"
        "and beside it on ring_mp_mc, and shows which is faster and what the pool did. Then it\n"
        "demonstrates the last mbuf: what one lcore can get when the caches of others are full.\n"
        "Needs root. Installs missing packages, builds, reserves hugepages, gives them back.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add(
        "--seconds",
        metavar="N",
        type=number(1, 86400, " seconds"),
        default=10,
        help="how long to forward, for both handlers together (default: 10)",
    )
    add(
        "--vdev",
        metavar="NAME[,ARGS]",
        type=vdev,
        action="append",
        help="a port, as EAL's --vdev; repeat it (default: net_null0 and net_null1)",
    )
    add(
        "--lcores",
        metavar="N",
        type=number(1, LCORES_MAX, " forwarding lcores"),
        default=1,
        help="forwarding lcores; a main and a service lcore come on top (default: 1)",
    )
    add(
        "--burst",
        metavar="N",
        type=number(1, BURST_MAX, " packets"),
        default=32,
        help="packets per burst (default: 32)",
    )
    add(
        "--mbufs",
        metavar="N",
        type=number(MBUFS_MIN, MBUFS_MAX, " mbufs"),
        default=32768,
        help="mbufs in the pool (default: 32768)",
    )
    add(
        "--mbcache",
        metavar="N",
        type=number(0, MBCACHE_MAX, " mbufs"),
        default=250,
        help="rte_mempool's own cache per lcore that testpmd asks for (default: 250)",
    )
    add(
        "--forward-mode",
        metavar="MODE",
        choices=MODES,
        default="io",
        help="one of " + ", ".join(MODES) + " (default: io)",
    )
    add(
        "--options",
        metavar="TEXT",
        type=driver_options,
        default="cache=32",
        help="options of the magazine driver, as in MAGAZINE_OPTIONS: key=value,... (default: "
        "cache=32, small mempool caches instead of those of --mbcache)",
    )
    add(
        "--against",
        metavar="OPS",
        type=handler,
        default="ring_mp_mc",
        help="the handler to compare with (default: ring_mp_mc)",
    )
    add("--no-compare", action="store_true", help="magazine only")
    add(
        "--throughput-only",
        action="store_true",
        help="without the demonstration; its ports, lcores, mbufs and options are its own",
    )
    add("--no-huge", action="store_true", help="no hugepages, ordinary memory")
    add("--json", metavar="FILE", type=output_file, help="write all figures to FILE as well")
    add("--plan", action="store_true", help=argparse.SUPPRESS)
    return parser


def parse_options(argv):
    parser = option_parser()
    options = parser.parse_args(argv)
    options.vdev = options.vdev or ["net_null0", "net_null1"]
    options.more = []
    names = [text.split(",")[0] for text in options.vdev]
    for name in names:
        if names.count(name) > 1:
            parser.error(
                f"argument --vdev: {name} is given twice; give each port a number of its own"
            )
    if options.mbcache * 3 > options.mbufs * 2:
        parser.error(
            f"argument --mbcache: {options.mbcache}: must be at most two thirds of --mbufs "
            f"{options.mbufs}"
        )
    return options


def memory_mb(options):
    """What one process needs."""
    return options.mbufs * MBUF_BYTES // (1 << 20) + PROCESS_MB


def print_plan(*runs):
    """For forward.sh: the hugepages to reserve for the largest of the runs, which are lists of
    testpmds.
    """
    most = max(sum(memory_mb(options) for options, _ in parts) for parts in runs)
    print(0 if runs[0][0][0].no_huge else most)
