#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""Open vSwitch of the distribution, with a bridge in user space.

    here: tap port of DPDK      room b: veth, af_packet port of DPDK     room c: veth, system port

Ping and TCP between the three, changes of MTU, a port deleted and added 100 times; at the end all
ports are deleted and every mbuf is in its pool. Open vSwitch is untouched: the handler is named in
its database, in other_config:dpdk-extra. Databases and sockets are in a folder of this test; a
switch of the machine is another one.
"""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import tempfile

import lab
import tap

PACKAGES = ("openvswitch-common", "openvswitch-switch", "openvswitch-switch-dpdk")
SWITCH = "usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"
PATHS = ("usr/bin", "usr/sbin", "usr/lib/openvswitch-switch-dpdk")
ADDRESS = {"a": "198.51.100.1", "b": "198.51.100.2", "c": "198.51.100.3"}
START_SECONDS = 120
PINGS = 300 if not lab.FULL else 3000
TCP_SECONDS = 3 if not lab.FULL else 60
CYCLES = 100
MTUS = (900, 1500, 600, 1500)  # a tap port has no more; mbufs are of multiples of 1 KiB
HUGE_MB = 512
# Ring of a packet socket: its frames have to fit the mbufs that Open vSwitch makes for MTU 1500.
AF_PACKET = "net_af_packet_b,iface=ovs-b"
TAP = "net_tap_a,iface=ovs-a"
TAP_QUEUES = 2  # as many as for transmission, which are one for each thread of the switch


def installed():
    """The folder that has Open vSwitch: the machine's root, or the packages unpacked."""
    root = pathlib.Path("/")
    if all((root / file).exists() for file in (SWITCH, "usr/sbin/ovsdb-server")):
        return root
    root = lab.KEPT / "ovs"
    if not (root / SWITCH).exists():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=lab.KEPT) as folder:
            apt = ["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", *PACKAGES]
            try:
                subprocess.run(
                    apt, cwd=folder, capture_output=True, timeout=300, check=True, text=True
                )
            except (OSError, subprocess.SubprocessError) as why:
                said = (getattr(why, "stderr", "") or str(why)).strip().splitlines()[-1:]
                raise tap.Skip(f"cannot download {' '.join(PACKAGES)}: {said}") from None
            for package in pathlib.Path(folder).glob("*.deb"):
                lab.run("dpkg-deb", "-x", package, root)
    missing = re.findall(r"(\S+) => not found", lab.run("ldd", root / SWITCH))
    if missing:
        raise tap.Skip(f"libraries of openvswitch-switch-dpdk are missing: {' '.join(missing)}")
    return root


def recipe():
    """What doc/guide/recipes.rst puts into dpdk-extra."""
    found = re.search(r'dpdk-extra="([^"]*)"', "\n".join(lab.recipe("Open vSwitch")))
    tap.check(found, "recipes.rst sets no dpdk-extra")
    return [found[1]]


class Switch:
    """ovsdb-server and ovs-vswitchd of our own, on one handler."""

    def __init__(self, root, how):
        self.how = how
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=lab.HERE))
        self.name = self.folder.name
        bins = ":".join(str(root / path) for path in PATHS)
        self.env = lab.environment(
            how,
            PATH=f"{bins}:{os.environ['PATH']}",
            **{f"OVS_{word}DIR": str(self.folder) for word in ("RUN", "DB", "LOG", "SYSCONF")},
        )
        self.log = self.folder / "ovs-vswitchd-dpdk.log"
        self.processes = []
        schema = root / "usr/share/openvswitch/vswitch.ovsschema"
        database = self.folder / "conf.db"
        self.socket = self.folder / "db.sock"
        self.run("ovsdb-tool", "create", database, schema)
        try:
            self.daemon("ovsdb-server", database, f"--remote=punix:{self.socket}")
            lab.wait_for(self.socket.exists, 30, "ovsdb-server listens")
            self.set("--no-wait", "init")
            self.set("--no-wait", *self.configuration())
            self.daemon("ovs-vswitchd-dpdk", f"unix:{self.socket}")
            self.set("show", seconds=START_SECONDS)
            self.set("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=netdev")
        except BaseException:
            self.close()
            raise

    def configuration(self):
        """What an administrator types, but for folder and limits."""
        extra = ["--no-pci", f"--file-prefix={lab.PREFIX}{self.name}", "--telemetry"]
        extra += recipe() if self.how.ops == "magazine" else lab.handler(self.how)
        words = ["set", "Open_vSwitch", ".", "other_config:dpdk-init=true"]
        words += ["other_config:per-port-memory=true", "other_config:pmd-cpu-mask=0x2"]
        if lab.has_hugepages():
            words.append(f'other_config:dpdk-hugepage-dir="{lab.HUGE}"')
            words.append(f'other_config:dpdk-socket-limit="{HUGE_MB}"')
        else:
            extra += ["--no-huge", "-m", str(lab.NO_HUGE_MB)]
        return [*words, f'other_config:dpdk-extra="{" ".join(extra)}"']

    def daemon(self, name, *words):
        log = ["-vconsole:off", f"--log-file={self.folder / name}.log"]
        control = f"--unixctl={self.folder / name}.ctl"
        process = lab.start(name, *words, *log, control, env=self.env, stdout=subprocess.DEVNULL)
        self.processes.append(process)

    def run(self, *command, **more):
        try:
            return lab.run(*command, env=self.env, **more)
        except tap.Failure as why:
            raise tap.Failure(f"{why}\n{self.describe()}") from None

    def describe(self):
        return lab.last_lines(self.log.read_text()) if self.log.exists() else ""

    def set(self, *words, seconds=lab.COMMAND_SECONDS):
        """ovs-vsctl, which waits until the switch has done what it was told."""
        return self.run("ovs-vsctl", f"--db=unix:{self.socket}", *words, seconds=seconds)

    def ask(self, *words):
        return self.run("ovs-appctl", "-t", self.folder / "ovs-vswitchd-dpdk.ctl", *words)

    def add(self, port, devargs=None, queues=1):
        words = ["add-port", "br0", port]
        if devargs:
            words += ["--", "set", "interface", port, "type=dpdk", f"options:n_rxq={queues}"]
            words.append(f'options:dpdk-devargs="{devargs}"')
        self.set(*words)
        error = self.set("get", "interface", port, "error").strip()
        tap.check(error == "[]", f"{port} is not added: {error}\n{self.describe()}")

    def delete(self, port):
        self.set("del-port", "br0", port)

    def pools(self):
        """Those of the packets, which bear the switch's name."""
        found = lab.parse_pools(self.ask("netdev-dpdk/get-mempool-info"))
        pools = [pool for pool in found if pool.name.startswith("ovs")]
        wrong = [pool for pool in pools if pool.ops != self.how.ops]
        tap.check(pools and not wrong, f"pools, all of {self.how.ops}: {found}")
        return pools

    def require_all_back(self):
        """With no port left, every mbuf is in its pool."""
        lab.wait_for(
            lambda: all(pool.free == pool.size for pool in self.pools()),
            20,
            f"every mbuf back: {self.pools()}",
        )

    def close(self):
        statuses = [lab.end(process) for process in reversed(self.processes)]
        for process in self.processes:
            tap.check(process.returncode is not None, "still there")
        return statuses


class Net:
    """The switch with its three ports."""

    def __init__(self, root, how):
        self.rooms = {}
        with contextlib.ExitStack() as undo:
            for name in ("b", "c"):
                self.rooms[name] = lab.Room(name)
                undo.callback(self.rooms[name].close)
                lab.veth(f"ovs-{name}", f"end-{name}")
                self.rooms[name].take(f"end-{name}", f"{ADDRESS[name]}/24")
            self.switch = Switch(root, how)
            undo.callback(self.switch.close)
            self.switch.add("pa", TAP, TAP_QUEUES)
            lab.run("ip", "address", "add", f"{ADDRESS['a']}/24", "dev", "ovs-a")
            lab.run("ip", "link", "set", "ovs-a", "up")
            self.switch.add("pb", AF_PACKET)
            self.switch.add("ovs-c")
            undo.pop_all()

    def inside(self, room, *command):
        return self.rooms[room].inside(*command) if room in self.rooms else list(command)

    def reach(self, room, there):
        """Wait for the first answer: links come up, addresses are resolved."""
        ping = self.inside(room, "ping", "-qnc", "1", "-W", "1", ADDRESS[there])
        lab.wait_for(
            lambda: "1 received" in lab.run(*ping, status=None), 30, f"{room} reaches {there}"
        )

    def lost(self, room, there, count=PINGS, size=56):
        """Pings that were not answered."""
        self.reach(room, there)
        said = lab.run(
            *self.inside(room, "ping", "-qn", "-c", count, "-i", "0.005", "-W", "5"),
            *("-M", "do", "-s", size, ADDRESS[there]),
            status=None,
        )
        found = re.search(r"(\d+) packets transmitted, (\d+) received", said)
        tap.check(found, f"ping of {size} bytes from {room} to {there}: {said}")
        return int(found[1]) - int(found[2])

    def megabits(self, room, there, *more):
        """TCP as iperf3 measures it."""
        server = lab.start(*self.inside(there, "iperf3", "-s", "-1", "--forceflush"))
        try:
            lab.wait_for(lambda: "listening" in server.stdout.readline(), 10, "iperf3 listens")
            client = ["iperf3", "-c", ADDRESS[there], "-t", TCP_SECONDS, "-f", "m", *more]
            said = lab.run(*self.inside(room, *client), seconds=TCP_SECONDS + 60)
        finally:
            server.kill()
            server.communicate()
        rate = re.search(r"([\d.]+) Mbits/sec +receiver", said)
        tap.check(rate and float(rate[1]) > 0, f"TCP from {room} to {there}: {said}")
        return float(rate[1])

    def resize(self, mtu):
        """Ports and both ends; the switch makes another pool for other mbufs."""
        self.switch.set("set", "interface", "pa", f"mtu_request={mtu}")
        self.rooms["c"].run("ip", "link", "set", "end-c", "mtu", mtu)
        got = self.switch.set("get", "interface", "pa", "mtu").strip()
        tap.check(got == str(mtu), f"MTU {mtu} was asked for, and is {got}")

    def close(self):
        with contextlib.ExitStack() as stack:
            for room in self.rooms.values():
                stack.callback(room.close)
            stack.callback(self.switch.close)


def traffic(net):
    """Loss of pings on each way, and TCP on each."""
    ways = (("a", "b"), ("b", "a"), ("a", "c"), ("c", "b"))
    lost = {way: net.lost(*way) + net.lost(*way, size=1400) for way in ways}
    rates = {way: net.megabits(*way) for way in ways}
    return lost, rates


def mtu_changes(net):
    lost = {}
    for mtu in MTUS:
        net.resize(mtu)
        lost[mtu] = net.lost("a", "c", 50, mtu - 28)
    return lost


def port_cycles(net):
    """A port goes and comes; the last one works, and there are no more pools than before."""
    before = len(net.switch.pools())
    for _ in range(CYCLES):
        net.switch.delete("pb")
        net.switch.add("pb", AF_PACKET)
    after = len(net.switch.pools())
    tap.check(after <= before + 1, f"{before} pools before, {after} after {CYCLES} cycles")
    return net.lost("a", "b", 50)


def ends_in_order(net):
    for port in ("pa", "pb", "ovs-c"):
        net.switch.delete(port)
    net.switch.require_all_back()
    net.switch.ask("exit", "--cleanup")
    status = lab.patience.wait(net.switch.processes[1], 60)
    tap.check(status == 0, f"ovs-vswitchd: status {status}\n{net.switch.describe()}")
    log = net.switch.log.read_text()
    lab.require_quiet(net.switch.how, log)
    tap.check("|EMER|" not in log, net.switch.describe())


def main():
    if lab.outside():
        try:
            installed()  # with the machine's network, to download by
        except (tap.Skip, tap.Failure) as why:
            lab.skip_all(why)
    lab.enter()
    expected = {}
    for how in lab.chosen_runs():
        net = None
        with tap.case(f"{how.name}: ping and TCP between three ports"):
            lab.need_tools(
                ip="iproute2", iperf3="iperf3", ping="iputils-ping", nsenter="util-linux"
            )
            net = Net(installed(), how)
            lost, rates = traffic(net)
            tap.note(f"{how.name}: {rates} Mbit/s")
            allowed = expected.setdefault("lost", lost)
            tap.check(
                all(lost[way] <= allowed[way] for way in lost), f"lost {lost}, default {allowed}"
            )
        for name, step in (
            ("changes of MTU", mtu_changes),
            (f"a port deleted and added {CYCLES} times", port_cycles),
            ("every mbuf back, and an end in order", ends_in_order),
        ):
            with tap.case(f"{how.name}: {name}"):
                if net is None:
                    raise tap.Skip("no switch to try it with")
                result = step(net)
                allowed = expected.setdefault(name, result)
                tap.check(result == allowed, f"{result}, default {allowed}")
        if net is not None:
            net.close()
    tap.finish()


main()
