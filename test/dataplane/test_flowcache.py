#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The example app/flowcache on captures: it finds each flow, loses no packet, and its memory comes
and goes.

What a capture holds is known from how it is made, not from reading it.
"""

import collections
import ipaddress
import os
import pathlib
import random
import re
import signal
import subprocess
import threading

import packets
import tap
from testpmd import (
    HUGE,
    NO_HUGE_MB,
    PREFIX,
    ROOT,
    hugepage_files_of,
    lcore_options,
    patience,
    remove_files_of,
)
from testpmd import wait_for, work_dir

PROGRAM = (
    pathlib.Path(os.environ.get("MAGAZINE_BUILD") or ROOT / "build") / "app/flowcache/flowcache"
)
FOLDER = work_dir()
MANY, FEW, LIMIT = 50000, 1000, 5
STEADY = 8  # a packet of the steady flow before so many others: the program's bursts are of 32
RUN_SECONDS = 120
IDLE_MS, REPORT_MS = 3000, 100

ROW = re.compile(r" *\d+\.\d +(\d+) +(\d+) +(\d+) +(\d+) +(\d+) +(\d+)$")
Row = collections.namedtuple("Row", "packets flows expired objects memory hugepages")
Flow = collections.namedtuple("Flow", "protocol address port peer peer_port")
Capture = collections.namedtuple("Capture", "path packets flows bytes untracked other")


# Captures


def flow_of(i):
    """Flow i: of eight in a row, four differ only in protocol and version, and pairs only in a
    port.
    """
    group, kind = divmod(i, 8)
    protocol, version, port = ("tcp", "udp")[kind & 1], (4, 6)[kind >> 1 & 1], 1024 + (kind >> 2)
    low, high = f"10.{group >> 16}.{group >> 8 & 255}.{group & 255}", "198.18.0.2"
    if version == 6:
        low, high = str(ipaddress.ip_address(f"2001:db8::{group + 1:x}")), "2001:db8:ffff::2"
    if group % 7 == 0:
        high = low  # the two ends differ in the port alone
    ends = (low, port), (high, 443 if group % 3 else 2000)
    # Who begins has the lower address, or the higher one.
    return Flow(protocol, *ends[group & 1], *ends[1 - (group & 1)])


def frame_of(flow, back, size):
    """A packet of the flow, from its peer if back."""
    (src, sport), (dst, dport) = (flow.address, flow.port), (flow.peer, flow.peer_port)
    if back:
        src, sport, dst, dport = dst, dport, src, sport
    l4, proto = {"tcp": (packets.tcp, packets.PROTO_TCP), "udp": (packets.udp, packets.PROTO_UDP)}[
        flow.protocol
    ]
    data = l4(bytes(size), sport, dport, src, dst)
    if ":" in src:
        return packets.ether(packets.ipv6(data, proto, src, dst), packets.ETHER_IPV6)
    vlan = 100 if size % 5 == 0 else None
    return packets.ether(packets.ipv4(data, proto, src, dst), packets.ETHER_IPV4, vlan=vlan)


def others():
    """Packets of no flow: not IP, neither TCP nor UDP, a later fragment, and some cut off too
    early.
    """
    flow = {"src": "10.0.0.9", "dst": "198.18.0.9"}
    icmp = packets.ipv4(packets.echo_request(b"data"), packets.PROTO_ICMP, **flow)
    fragment = bytearray(packets.ipv4(packets.udp(b"data", **flow), packets.PROTO_UDP, **flow))
    fragment[6:8] = b"\x00\x10"
    ether, ports = 14, 4
    udp4 = packets.ether(
        packets.ipv4(packets.udp(b"", **flow), packets.PROTO_UDP, **flow), packets.ETHER_IPV4
    )
    vlan = packets.ether(
        packets.ipv4(packets.tcp(b"", **flow), packets.PROTO_TCP, **flow),
        packets.ETHER_IPV4,
        vlan=7,
    )
    tcp6 = packets.ether(packets.ipv6(packets.tcp(b""), packets.PROTO_TCP), packets.ETHER_IPV6)
    return [
        packets.ether(packets.arp_request(), packets.ETHER_ARP),
        packets.ether(icmp, packets.ETHER_IPV4),
        packets.ether(bytes(fragment), packets.ETHER_IPV4),
        packets.ether(b"payload", 0x88B5),
        udp4[:10],
        udp4[: ether + 12],
        udp4[: ether + 20],
        udp4[: ether + 20 + ports - 1],
        vlan[:16],
        vlan[: ether + 4 + 20 + ports - 1],
        tcp6[: ether + 30],
        tcp6[: ether + 40],
        tcp6[: ether + 40 + ports - 1],
    ]


def capture(name, count, limit=None):
    """A capture of so many flows: each begins, in order; then they go on, in any. What should be
    found in it.
    """
    rng = random.Random(count)
    rest, frames, found, untracked = [], [], {}, 0
    for i in range(count):
        flow, forth, back = flow_of(i), 1 + i % 3, i % 5 // 2
        sent = [frame_of(flow, False, i % 40)] * forth + [frame_of(flow, True, i % 30)] * back
        frames.append(sent[0])
        rest += sent[1:]
        if limit is None or i < limit:
            found[flow] = forth, forth * len(sent[0]), back, sum(map(len, sent[forth:]))
        else:
            untracked += forth + back
    rng.shuffle(rest)
    odd = [frame for frame in others() for _ in range(37)]
    for frame in odd:
        rest.insert(rng.randrange(len(rest)), frame)
    frames += rest
    path = FOLDER / f"{name}.pcap"
    packets.write_pcap(path, frames)
    tap.check(
        len(found) == min(count, limit or count), "flows of the capture are not all different"
    )
    size = sum(f[1] + f[3] for f in found.values())
    return Capture(path, len(frames), found, size, untracked, len(odd))


def capture_steady(steady, count):
    """A capture of so many flows of one packet each, and of one more: in each burst with them, then
    alone as long.
    """
    found, frames = {}, []
    again = frame_of(steady, False, 10)
    for i in range(count):
        if i % STEADY == 0:
            frames.append(again)
        frames.append(frame_of(flow_of(i), False, 20))
        found[flow_of(i)] = 1, len(frames[-1]), 0, 0
    frames += [again] * count
    times = frames.count(again)
    found[steady] = times, times * len(again), 0, 0
    path = FOLDER / "steady.pcap"
    packets.write_pcap(path, frames)
    return Capture(path, len(frames), found, sum(map(len, frames)), 0, 0)


# Runs


class FlowCache:
    """One run of the program; a context manager that leaves nothing behind."""

    number = 0

    def __init__(self, args, source=None, service=False, lcores=None, eal=()):
        FlowCache.number += 1
        self.prefix = f"{PREFIX}-flowcache-{FlowCache.number}"
        self.export = FOLDER / f"{FlowCache.number}.csv"
        self.lines, self.rows, self.own, self.files = [], [], [], []
        command = [
            PROGRAM,
            *(lcores or lcore_options(1, service)),
            "--no-pci",
            f"--file-prefix={self.prefix}",
            *eal,
        ]
        command += [] if HUGE else ["--no-huge", "-m", str(NO_HUGE_MB)]
        command += ["--vdev", f"net_pcap0,rx_pcap={source}"] if source else []
        self.command = list(map(str, command + ["--", *args]))
        self.process = subprocess.Popen(
            self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._killer = threading.Timer(patience.scaled(RUN_SECONDS), self.process.kill)
        self._killer.start()
        self._threads = [
            threading.Thread(target=read, daemon=True) for read in (self._read, self._read_errors)
        ]
        self.errors = []
        for thread in self._threads:
            thread.start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            row = ROW.match(self.lines[-1])
            if row:
                self.own.append(self._own_hugepages())
                self.files.append(hugepage_files_of(self.prefix) >> 10)
                self.rows.append(Row(*map(int, row.groups())))

    def _read_errors(self):
        self.errors += (line.rstrip() for line in self.process.stderr)

    def _own_hugepages(self):
        """kB of hugepages that the process has mapped now."""
        try:
            text = pathlib.Path(f"/proc/{self.process.pid}/smaps_rollup").read_text()
        except OSError:
            return 0
        return sum(map(int, re.findall(r"_Hugetlb: +(\d+) kB", text)))

    def wait_row(self, condition, what):
        """Wait for a line of the report that the condition holds for."""

        def found():
            tap.check(self.process.poll() is None, f"ended before: {what}\n{self.describe()}")
            return any(map(condition, self.rows))

        try:
            wait_for(found, RUN_SECONDS, what)
        except tap.Failure as why:
            raise tap.Failure(f"{why}\n{self.describe()}") from None

    def end(self, status=0, by=None):
        """Wait for the end, brought about by a signal or not; return what the last line says."""
        if by is not None:
            self.process.send_signal(by)
        self.process.wait()
        self._killer.cancel()
        for thread in self._threads:
            thread.join()
        tap.check(
            self.process.returncode == status,
            f"status {self.process.returncode}\n{self.describe()}",
        )
        if status != 0:
            return None
        pairs = re.findall(r"(\w+)=(\d+)", self.lines[-1])
        tap.check(pairs, f"no summary\n{self.describe()}")
        return {key: int(value) for key, value in pairs}

    def exported(self):
        """Flow -> packets and bytes of who began, packets and bytes of the other."""
        found = collections.Counter()
        flows = {}
        for line in self.export.read_text().splitlines():
            protocol, address, port, peer, peer_port, *counts, milliseconds = line.split(",")
            flow = Flow(protocol, address, int(port), peer, int(peer_port))
            tap.check(0 <= float(milliseconds) < patience.MOST * RUN_SECONDS * 1000, line)
            found[flow] += 1
            flows[flow] = tuple(map(int, counts))
        tap.check(all(n == 1 for n in found.values()), f"flows twice: {found.most_common(3)}")
        return flows

    def describe(self):
        return "\n".join([" ".join(self.command)] + self.lines[-20:] + self.errors[-10:])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._killer.cancel()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        remove_files_of(self.prefix)


def start(source, *args, **how):
    return FlowCache(
        [
            "--idle",
            IDLE_MS,
            "--report",
            REPORT_MS,
            "--export",
            FOLDER / f"{FlowCache.number + 1}.csv",
            *args,
        ],
        source.path,
        **how,
    )


def check_said(said, expected, run):
    wrong = {
        key: (said.get(key), value) for key, value in expected.items() if said.get(key) != value
    }
    tap.check(not wrong, f"(said, should be): {wrong}\n{run.describe()}")


def check_totals(said, source, run):
    """Each packet of the capture is accounted for, and nothing is left."""
    counted = source.packets - source.other - source.untracked
    check_said(
        said,
        {
            "packets": source.packets,
            "other": source.other,
            "untracked": source.untracked,
            "counted": counted,
            "flow_packets": counted,
            "flow_bytes": source.bytes,
            "objects_left": 0,
        },
        run,
    )


def check_summary(said, source, run):
    """So it is, with each flow found once, and all memory came back."""
    check_totals(said, source, run)
    check_said(said, {"flows": len(source.flows), "flows_peak": len(source.flows)}, run)
    check_memory(said, run)


def check_memory(said, run):
    tap.check(
        said["memory_last"] == said["memory_first"],
        f"memory {said['memory_first']} before and {said['memory_last']} after\n{run.describe()}",
    )


def check_flows(run, source):
    """Each flow has its packets and bytes, by direction."""
    exported = run.exported()
    wrong = [
        (flow, exported.get(flow), source.flows.get(flow))
        for flow in exported.keys() | source.flows.keys()
        if exported.get(flow) != source.flows.get(flow)
    ]
    tap.check(not wrong, f"{len(wrong)} flows; (flow, exported, should be): {wrong[:3]}")


# Cases

empty = Capture(FOLDER / "empty.pcap", 0, {}, 0, 0, 0)
packets.write_pcap(empty.path, [])

for service in (False, True):
    with tap.case(
        f"each of {MANY} flows is found and each packet counted"
        f"{', with a service lcore' if service else ''}"
    ):
        many = capture("many", MANY)
        with start(many, "--until-idle", service=service) as run:
            check_summary(run.end(), many, run)
            check_flows(run, many)


def grown_and_back(run, source):
    """How much memory grew by, and kB of hugepages of this process, mapped and in files, that came
    and went.
    """
    run.wait_row(lambda row: row.flows == len(source.flows), "all flows are there")
    run.wait_row(
        lambda row: row.expired == len(source.flows) and row.objects == 0, "all flows have expired"
    )
    first, last = run.rows[0], run.rows[-1]
    full = [row for row in run.rows if row.flows == len(source.flows)]
    grown = max(row.memory for row in full) - first.memory
    least = len(source.flows) * 64
    tap.check(
        grown > least, f"memory grew by {grown} for {len(source.flows)} flows\n{run.describe()}"
    )
    tap.check(
        last.memory == first.memory,
        f"memory {first.memory} before, {last.memory} after\n{run.describe()}",
    )
    return grown, [(max(kb) - min(kb), kb[-1] - min(kb)) for kb in (run.own, run.files)]


with tap.case("memory comes with the flows and goes when they have expired"):
    with start(many) as run:
        grown_and_back(run, many)
        check_summary(run.end(by=signal.SIGINT), many, run)

with tap.case("and so do the hugepages that it maps, and those in its files"):
    if not HUGE:
        raise tap.Skip("needs hugepages")
    with start(many) as run:
        grown, both = grown_and_back(run, many)
        run.end(by=signal.SIGINT)
    # A page more may be left: the segment that stays may be another than the first, and its mirrors
    # lie elsewhere.
    for came, left in both:
        tap.check(
            came >> 11 >= grown >> 21 and left <= 2048,
            f"memory grew by {grown}; kB of hugepages, mapped and in "
            f"files, that came, and that were left: {both}\n{run.describe()}",
        )

with tap.case("where there is no memory for more flows packets wait, and none is lost"):
    if not HUGE or len(list(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))) > 1:
        raise tap.Skip("needs hugepages, on one node")
    with start(empty) as run:
        run.wait_row(lambda row: True, "a report")
        run.end(by=signal.SIGINT)
    enough = run.own[0] >> 10  # MB that it begins with
    with start(many, "--until-idle", "--idle", 500, eal=["--socket-limit", str(enough)]) as run:
        said = run.end()
        check_totals(said, many, run)
        check_memory(said, run)
        tap.check(said["memory_peak"] == said["memory_first"], run.describe())
        told = [line for line in run.errors if "no memory for more flows" in line]
        tap.check(len(told) == 1 and "reserve more hugepages" in told[0], run.describe())

with tap.case(f"{FEW} flows where {LIMIT} may be: the others' packets are counted as such"):
    few = capture("few", FEW, LIMIT)
    with start(few, "--until-idle", "--flows", LIMIT) as run:
        check_summary(run.end(), few, run)
        check_flows(run, few)
        told = [line for line in run.errors if str(few.untracked) in line]
        tap.check(told and "--flows" in told[0] and str(LIMIT) in told[0], run.describe())

for number in signal.SIGINT, signal.SIGTERM:
    with tap.case(f"{number.name} ends it with all flows accounted for, nothing left"):
        few = capture("few", FEW)
        with start(few, "--idle", 3600000) as run:
            run.wait_row(lambda row: row.packets == few.packets, "the whole capture")
            check_summary(run.end(by=number), few, run)
            check_flows(run, few)

with tap.case("at a rate, flows expire while others begin, and no packet is lost"):
    with start(few, "--until-idle", "--rate", 5000, "--idle", 50) as run:
        said = run.end()
        check_totals(said, few, run)
        check_memory(said, run)
        tap.check(
            said["flows_peak"] < said["flows"],
            f"no flow has expired before the end\n{run.describe()}",
        )

with tap.case("a flow in steady use does not expire, nor keep others from it"):
    steady = flow_of(FEW)
    source = capture_steady(steady, FEW)
    with start(source, "--until-idle", "--rate", 5000, "--idle", 50) as run:
        said = run.end()
        check_totals(said, source, run)
        check_flows(run, source)
        tap.check(
            said["flows_peak"] < said["flows"],
            f"no flow has expired before the end\n{run.describe()}",
        )
        tap.check(
            list(run.exported())[-1] == steady,
            "others were used last before it, and expired after it",
        )

with tap.case("a rate slower than flows expire does not end it early"):
    with start(few, "--until-idle", "--rate", 3200, "--idle", 1) as run:
        check_totals(run.end(), few, run)

with tap.case("an empty capture ends too"):
    with FlowCache(["--until-idle", "--idle", 10], empty.path) as run:
        check_summary(run.end(), empty, run)

BAD = (
    (["--idle", "0"], ("--idle 0", "from 1 to 3600000")),
    (["--flows", "16777217"], ("--flows 16777217", "from 1 to 16777216")),
    (["--flows=-1"], ("--flows -1", "from 1 to")),
    (["--report", "1s"], ("--report 1s", "from 1 to")),
    (["--rate", ""], ("--rate ", "from 1 to")),
    (["--idle"], ("--idle", "needs a value")),
    (["--colour", "red"], ("--colour", "see --help")),
    (["in.pcap"], ("in.pcap", "see --help")),
    (["--export", "/nonexistent/flows"], ("--export /nonexistent/flows", "No such file")),
)
for args, words in BAD:
    with tap.case(f"{' '.join(args)} is refused, by name"):
        with FlowCache(args, few.path) as run:
            run.end(status=1)
            told = [line for line in run.errors if line.startswith("flowcache: ")]
            tap.check(len(told) == 1 and all(word in told[0] for word in words), run.describe())

with tap.case("without a port it says which one to give"):
    with FlowCache([]) as run:
        run.end(status=1)
        tap.check("rx_pcap=FILE" in run.errors[-1], run.describe())
with tap.case("with one lcore it says how many it needs"):
    with FlowCache([], few.path, lcores=["-l", str(min(os.sched_getaffinity(0)))]) as run:
        run.end(status=1)
        tap.check("at least 2" in run.errors[-1], run.describe())
with tap.case("--help explains each option"):
    with FlowCache(["--help"]) as run:
        run.process.wait()
        text = run.process.returncode, "\n".join(run.lines)
    tap.check(text[0] == 0, text)
    for option in ("--idle", "--flows", "--rate", "--report", "--export", "--until-idle"):
        tap.check(f"\n  {option} " in text[1], f"no {option} in\n{text[1]}")
tap.finish()
