# SPDX-License-Identifier: BSD-3-Clause
"""Runs testpmd on the magazine driver, beside a second one on another handler, and compares.

forward.sh starts this: it has seen to packages, the build and hugepages, and cleans up afterwards. Both
testpmds live for the whole run and forward in turn, in short rounds, so that what disturbs the machine
disturbs both; the ratio is the median of the ratios of the pairs of rounds.
"""

import argparse
import contextlib
import errno
import json
import os
import pty
import re
import select
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import time
import traceback

import patience
import testpmd_words

OPS = "magazine"
PROMPT = b"testpmd> "
ROUND_SECONDS = 0.44  # with start and stop, a round of each takes a second
START_SECONDS = 60  # these two for an idle machine
COMMAND_SECONDS = 20
RUNTIME = "/var/run/dpdk"
MODES = ("io", "mac", "macswap", "flowgen", "rxonly", "txonly", "csum", "icmpecho", "noisy", "5tswap")

# Limits of testpmd and rte_mempool.
MBUFS_MIN = 1025
MBUFS_MAX = 1 << 22
MBCACHE_MAX = 512
BURST_MAX = 512
LCORES_MAX = 64

# An mbuf of testpmd with its mempool header, the ring or bufctl that goes with it, and room to spare.
MBUF_BYTES = 2900
PROCESS_MB = 64

EPILOG = """\
examples:
  app/forward.sh                                  two null ports, magazine beside ring_mp_mc
  app/forward.sh --seconds 60 --mbcache 0         without rte_mempool's own caches
  app/forward.sh --options rounds=62,interval=1   options of the driver
  app/forward.sh --vdev net_null0,size=1500 --vdev net_null1,size=1500 --forward-mode macswap --lcores 2

Exit status: 0 all is well; 1 testpmd failed, no packet moved in some round, or an mbuf is missing at the end;
2 bad options, or the machine lacks something; 130 interrupted (Ctrl-C ends the run early and still shows the
table), 129 or 143 the same by SIGHUP or SIGTERM."""


class Failure(Exception):
    """What went wrong, in one sentence for the user."""


class Interrupted(Exception):
    """Ctrl-C or SIGTERM."""


def unforeseen(error):
    """In one sentence: an error of the system as it is, a fault of ours with its place."""
    if isinstance(error, OSError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return (
        f"{type(error).__name__} '{error}' at {os.path.basename(place.filename)}:{place.lineno}: a fault of this script; "
        "please report it with the options that it was given"
    )


# What testpmd says when it does not start, and what to do about it.
HINTS = (
    (rb"(?m)^magazine: (.*)$", "magazine says: {0}"),
    (
        rb'failed to parse device "([^"]+)',
        "--vdev {0}: no driver of that name, or not installed; 'apt-cache search librte-net' lists Debian's",
    ),
    (
        rb"error setting mempool handler",
        "--against {ops}: this DPDK has no such mempool handler; stack is one that it has",
    ),
    (
        rb"Cannot get hugepage information|No free .* hugepages|Cannot allocate memory",
        "too little memory; fewer --mbufs, or --no-huge",
    ),
)

# Options


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
        raise argparse.ArgumentTypeError(f"{text}: must be another mempool handler, as ring_mp_mc or stack")
    return text


def output_file(text):
    folder = os.path.dirname(os.path.abspath(text))
    if os.path.isdir(text) or not os.path.isdir(folder) or not os.access(folder, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text}: cannot be written; name a file in a folder that is there")
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
        description="Forwards packets with the distribution's dpdk-testpmd on the magazine mempool driver,\n"
        "and beside it on ring_mp_mc, and shows which is faster and what the pool did.\n"
        "Needs root. Installs missing packages, builds, reserves hugepages, gives them back.",
        epilog=EPILOG,
    )
    add = parser.add_argument
    add("--seconds", metavar="N", type=number(1, 86400, " seconds"), default=10,
        help="how long to forward, for both handlers together (default: 10)")
    add("--vdev", metavar="NAME[,ARGS]", type=vdev, action="append",
        help="a port, as EAL's --vdev; repeat it (default: net_null0 and net_null1)")
    add("--lcores", metavar="N", type=number(1, LCORES_MAX, " forwarding lcores"), default=1,
        help="forwarding lcores; a main and a service lcore come on top (default: 1)")
    add("--burst", metavar="N", type=number(1, BURST_MAX, " packets"), default=32,
        help="packets per burst (default: 32)")
    add("--mbufs", metavar="N", type=number(MBUFS_MIN, MBUFS_MAX, " mbufs"), default=32768,
        help="mbufs in the pool (default: 32768)")
    add("--mbcache", metavar="N", type=number(0, MBCACHE_MAX, " mbufs"), default=250,
        help="rte_mempool's own cache per lcore; 0 leaves caching to the driver (default: 250)")
    add("--forward-mode", metavar="MODE", choices=MODES, default="io",
        help="one of " + ", ".join(MODES) + " (default: io)")
    add("--options", metavar="TEXT", type=driver_options,
        help="options of the magazine driver, as in MAGAZINE_OPTIONS: key=value,...")
    add("--against", metavar="OPS", type=handler, default="ring_mp_mc",
        help="the handler to compare with (default: ring_mp_mc)")
    add("--no-compare", action="store_true", help="magazine only")
    add("--no-huge", action="store_true", help="no hugepages, ordinary memory")
    add("--json", metavar="FILE", type=output_file, help="write all figures to FILE as well")
    add("--plan", action="store_true", help=argparse.SUPPRESS)
    return parser


def parse_options(argv):
    parser = option_parser()
    options = parser.parse_args(argv)
    options.vdev = options.vdev or ["net_null0", "net_null1"]
    names = [text.split(",")[0] for text in options.vdev]
    for name in names:
        if names.count(name) > 1:
            parser.error(f"argument --vdev: {name} is given twice; give each port a number of its own")
    if options.mbcache * 3 > options.mbufs * 2:
        parser.error(f"argument --mbcache: {options.mbcache}: must be at most two thirds of --mbufs {options.mbufs}")
    return options


def memory_mb(options):
    """What one process needs."""
    return options.mbufs * MBUF_BYTES // (1 << 20) + PROCESS_MB


def print_plan(options):
    """For forward.sh: the hugepages to reserve."""
    processes = 1 if options.no_compare else 2
    print(0 if options.no_huge else memory_mb(options) * processes)


# testpmd


def lcore_arguments(count):
    """Main lcore 0, forwarding lcores 1 to count, and a service lcore, on the CPUs that we may use.

    testpmd never forwards on its main lcore, so main and service share the first CPU.
    """
    cpus = sorted(os.sched_getaffinity(0))
    workers = cpus[1:] or cpus
    lcores = [f"0@{cpus[0]}"]
    lcores += [f"{1 + i}@{workers[i % len(workers)]}" for i in range(count)]
    lcores.append(f"{count + 1}@{cpus[0]}")
    return ["--lcores", ",".join(lcores), "-S", str(count + 1)]


class Telemetry:
    """DPDK's telemetry socket; a command that is not known gives None.

    An answer of another kind than expected is one sentence to the user.
    """

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(COMMAND_SECONDS)
        try:
            self.socket.connect(path)
            self.length = json.loads(self.socket.recv(4096))["max_output_len"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Failure(f"telemetry {path}: {error}; is this DPDK built without telemetry?") from error

    def ask(self, command, keys=()):
        """The answer; with keys, one that has to be a dictionary with these numbers."""
        try:
            self.socket.settimeout(patience.scaled(COMMAND_SECONDS))
            self.socket.send(command.encode())
            said = self.socket.recv(self.length).decode(errors="replace")
        except OSError as error:
            raise Failure(f"telemetry {self.path}, asked {command}: {error}; did testpmd die?") from error
        try:
            reply = json.loads(said)
        except ValueError:
            reply = None
        answer = reply.get(command.split(",")[0]) if isinstance(reply, dict) else None
        wrong = not isinstance(reply, dict) or (
            keys and not (isinstance(answer, dict) and all(isinstance(answer.get(key), int) for key in keys))
        )
        if wrong:
            expected = f"numbers for {', '.join(keys)}" if keys else "a dictionary"
            raise Failure(
                f"telemetry {self.path}, asked {command}, expected {expected}, and came {testpmd_words.said(said)}"
            )
        return answer

    def ask_list(self, command, otherwise=None):
        """The answer, which has to be a list; of a command that is not known, otherwise."""
        answer = self.ask(command)
        answer = otherwise if answer is None else answer
        if not isinstance(answer, list):
            raise Failure(
                f"telemetry {self.path}, asked {command}, expected a list, and came {testpmd_words.said(repr(answer))}"
            )
        return answer

    def close(self):
        self.socket.close()


class Testpmd:
    """One testpmd process, its console and its telemetry."""

    def __init__(self, options, ops, prefix, plugin, huge):
        self.ops = ops
        self.output = b""
        self.telemetry = None
        self.dump = testpmd_words.MempoolDump(self.run)
        self.runtime = os.path.join(RUNTIME, prefix)
        self.command = self.command_line(options, ops, prefix, plugin, huge)
        environment = dict(os.environ)
        if ops == OPS and options.options:
            environment["MAGAZINE_OPTIONS"] = options.options
        # A terminal for its output, or else the C library holds lines back.
        self.console, terminal = pty.openpty()
        try:
            # Apart from our process group: Ctrl-C is for us, who then end it in order.
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.PIPE, stdout=terminal, stderr=terminal,
                env=environment, start_new_session=True,
            )
        except OSError as error:
            raise Failure(f"cannot run {self.command[0]}: {error.strerror}") from error
        finally:
            os.close(terminal)

    @staticmethod
    def command_line(options, ops, prefix, plugin, huge):
        line = ["dpdk-testpmd", *lcore_arguments(options.lcores), "--no-pci", f"--file-prefix={prefix}"]
        if not huge:
            line += ["--no-huge", "-m", str(memory_mb(options))]
        if ops == OPS:
            line += ["-d", plugin]
        line.append(f"--mbuf-pool-ops-name={ops}")
        for device in options.vdev:
            line.append(f"--vdev={device}")
        line += [
            "--", "-i", f"--total-num-mbufs={options.mbufs}", f"--mbcache={options.mbcache}",
            f"--burst={options.burst}", f"--forward-mode={options.forward_mode}", f"--nb-cores={options.lcores}",
        ]
        # One stream per port and queue, so that every lcore has one.
        queues = -(-options.lcores // len(options.vdev))
        if queues > 1:
            line += [f"--rxq={queues}", f"--txq={queues}"]
        return line

    def read(self, deadline, done):
        """Collects output until done(output), the end of the process, or the deadline."""
        while not done(self.output):
            left = deadline.left()
            if not left:
                return False
            if not select.select([self.console], [], [], left)[0]:
                continue
            try:
                data = os.read(self.console, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            if not data:
                self.process.wait()
                return False
            self.output += data.replace(b"\r\n", b"\n")
        return True

    def last_lines(self, count=15):
        lines = [line for line in self.output.decode(errors="replace").splitlines() if line.strip()]
        return "\n".join("  | " + line for line in lines[-count:])

    def how_it_ended(self):
        status = self.process.poll()
        if status is None:
            return "does not answer"
        return f"died of signal {-status}" if status < 0 else f"ended with status {status}"

    def hint(self):
        for pattern, sentence in HINTS:
            found = re.search(pattern, self.output)
            if found:
                words = [group.decode(errors="replace") for group in found.groups() if group]
                return "\nforward.sh: " + sentence.format(*words, ops=self.ops)
        return ""

    def wait_ready(self):
        if not self.read(patience.Deadline(START_SECONDS), lambda output: PROMPT in output):
            raise Failure(
                f"testpmd on {self.ops} did not start ({self.how_it_ended()}); its last lines:\n"
                f"{self.last_lines()}\nforward.sh: it was run as: {shlex.join(self.command)}{self.hint()}"
            )
        selected = re.search(rb"preferred mempool ops selected: (\S+)", self.output)
        if selected and selected[1].decode() != self.ops:
            raise Failure(f"testpmd made its pool with {selected[1].decode()}, not {self.ops}")
        self.telemetry = Telemetry(os.path.join(self.runtime, "dpdk_telemetry.v2"))
        self.ports = self.telemetry.ask_list("/ethdev/list")
        self.pools = [name for name in self.telemetry.ask_list("/mempool/list") if str(name).startswith("mb_pool_")]
        if not self.ports:
            raise Failure(f"testpmd on {self.ops} has no ports; choose others with --vdev")
        if not self.pools:
            raise Failure(f"testpmd on {self.ops} has no pool named mb_pool_..., which holds its mbufs")

    def run(self, command):
        """One console command; its output."""
        self.output = b""
        try:
            self.process.stdin.write(command.encode() + b"\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        if not self.read(patience.Deadline(COMMAND_SECONDS), lambda output: PROMPT in output):
            raise Failure(
                f"testpmd on {self.ops}, told '{command}', {self.how_it_ended()}; its last lines:\n"
                f"{self.last_lines()}"
            )
        return self.output.decode(errors="replace")

    def packets(self):
        """Time, received and sent so far; the quickest of a few answers, as its time is the surest."""
        best = None
        for _ in range(5):
            begin = time.monotonic()
            stats = [self.telemetry.ask(f"/ethdev/stats,{port}", ("ipackets", "opackets")) for port in self.ports]
            took = time.monotonic() - begin
            if best is None or took < best[0]:
                received = sum(port["ipackets"] for port in stats)
                best = (took, begin + took / 2, received, sum(port["opackets"] for port in stats))
            if best[0] < 0.001:
                break
        return best[1:]

    def pool_state(self):
        """Of all pools together: mbufs, free in the handler, free in rte_mempool's caches."""
        size = common = cached = 0
        for pool in self.pools:
            try:
                asked, text = self.dump.ask(pool)
                size += testpmd_words.number(asked, text, "size")
                common += testpmd_words.number(asked, text, "common_pool_count")
                cached += testpmd_words.number(asked, text, "total_cache_count", otherwise=0)
            except testpmd_words.Unexpected as wrong:
                raise Failure(f"testpmd on {self.ops}, {wrong}") from wrong
        return {"mbufs": size, "in_handler": common, "in_mempool_caches": cached, "free": common + cached}

    def caches(self):
        """The magazine driver's own statistics of each pool, if it is there and tells them."""
        result = []
        for name in self.telemetry.ask_list("/magazine/list", otherwise=[]):
            stats = self.telemetry.ask(f"/magazine/stats,{name}", ("rounds", "free"))
            lcores = self.telemetry.ask(f"/magazine/lcores,{name}") or {}
            try:
                # Columns: telemetry of DPDK 22.11 has no arrays of dictionaries.
                lcores = [dict(zip(lcores, row)) for row in zip(*lcores.values())]
            except (AttributeError, TypeError) as error:
                raise Failure(
                    f"telemetry {self.telemetry.path}, asked /magazine/lcores,{name}, expected columns, and came "
                    f"{testpmd_words.said(repr(lcores))}"
                ) from error
            result.append({"name": name, **stats, "lcores": lcores})
        return result

    def end(self):
        """Quit; by force if need be."""
        if self.telemetry:
            self.telemetry.close()
        with contextlib.suppress(OSError):
            self.process.stdin.write(b"quit\n")
            self.process.stdin.close()
        for stop in (lambda: None, self.process.terminate, self.process.kill):
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired, OSError):
                # Its output has to be read, or it cannot end.
                self.read(patience.Deadline(5), lambda output: False)
                self.process.wait(1)
                break
        with contextlib.suppress(OSError):
            os.close(self.console)
        return self.process.returncode


# Measuring


class Screen:
    """The live line: rewritten in place on a terminal, a line each time elsewhere."""

    def __init__(self):
        self.tty = sys.stdout.isatty()

    def live(self, text):
        if self.tty:
            sys.stdout.write("\r\033[K" + text)
            sys.stdout.flush()
        else:
            print(text, flush=True)

    def end(self):
        if self.tty:
            print(flush=True)


def millions(value):
    return f"{value / 1e6:.2f} M" if value >= 1e4 else f"{value:.0f}"


def ratio(value):
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


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


def rate(record):
    """What counts as forwarded: what was sent, or received where the mode sends nothing."""
    return record["sent_pps"] or record["received_pps"]


def live_text(elapsed, total, records):
    parts = [f"{min(elapsed, total):4.0f}/{total} s"]
    for record in records:
        parts.append(f"{record['handler']} {millions(rate(record))} packets/s")
    mine = next(record for record in records if record["handler"] == OPS)
    parts.append(f"free {mine['free']:,} of {mine['mbufs']:,}")
    size = "/".join(str(rounds) for rounds in mine["magazine_size"])
    parts.append(f"magazine size {size or 'not told'}")
    return "   ".join(parts)


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


# Report


def summarise(rounds, against):
    result = {"handlers": {}}
    for column in zip(*rounds):
        rates = [rate(record) for record in column]
        result["handlers"][column[0]["handler"]] = {
            "packets_per_second": statistics.median(rates),
            "lowest": min(rates),
            "highest": max(rates),
            "sends": any(record["sent_pps"] for record in column),
        }
    if against:
        ratios = [rate(mine) / rate(other) for mine, other in rounds if rate(other)]
        if ratios:
            result["ratio"] = statistics.median(ratios)
            result["ratio_lowest"] = min(ratios)
            result["ratio_highest"] = max(ratios)
    return result


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  " + "  ".join(cells).rstrip())


def print_rates(summary, options, count):
    handlers = summary["handlers"]
    sends = handlers[OPS]["sends"]
    print(f"\nPackets per second, {'sent' if sends else 'received'}; {count} round{'s' * (count > 1)} of each")
    print_table(
        [["", *handlers]]
        + [
            [label, *(millions(handler[key]) for handler in handlers.values())]
            for label, key in (("median", "packets_per_second"), ("lowest", "lowest"), ("highest", "highest"))
        ]
    )
    if "ratio" in summary:
        print(
            f"  magazine / {options.against}: {ratio(summary['ratio'])} (median of the rounds; "
            f"{ratio(summary['ratio_lowest'])} to {ratio(summary['ratio_highest'])})"
        )


def text(value):
    return f"{value:,}" if isinstance(value, int) else str(value)


CACHE_LINES = (
    ("objects", ("objects", "free", "in_lcores")),
    (
        "magazines",
        ("rounds", "depot_full", "depot_empty", "depot_contention", "resizes", "purges", "reaps"),
    ),
    ("slabs", ("slabs_partial", "slabs_full", "slab_allocs", "slab_frees", "slab_fails")),
    ("steals", ("steals", "steals_denied")),
)
CACHE_WORDS = {
    "objects": "in all", "in_lcores": "with lcores", "rounds": "size", "depot_full": "full in depot",
    "depot_empty": "empty in depot", "depot_contention": "contention", "slabs_partial": "partial",
    "slabs_full": "full", "slab_allocs": "allocations", "slab_frees": "frees", "slab_fails": "failures",
    "steals": "done", "steals_denied": "denied",
}


def print_cache(cache):
    print(f"\nPool {cache['name']}")
    for label, keys in CACHE_LINES:
        told = [f"{CACHE_WORDS.get(key, key)} {text(cache[key])}" for key in keys if key in cache]
        if told:
            print(f"  {label:10} {', '.join(told)}")
    if cache["lcores"]:
        keys = list(cache["lcores"][0])
        print_table([keys] + [[text(lcore.get(key, "")) for key in keys] for lcore in cache["lcores"]])


def check_all_back(pmd):
    """Stops and closes the ports, then counts: every mbuf has to be in the pool."""
    for command in ("port stop all", "port close all"):
        pmd.run(command)
        state = pmd.pool_state()
        if state["free"] == state["mbufs"]:
            break
    return state


def write_json(path, options, summary, rounds, caches, back):
    with open(path, "w", encoding="utf-8") as file:
        json.dump(
            {
                "options": {key: value for key, value in vars(options).items() if key not in ("plan", "json")},
                **summary,
                "rounds": rounds,
                "pools": caches,
                "at_end": back,
            },
            file, indent=2,
        )
        file.write("\n")


# The run


class Signals:
    """Ctrl-C and its like: end the start at once, the measurement after the round that is under way."""

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


def check_memory(options, needed):
    with open("/proc/meminfo", encoding="ascii") as file:
        found = re.search(r"MemAvailable: *([0-9]+) kB", file.read())
    if not found:
        return
    available = int(found[1]) // 1024
    if needed > available * 3 // 4:
        raise Failure(
            f"--mbufs {options.mbufs}: that takes {needed} MB, too much for this machine, which has "
            f"{available} MB available; ask for fewer, or try --no-compare"
        )


def start_all(options, pmds):
    plugin, prefix, huge = (os.environ.get(f) for f in ("FORWARD_PLUGIN", "MAGAZINE_FILE_PREFIX", "MAGAZINE_HUGE"))
    if plugin is None or prefix is None:
        raise Failure("this part sees to nothing of the machine; run app/forward.sh, which starts it")
    huge = huge == "1"
    handlers = [OPS] if options.no_compare else [OPS, options.against]
    if not huge:
        check_memory(options, memory_mb(options) * len(handlers))
    for index, ops in enumerate(handlers):
        pmds.append(Testpmd(options, ops, f"{prefix}-{index}", plugin, huge))
    for pmd in pmds:
        pmd.wait_ready()


def introduce(options, pmds):
    cpus = len(os.sched_getaffinity(0))
    shared = "" if options.lcores < cpus else f" (more lcores than the {cpus} CPU{'s' * (cpus > 1)}: they share)"
    print(
        f"forward.sh: {' and '.join(pmd.ops for pmd in pmds)}, {options.forward_mode}, ports "
        f"{' '.join(name.split(',')[0] for name in options.vdev)}, {options.lcores} forwarding "
        f"lcore{'s' * (options.lcores > 1)} and a service lcore{shared}, {options.mbufs:,} mbufs, "
        f"cache {options.mbcache}, burst {options.burst}", flush=True,
    )


def report(options, pmds, rounds):
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
                f"{pmd.ops}: {state['mbufs'] - state['free']:,} of {state['mbufs']:,} mbufs are MISSING "
                f"({state['in_handler']:,} in the handler, {state['in_mempool_caches']:,} in rte_mempool's caches)"
            )
    if not all(rate(record) for records in rounds for record in records):
        status = 1
        print(f"no packet moved in some rounds; do the ports support forward mode {options.forward_mode}?")
    if options.json:
        write_json(options.json, options, summary, rounds, caches, back)
        print(f"figures written to {options.json}")
    return status


def forward(options, pmds):
    start_all(options, pmds)
    introduce(options, pmds)
    Signals.deferred = True
    rounds = measure(pmds, options.seconds)
    if Signals.came:
        print("forward.sh: interrupted", flush=True)
    status = report(options, pmds, rounds) if rounds else 0
    return status or (130 if Signals.came else 0)


def main():
    options = parse_options(sys.argv[1:])
    if options.plan:
        print_plan(options)
        return 0
    pmds = []
    Signals.catch()
    try:
        status = forward(options, pmds)
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
    finally:
        Signals.deferred = True
        ended = [(pmd, pmd.end()) for pmd in pmds]
    for pmd, result in ended:
        if result != 0 and status == 0:
            print(f"forward.sh: testpmd on {pmd.ops} {pmd.how_it_ended()} at the end", file=sys.stderr)
            status = 1
    return status


if __name__ == "__main__":
    sys.exit(main())
