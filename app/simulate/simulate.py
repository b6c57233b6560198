# SPDX-License-Identifier: BSD-3-Clause
"""How mempool handlers do on machines with more cores than this one has: a simulation.

Each handler's get and put are recorded here, instruction by instruction, with as many lcores as are
asked for, which take turns. Then all lcores run what was recorded of them at the same time on a
machine whose caches are simulated: replay.py tells how, machine.py from where the times are. So the
figures are no measurements. doc/performance.md compares some with measured ones.
"""

import argparse
import collections
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "app/simulate"), str(ROOT / "app/bench")]

import plots  # noqa: E402
import recorded  # noqa: E402
from machine import MACHINES  # noqa: E402
from replay import nanoseconds  # noqa: E402

PEERS = "ring_mp_mc/512 ring_mp_mc/0 magazine/0 magazine/512 stack/512 lf_stack/512".split()
LCORES = "1,2,4,8,16,32"
LCORES_MAX = 128
EPILOG = """\
examples:
  app/simulate.sh                                             some minutes
  app/simulate.sh --machine milan --lcores 8,64 --hold 0      get and put of one bulk
  app/simulate.sh --lcores 1,2,4,8,16,32,64,128 --out /tmp/x  with plots; an hour

Exit status: 0; 1 if a handler cannot be recorded; 2 bad options, or the machine lacks something."""


class Failure(Exception):
    """What went wrong, in one sentence for the user."""


def say(text):
    """Progress: one line that is written over."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\033[K" + text)
        sys.stderr.flush()


def number_list(text):
    """Numbers of lcores, in ascending order."""
    words = text.split(",")
    if not all(word.isdecimal() and 1 <= int(word) <= LCORES_MAX for word in words):
        raise argparse.ArgumentTypeError(f"{text}: must be numbers of 1 to {LCORES_MAX}, as in 1,8")
    return sorted({int(word) for word in words})


def work(text):
    """ns, not negative."""
    try:
        if 0 <= (ns := float(text)) < 1e9:
            return ns
    except ValueError:
        pass
    raise argparse.ArgumentTypeError(f"{text}: must be ns, 0 or more")


def read_options():
    parser = argparse.ArgumentParser(
        prog="app/simulate.sh",
        description=__doc__,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--machine", choices=MACHINES, action="append", help="one or more; default: all"
    )
    parser.add_argument(
        "--lcores", type=number_list, default=LCORES, metavar="N,...", help=f"default: {LCORES}"
    )
    parser.add_argument(
        "--hold", type=int, default=1024, metavar="N", help="objects that each gets; default: 1024"
    )
    parser.add_argument("--bulk", type=int, default=32, metavar="N", help="default: 32")
    parser.add_argument(
        "--work",
        type=work,
        default=0,
        metavar="NS",
        help="ns that an lcore does something else with each object; default: 0",
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="FOLDER", help="for plots, if gnuplot is there"
    )
    parser.add_argument("--check", action="store_true", help="only look at the options")
    parser.add_argument(
        "peers", nargs="*", metavar="HANDLER/CACHE", help=f"default: {' '.join(PEERS)}"
    )
    options = parser.parse_args()
    options.machine = [MACHINES[name] for name in options.machine or MACHINES]
    options.peers = options.peers or PEERS
    return options


def record(options, lcores):
    """The peers' sequences with so many lcores."""
    program = pathlib.Path(os.environ.get("MAGAZINE_BUILD") or ROOT / "build")
    program /= "app/simulate/record"
    if not program.exists():
        raise Failure(f"{program} is missing: it is built where libcapstone-dev is, on x86-64")
    command = [program, "--lcores", lcores, "--hold", options.hold, "--bulk", options.bulk]
    if os.environ.get("MAGAZINE_PLUGIN"):
        command += ["--plugin", os.environ["MAGAZINE_PLUGIN"]]
    command = [str(word) for word in command + options.peers]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        peers = recorded.parse(process.stdout)
        errors = process.stderr.read()
    if process.returncode != 0:
        raise Failure(f"{' '.join(command)}: {errors.strip() or process.returncode}")
    return peers


def simulate(options):
    """ns of an object, by machine, peer and number of lcores."""
    found = collections.defaultdict(dict)
    counts = [n for n in options.lcores if n <= max(of.cores for of in options.machine)]
    for lcores in counts:
        say(f"recording with {lcores} lcores, of {', '.join(map(str, counts))}")
        for peer in record(options, lcores):
            for machine in options.machine:
                if lcores > machine.cores:
                    continue
                say(f"simulating {peer.name} with {lcores} lcores on {machine.name}")
                found[machine.name, peer.name][lcores] = nanoseconds(peer, machine, options.work)
    say("")
    return found


def table(options, machine, found):
    """Lines of a table in Markdown."""
    counts = [n for n in options.lcores if n <= machine.cores]
    held = f"{options.hold} objects held" if options.hold > options.bulk else "get + put"
    doing = f", {options.work:g} ns of work with each" if options.work else ""
    yield f"{machine.name}: {held}, bulk {options.bulk}{doing}, simulated: ns an object on each"
    yield f"lcore, and multiples of {options.peers[0]}"
    yield ""
    yield "| lcores | " + " | ".join(map(str, counts)) + " |"
    yield "|---" * (len(counts) + 1) + "|"
    for peer in options.peers:
        cells = [
            f"{found[machine.name, peer][n]:.2f} "
            f"({found[machine.name, peer][n] / found[machine.name, options.peers[0]][n]:.2f})"
            for n in counts
        ]
        yield f"| {peer} | " + " | ".join(cells) + " |"
    yield ""


def plot(options, machine, found):
    """Objects a second of all lcores."""
    rows = {}
    for peer in options.peers:
        handler, cache = peer.split("/")
        for lcores, ns in found[machine.name, peer].items():
            row = rows.setdefault((lcores, plots.BULK), {})
            row[f"{handler}/cache:{cache}"] = {"Mobj_s": lcores * 1000 / ns}
    options.out.mkdir(parents=True, exist_ok=True)
    plots.throughput(f"simulated-{machine.name}-hold-{options.hold}", rows, options.out)


def main():
    options = read_options()
    if options.check:
        return 0
    try:
        found = simulate(options)
    except (Failure, OSError) as error:
        say("")
        print(error, file=sys.stderr)
        return 1
    for machine in options.machine:
        print("\n".join(table(options, machine, found)))
        if options.out and options.bulk == int(plots.BULK):
            plot(options, machine, found)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
