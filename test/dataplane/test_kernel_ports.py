#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""TCP between two hosts through testpmd, on ports of the kernel: af_packet and af_xdp on veth
pairs, and tap. The hosts and testpmd are in network namespaces of their own.

First with the default handler: what it does not do either is skipped.
"""

import contextlib
import json
import os
import shutil
import subprocess

import tap
import testpmd
from testpmd import FULL, StartRefused, Testpmd, patience

DEFAULT_HANDLER = "ring_mp_mc"
SECONDS = 60 if FULL else 10
TOOLS = ("ethtool", "ip", "iperf3", "nsenter", "unshare")
HOSTS = ("192.0.2.1", "192.0.2.2")
PORTS = {
    "af_packet": [f"net_af_packet{i},iface=port{i}" for i in (0, 1)],
    "af_xdp": [f"net_af_xdp{i},iface=port{i}" for i in (0, 1)],
    "tap": [f"net_tap{i},iface=port{i}" for i in (0, 1)],
}
# Closed, it leaves the mbufs that the kernel had to receive into.
KEEPS = "af_xdp"
BURSTS = 128
RUNS = (
    (None, {}),
    ("guard=1", {}),
    ("cache=0", {}),
    ("guard=1,cache=8", {}),
    (None, {"mbcache": 0}),
)


def run(*command, limit=60, check=True):
    """What a command prints; it fails the case if it fails."""
    try:
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=patience.scaled(limit),
        )
    except subprocess.TimeoutExpired as late:
        raise tap.Failure(f"{' '.join(command)}: not within {limit} s\n{late.stdout}") from None
    tap.check(
        not check or done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}"
    )
    return done.stdout


def inside(pid, *command):
    return ("nsenter", f"--net=/proc/{pid}/ns/net", "--", *command)


@contextlib.contextmanager
def namespaces():
    """Three: testpmd's and one for each host; they end with the processes that hold them."""
    own = os.readlink("/proc/self/ns/net")
    held = [
        subprocess.Popen(
            ["unshare", "--net", "--", "sleep", "infinity"],
            preexec_fn=testpmd._die_with_parent,
        )
        for _ in range(3)
    ]
    try:
        for process in held:
            testpmd.wait_for(
                lambda: os.readlink(f"/proc/{process.pid}/ns/net") != own, 10, "a namespace"
            )
        yield [process.pid for process in held]
    finally:
        for process in held:
            process.kill()
            process.wait()


def join(middle, host, port):
    """A veth pair from testpmd's namespace to a host's."""
    pair = f"ip link add {port} type veth peer name {port} netns {host}"
    run(*inside(middle, *pair.split()))
    run(*inside(middle, "ip", "link", "set", port, "up"))


def set_up(host, address, link):
    """The kernel makes whole packets of one segment, with checksums: none of the ports would."""
    offloads = f"ethtool -K {link} tx off sg off tso off gso off gro off"
    run(*inside(host, *offloads.split()), check=False)
    run(*inside(host, "ip", "address", "add", f"{address}/24", "dev", link))
    run(*inside(host, "ip", "link", "set", link, "up"))


def exchange(hosts):
    """TCP in both directions for some seconds; Mbit/s each, and retransmissions."""
    server = subprocess.Popen(
        inside(hosts[1], "iperf3", "-s", "-1"),
        stdout=subprocess.DEVNULL,
        preexec_fn=testpmd._die_with_parent,
    )
    try:
        # Until the server listens, and the links are up.
        client = inside(hosts[0], *f"iperf3 -c {HOSTS[1]} --bidir -J -t {SECONDS}".split())

        def answer():
            text = run(*client, limit=SECONDS + 60, check=False)
            return None if "onnection refused" in text or "o route to host" in text else text

        text = testpmd.wait_for(answer, 30, "iperf3 connected")
    finally:
        server.kill()
        server.wait()
    try:
        end = json.loads(text)["end"]
        streams = [stream["receiver"] for stream in end["streams"]]
    except (ValueError, KeyError):
        raise tap.Failure(f"iperf3: {text[-800:]}") from None
    rates = [stream["bits_per_second"] / 1e6 for stream in streams]
    tap.check(len(rates) == 2 and min(rates) > 0, f"nothing went through: {text[-800:]}")
    return rates, sum(s["sender"].get("retransmits", 0) for s in end["streams"])


def left_by(p, kept):
    """Mbufs that the closed ports have not given back: none, or about as many as kept."""
    p.stop_ports()
    p.close_ports()
    if kept == 0:
        p.require_idle()
        return 0
    left = p.missing()
    tap.check(
        kept is None or 0 <= left <= kept + BURSTS, f"{left} mbufs missing, {kept} by default"
    )
    return left


def traffic(kind, ops, options, more, kept):
    """Two hosts talk through testpmd; then every mbuf is back. Returns those that are not."""
    with namespaces() as (middle, *hosts):
        if kind != "tap":
            for i, host in enumerate(hosts):
                join(middle, host, f"port{i}")
        with Testpmd("kernel", PORTS[kind], 1, netns=middle, ops=ops, options=options, **more) as p:
            for i, host in enumerate(hosts):
                if kind == "tap":
                    # The name stays: 25.11 looks for the interface by it in its new namespace.
                    run(*inside(middle, *f"ip link set port{i} netns {host}".split()))
                set_up(host, HOSTS[i], f"port{i}")
            with p.forwarding("io") as forwarded:
                rates, again = exchange(hosts)
            tap.check(forwarded.totals.rx > 0, f"{forwarded.totals}")
            left = left_by(p, kept)
            p.quit(left)
    print(
        f"# {kind}, {ops}, {options or 'no options'}: {rates[0]:.0f} and {rates[1]:.0f} Mbit/s, "
        f"{again} segments again, {forwarded.totals.tx_dropped} packets dropped by the ports, "
        f"{left} mbufs kept by them"
    )
    return left


def can_have():
    if os.getuid() != 0:
        raise tap.Skip("network namespaces need root")
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        raise tap.Skip(f"not installed: {', '.join(missing)}")
    if subprocess.run(
        ["unshare", "--net", "--", "ip", "link", "add", "port0", "type", "veth"],
        stderr=subprocess.DEVNULL,
        check=False,
    ).returncode:
        raise tap.Skip("no network namespace or no veth to be had")


for name in PORTS:
    default = 0 if name != KEEPS else None
    works = False
    with tap.case(f"TCP through {name}, {DEFAULT_HANDLER}"):
        can_have()
        try:
            default = traffic(name, DEFAULT_HANDLER, None, {}, default)
        except StartRefused as refused:
            why = "; ".join(str(refused).splitlines()[-4:])
            raise tap.Skip(f"not with {DEFAULT_HANDLER} either: {why}") from None
        works = True
    for text, changes in RUNS if FULL else RUNS[:2] if name == "af_packet" else RUNS[:1]:
        how = f"{text or 'no options'}{', mempool cache 0' if changes else ''}"
        with tap.case(f"TCP through {name}, {testpmd.OPS}, {how}"):
            if not works:
                raise tap.Skip(f"not with {DEFAULT_HANDLER} either")
            traffic(name, testpmd.OPS, text, changes, default)
tap.finish()
