# SPDX-License-Identifier: BSD-3-Clause
"""testpmd driven through its console, and asked about its pools.

The process runs on a pseudo terminal, so that it prints line by line; its errors come through a
pipe. Every wait ends at a prompt, at a condition or at a deadline. A process is ended by its own
number and takes only the files of its own prefix along; it dies with this script.

Environment:
    MAGAZINE_PLUGIN       path of the driver (default: the one in build/)
    MAGAZINE_TEST_OPS     another handler, without the plugin: is a failure the driver's?
    MAGAZINE_FILE_PREFIX  start of every EAL file prefix; two runs side by side need different ones
    MAGAZINE_HUGE         1: on hugepages, 0: --no-huge (default: on hugepages if enough are free)
    MAGAZINE_FULL         1: all combinations instead of a selection that covers each value
    MAGAZINE_TESTPMD      the program (default: dpdk-testpmd)

Not here: --mp-alloc=anon. testpmd then makes its pool with the default handler whatever
--mbuf-pool-ops-name says, so it would test nothing of ours; anonymous memory has a program of its
own in test/contract.
"""

import atexit
import collections
import contextlib
import ctypes
import glob
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import tty
import types

import tap

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "app"))

import patience  # noqa: E402
import testpmd_words  # noqa: E402

PROMPT = "testpmd> "
# Limits, for an idle machine.
START_SECONDS = 90
COMMAND_SECONDS = 60
TRAFFIC_SECONDS = 60
COUNT_SECONDS = 5
QUIT_SECONDS = 60

NO_HUGE_MB = 256
ENOUGH_HUGEPAGES = 128
MBUFS = 8192
LIBDPDK = subprocess.run(
    ["pkg-config", "--modversion", "libdpdk"], stdout=subprocess.PIPE, text=True, check=False
).stdout
# With a copy of each packet; from 25.07 on net_null does not free what it has copied.
COPY = ",copy=1" if tuple(map(int, re.findall(r"\d+", LIBDPDK)[:2])) < (25, 7) else ""
NULL_PORTS = (f"net_null0{COPY}", f"net_null1{COPY}")
RING_PORTS = ("net_ring0", "net_ring1")
TELEMETRY_MAX = 1 << 20

BUILT_PLUGIN = ROOT / "build/drivers/mempool/magazine/librte_mempool_magazine.so"
PROGRAM = os.environ.get("MAGAZINE_TESTPMD", "dpdk-testpmd")
OPS = os.environ.get("MAGAZINE_TEST_OPS") or "magazine"
PLUGIN = (
    None
    if os.environ.get("MAGAZINE_TEST_OPS")
    else os.environ.get("MAGAZINE_PLUGIN") or str(BUILT_PLUGIN)
)
PREFIX = os.environ.get("MAGAZINE_FILE_PREFIX") or f"magazine-{os.getpid()}"
FULL = os.environ.get("MAGAZINE_FULL") == "1"
PACKETS = 2000000 if FULL else 20000

ERROR_WORDS = re.compile(
    r"error|fail|cannot|can't|could not|unable|invalid|illegal|\bbad\b|panic|assert|not enough|not "
    r"supported|no such|"
    r"leak|objects are out|still out|out of memory|abort|segfault|segmentation|corrupt|refus|"
    r"denied|"
    r"command not found|ambiguous|unrecognized|unknown|stuck|lost|unsupported|was written to",
    re.IGNORECASE,
)
# Counters and flags at zero, words of packet flags; and what is said of ports that have no
# promiscuous mode, by the tap port on a kernel without its queueing disciplines, and by libxdp on
# one without its file system.
HARMLESS = re.compile(
    r"errors: *0\b|-FAILED: 0|Bad-[a-z0-9-]*csum: *0\b|CKSUM_UNKNOWN|qdisc|"
    r"Disabling rte flow support|"
    r"promiscuous mode for port \d+: Operation not supported - ignore|"
    r"libbpf: elf: skipping|libxdp: Can't use dispatcher",
    re.IGNORECASE,
)
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)

# Told to end, a script unwinds, and so ends its testpmd and removes the files.
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))

Totals = collections.namedtuple("Totals", "rx tx rx_dropped tx_dropped ports")
Pool = collections.namedtuple(
    "Pool", "name ops size populated backend cached cache_size chunks elt_size"
)


class StartRefused(tap.Failure):
    """EAL or testpmd ended before its first prompt."""


def hugepage_mounts():
    """Folders where EAL can make hugepage files."""
    mounts = (line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines())
    return [where for _, where, kind, *_ in mounts if kind == "hugetlbfs"]


def _on_hugepages():
    """As told, or else when enough of them are free now; decided once, because others reserve and
    return pages.
    """
    told = os.environ.get("MAGAZINE_HUGE")
    if told in ("0", "1"):
        return told == "1"
    free = re.search(r"HugePages_Free:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    return bool(hugepage_mounts()) and free is not None and int(free[1]) >= ENOUGH_HUGEPAGES


HUGE = _on_hugepages()


def runtime_dir(prefix):
    """Where EAL puts the sockets and files of a prefix."""
    base = os.environ.get("RUNTIME_DIRECTORY")
    if not base:
        base = "/var/run" if os.getuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return pathlib.Path(base) / "dpdk" / prefix


def hugepage_files_of(prefix):
    """Bytes of hugepages in files of a prefix, whoever maps them."""
    total = 0
    for where in hugepage_mounts():
        for path in glob.glob(f"{glob.escape(where)}/{glob.escape(prefix)}map_*"):
            with contextlib.suppress(FileNotFoundError):
                total += os.stat(path).st_blocks * 512
    return total


def remove_files_of(prefix):
    """Remove what a process leaves behind under its prefix: sockets, configuration and hugepage
    files.
    """
    shutil.rmtree(runtime_dir(prefix), ignore_errors=True)
    for where in hugepage_mounts():
        for path in glob.glob(f"{glob.escape(where)}/{glob.escape(prefix)}map_*"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass


def work_dir():
    """A folder for captures, gone when the script ends."""
    path = tempfile.mkdtemp(prefix="magazine-dataplane-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return pathlib.Path(path)


def lcore_options(cores, service):
    """EAL options: main lcore 0, forwarding lcores 1 to cores, and the service lcore, folded on the
    CPUs there are.

    testpmd never forwards on its main lcore. -S, because -s refuses ids above the number of CPUs.
    """
    cpus = sorted(os.sched_getaffinity(0))
    lcores = cores + (2 if service else 1)
    places = ",".join(f"{i}@{cpus[i % len(cpus)]}" for i in range(lcores))
    return ["--lcores", places] + (["-S", str(cores + 1)] if service else [])


def _die_with_parent():
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def wait_for(condition, seconds, what):
    """Poll condition() until it returns something true; return that, or fail in time."""
    value = patience.until(condition, seconds)
    tap.check(value, f"not within {seconds} s: {what}")
    return value


class Testpmd:
    """One testpmd process at its prompt; a context manager that leaves nothing behind.

    cores, service   forwarding lcores, and whether a service lcore is added
    args             more testpmd options; eal: more EAL options
    ops              handler asked for, and required of every packet pool by pools()
    netns            run in a new, empty network namespace, or in that of a process: its number
    options          text for MAGAZINE_OPTIONS
    preload          a library that stands in front of those of DPDK
    """

    _number = 0

    def __init__(
        self,
        name,
        vdevs,
        cores=1,
        service=False,
        mbufs=MBUFS,
        mbcache=None,
        args=(),
        eal=(),
        ops=OPS,
        prefix=None,
        netns=False,
        options=None,
        preload=None,
    ):
        Testpmd._number += 1
        self.name = name
        self.ops = ops
        self.prefix = prefix or f"{PREFIX}-{name}-{Testpmd._number}"
        self.lines = []
        self._text = ""
        self._tail = {}
        self._more = threading.Condition()
        self._eof = False
        self._telemetry = None
        self._dump = testpmd_words.MempoolDump(self.command, self._refused)
        space = (
            ["unshare", "--net"] if netns is True else ["nsenter", f"--net=/proc/{netns}/ns/net"]
        )
        command = [*space, "--"] if netns else []
        command += [
            PROGRAM,
            *lcore_options(cores, service),
            "--no-pci",
            f"--file-prefix={self.prefix}",
        ]
        command += [] if HUGE else ["--no-huge", "-m", str(NO_HUGE_MB)]
        command += ["-d", PLUGIN] if PLUGIN else []
        command += [f"--vdev={v}" for v in vdevs] + [
            f"--mbuf-pool-ops-name={ops}",
            *eal,
            "--",
            "-i",
        ]
        command += [f"--nb-cores={cores}", f"--total-num-mbufs={mbufs}"]
        command += [f"--mbcache={mbcache}"] if mbcache is not None else []
        self.command_line = command + list(args)
        self._environment = dict(os.environ, **({"MAGAZINE_OPTIONS": options} if options else {}))
        if preload:
            self._environment["LD_PRELOAD"] = str(preload)
        self._start()

    def _start(self):
        self._terminal, slave = pty.openpty()
        tty.setraw(slave)
        try:
            self.process = subprocess.Popen(
                self.command_line,
                stdin=slave,
                stdout=slave,
                stderr=subprocess.PIPE,
                preexec_fn=_die_with_parent,
                start_new_session=True,
                env=self._environment,
            )
        except FileNotFoundError as missing:
            tap.bail_out(f"{missing.filename} is not installed")
        finally:
            os.close(slave)
        self._errors = self.process.stderr.fileno()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._until_prompt(START_SECONDS)
        except BaseException as why:
            self.close()
            if not isinstance(why, tap.Failure):
                raise
            raise StartRefused(f"{why}\n{self.describe()}") from None

    # Output

    def _read(self):
        """Collect both streams, so that testpmd never waits for its reader."""
        open_fds = {self._terminal, self._errors}
        while open_fds:
            for fd in select.select(list(open_fds), [], [], 1)[0]:
                try:
                    data = os.read(fd, 65536)
                except OSError:
                    data = b""
                if not data:
                    open_fds.discard(fd)
                with self._more:
                    self._take(fd, data.decode(errors="replace"))
        with self._more:
            self._eof = True
            self._more.notify_all()

    def _take(self, fd, text):
        text = ANSI.sub("", text).replace("\r", "")
        if fd == self._terminal:
            self._text += text
        *whole, self._tail[fd] = (self._tail.get(fd, "") + text).split("\n")
        self.lines += whole
        self._more.notify_all()

    def _prompt_after(self, pattern):
        """Where the first prompt behind the pattern begins, or -1; a dump may have megabytes."""
        found = re.search(pattern, self._text, re.DOTALL)
        return self._text.find(PROMPT, found.end()) if found else -1

    def _until_prompt(self, seconds, after=""):
        """Wait for the first prompt after the pattern; return the text before it."""
        deadline = patience.Deadline(seconds)
        with self._more:
            while (end := self._prompt_after(after)) < 0:
                tap.check(not self._eof, f"testpmd ended with status {self.process.poll()}")
                left = deadline.left()
                tap.check(left, f"no prompt within {seconds} s")
                self._more.wait(left)
            answer, self._text = self._text[:end], self._text[end + len(PROMPT) :]
            return answer

    def errors(self):
        """Lines that complain, of either stream, since the start."""
        with self._more:
            return [
                line
                for line in self.lines
                if ERROR_WORDS.search(line) and not HARMLESS.search(line)
            ]

    def _refused(self):
        """That words of another version are not known is no complaint."""
        with self._more:
            self.lines = [line for line in self.lines if line != testpmd_words.UNKNOWN]

    def require_no_errors(self, but=()):
        """Nothing complained, except for the lines in but."""
        found = [line for line in self.errors() if line not in but]
        tap.check(not found, "testpmd complained:\n" + "\n".join(found[:20]))

    def describe(self, last=30):
        """The command line and the last lines, for a diagnostic."""
        with self._more:
            return "\n".join([" ".join(self.command_line)] + self.lines[-last:])

    def threads(self):
        """Name, state and processor time of each thread, to tell a hang from a loop."""
        found = []
        for stat in glob.glob(f"/proc/{self.process.pid}/task/*/stat"):
            try:
                before, after = pathlib.Path(stat).read_text().rsplit(")", 1)
            except OSError:
                continue
            fields = after.split()
            found.append(
                f"{before.split('(')[1]}: {fields[0]} user {fields[11]} system {fields[12]}"
            )
        return "\n".join(found)

    # Console

    def type(self, text):
        """Type a command without waiting for the prompt, whose letters a talkative lcore may tear
        apart.
        """
        with self._more:
            self._text = ""
        os.write(self._terminal, text.encode() + b"\n")

    def command(self, text, seconds=COMMAND_SECONDS, after=""):
        """Type a command; return what it printed up to the next prompt, or the first one after a
        pattern.
        """
        try:
            self.type(text)
            return self._until_prompt(seconds, after)
        except (OSError, tap.Failure) as why:
            state = self.threads()
            self.kill()
            raise tap.Failure(f"command '{text}': {why}\n{state}\n{self.describe()}") from None

    def set_mode(self, mode):
        answer = self.command(f"set fwd {mode}")
        tap.check(f"Set {mode} packet forwarding mode" in answer, f"set fwd {mode}: {answer}")

    def start(self, how=""):
        """Start forwarding; return the lcores that forward."""
        answer = self.command(f"start {how}".strip())
        lcores = {int(n) for n in re.findall(r"Logical Core (\d+) .*forwards packets", answer)}
        tap.check(lcores, f"start: no lcore forwards\n{answer}")
        return lcores

    def stop(self):
        """Stop forwarding; return the totals that testpmd reports, and RX and TX of each port."""
        answer = self.command("stop", after="Done\\.|not started")
        tap.check("Done." in answer, f"stop: {answer}")
        parts = re.split(r"\+{5,} Accumulated forward statistics", answer)
        tap.check(len(parts) == 2, f"stop: no statistics\n{answer}")

        def numbers(text):
            found = re.findall(r"(?:RX|TX)-(?:packets|dropped): *(\d+)", text)
            return [int(n) for n in found]

        ports = {}
        for part in re.split(r"Forward statistics for port ", parts[0])[1:]:
            rx, _, tx, _ = numbers(part)
            ports[int(part.split()[0])] = (rx, tx)
        rx, rx_dropped, tx, tx_dropped = numbers(parts[1])
        return Totals(rx, tx, rx_dropped, tx_dropped, ports)

    def stop_ports(self):
        self.command("port stop all")

    def start_ports(self):
        self.command("port start all")

    def close_ports(self):
        self.command("port close all")

    @contextlib.contextmanager
    def forwarding(self, mode, how=""):
        """Forwarding in a mode, stopped at the end; the value gets the totals in `totals` and has
        the `lcores`.
        """
        self.set_mode(mode)
        run = types.SimpleNamespace(totals=None, lcores=self.start(how))
        try:
            yield run
        except BaseException:
            if self.process.poll() is None:
                self.stop()
            raise
        run.totals = self.stop()

    def forward(self, mode, packets=PACKETS, how="", ports=(0, 1), count="rx"):
        """Forward in a mode until each of the ports has counted the packets, and stop; return that
        run.
        """
        before = self.counters(ports)
        with self.forwarding(mode, how) as run:
            self.wait_packets(before, packets, count, mode)
        return run

    def wait_packets(self, before, packets, count="rx", what="traffic"):
        """Wait until each port in before, an answer of counters(), has counted so many more
        packets.
        """
        key = {"rx": "ipackets", "tx": "opackets"}[count]

        def reached():
            now = self.counters(before)
            return all(now[p][key] - before[p][key] >= packets for p in before)

        try:
            wait_for(
                reached,
                TRAFFIC_SECONDS,
                f"{packets} {count} packets on each of the ports {list(before)}: {what}",
            )
        except tap.Failure as why:
            raise tap.Failure(f"{why}\n{self.counters(before)}\n{self.describe()}") from None

    # Pools

    def pool_names(self):
        """Packet pools: testpmd makes one for each socket and mbuf size."""
        names = [n for n in self.telemetry("/mempool/list") if n.startswith("mb_pool")]
        tap.check(names, "no packet pool in /mempool/list")
        return names

    def pool(self, name):
        """What the pool says of itself."""
        try:
            asked, text = self._dump.ask(name)
        except testpmd_words.Unexpected as wrong:
            raise tap.Failure(str(wrong)) from None

        def field(pattern, otherwise=None):
            match = re.search(pattern, text, re.MULTILINE)
            tap.check(match or otherwise is not None, f"{asked} shows no {pattern}:\n{text}")
            return match[1] if match else otherwise

        return Pool(
            name,
            field(r"ops_name: <([^>]*)>"),
            int(field(r"^ +size=(\d+)")),
            int(field(r"populated_size=(\d+)")),
            int(field(r"common_pool_count=(\d+)")),
            int(field(r"total_cache_count=(\d+)", "0")),
            int(field(r" cache_size=(\d+)", "0")),
            int(field(r"nb_mem_chunks=(\d+)")),
            int(field(r"elt_size=(\d+)")),
        )

    def pools(self):
        """All packet pools, each proven to be of the handler asked for."""
        found = [self.pool(name) for name in self.pool_names()]
        for pool in found:
            tap.check(
                pool.ops == self.ops,
                f"pool {pool.name} is of the handler '{pool.ops}', not '{self.ops}'",
            )
        return found

    def missing(self):
        """Mbufs that are neither in a pool nor in its caches; negative: more than there can be."""
        return sum(p.size - p.backend - p.cached for p in self.pools())

    def require_all_back(self):
        """Every mbuf is in its pool.

        Asked for a bounded time, because a count is exact only while nobody works and maintenance
        may be at work.
        """
        for pool in self.pools():
            tap.check(
                pool.populated == pool.size,
                f"pool {pool.name}: populated {pool.populated} of {pool.size}",
            )
        try:
            wait_for(lambda: self.missing() == 0, COUNT_SECONDS, "every mbuf back")
        except tap.Failure:
            state = "\n".join(map(str, self.pools()))
            raise tap.Failure(
                f"{self.missing()} mbufs are not back after {COUNT_SECONDS} s\n{state}"
            ) from None

    def require_idle(self):
        """All mbufs back and nothing complained: what every case ends with."""
        self.require_all_back()
        self.require_no_errors()

    # Telemetry

    def telemetry(self, query):
        """Ask the telemetry socket; return the answer's value."""
        if self._telemetry is None:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            client.settimeout(COMMAND_SECONDS)
            client.connect(str(runtime_dir(self.prefix) / "dpdk_telemetry.v2"))
            client.recv(TELEMETRY_MAX)
            self._telemetry = client
        try:
            self._telemetry.settimeout(patience.scaled(COMMAND_SECONDS))
            self._telemetry.send(query.encode())
            answer = json.loads(self._telemetry.recv(TELEMETRY_MAX))
        except (OSError, ValueError) as why:
            raise tap.Failure(f"telemetry {query}: {why}\n{self.describe()}") from None
        return answer[query.split(",")[0]]

    def counters(self, ports):
        """Statistics by port."""
        return {port: self.telemetry(f"/ethdev/stats,{port}") for port in ports}

    # End

    def quit(self, held=0):
        """Leave by the quit command; the status must be 0 and nothing may have complained.

        testpmd frees its pools then, and the driver reports a pool with objects out: it has to if
        held mbufs are, and else must not.
        """
        os.write(self._terminal, b"quit\n")
        try:
            status = patience.wait(self.process, QUIT_SECONDS)
        except subprocess.TimeoutExpired:
            raise tap.Failure(
                f"quit: not ended within {QUIT_SECONDS} s\n{self.describe()}"
            ) from None
        self._reader.join(COMMAND_SECONDS)
        tap.check(status == 0, f"quit: status {status}\n{self.describe()}")
        tap.check(any("Bye..." in line for line in self.lines), f"quit: no Bye\n{self.describe()}")
        reports = (
            [line for line in self.lines if re.search(rf"\bfreed while {held} of its ", line)]
            if held
            else []
        )
        if held and self.ops == "magazine":
            tap.check(
                len(reports) == 1,
                f"{held} mbufs were out at the end, reports: {reports}\n{self.describe()}",
            )
        self.require_no_errors(reports)

    def kill(self):
        """End the process at once, wherever it is."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(COMMAND_SECONDS)

    def close(self):
        """End the process if it still runs, and remove its files."""
        self.kill()
        if self._telemetry:
            self._telemetry.close()
        os.close(self._terminal)
        self.process.stderr.close()
        remove_files_of(self.prefix)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
