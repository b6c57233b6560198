# SPDX-License-Identifier: BSD-3-Clause
"""A place for applications: processes, mounts and network of the script's own.

enter() starts the script again as the first process of new namespaces. Whatever it makes there,
processes, hugepages, interfaces, sockets and files below /mnt, is gone when it ends, whichever way
it ends. Nothing of the machine's network is seen, and a service of the machine notices nothing.

Each application runs four times, see RUNS: its results with the default handler are what the
others are held against.
"""

import collections
import contextlib
import ctypes
import fcntl
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "dataplane"), str(TEST.parent / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD") or TEST.parent / "build")
PLUGIN = pathlib.Path(
    os.environ.get("MAGAZINE_PLUGIN")
    or BUILD / "drivers/mempool/magazine/librte_mempool_magazine.so"
)
PREFIX = os.environ.get("MAGAZINE_FILE_PREFIX") or f"magazine-{os.getpid()}-"
FULL = os.environ.get("MAGAZINE_FULL") == "1"
KEPT = BUILD / "apps"  # what was downloaded or built, for the next time
HERE = pathlib.Path("/mnt")  # a tmpfs, seen by nobody else
NO_HUGE_MB = 512
ENOUGH_HUGEPAGES_MB = 256
COMMAND_SECONDS = 60

HUGE = None  # where we have hugepages, if we do

Run = collections.namedtuple("Run", "name ops options")
RUNS = (
    Run("default", "ring_mp_mc", None),
    Run("magazine", "magazine", None),
    Run("magazine, cache=0", "magazine", "cache=0"),
    Run("magazine, guard=1", "magazine", "guard=1"),
)
# What the driver says when something is wrong; and a program that died.
COMPLAINT = re.compile(
    r"magazine: .*(?:refused|freed while|double|not out|stuck|lost|corrupt|cannot|failed)"
    r"|panic|PANIC"
)
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None, use_errno=True)

signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def chosen_runs():
    """Those that the command line names, or all."""
    return [how for how in RUNS if how.name in sys.argv[1:]] or list(RUNS)


def skip_all(why):
    """The whole script cannot run here."""
    print(f"1..0 # SKIP {why}", flush=True)
    sys.exit(0)


def outside():
    """Whether enter() is still to come: there is the machine's network, to download by."""
    return os.environ.get("MAGAZINE_LAB") != "1"


def enter():
    """Go on in namespaces of our own."""
    if outside():
        if os.getuid() != 0:
            skip_all("namespaces, and a network of one's own, need root")
        apart = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        apart = ["setpriv", "--pdeathsig", "KILL", "--", *apart, "--"]
        if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode:
            skip_all("this machine, or container, allows no namespaces of one's own")
        os.environ["MAGAZINE_LAB"] = "1"
        os.execvp(apart[0], [*apart, sys.executable, "-B", *sys.argv])
    run("mount", "-t", "tmpfs", "-o", "mode=755", "lab", str(HERE))
    run("ip", "link", "set", "lo", "up")
    os.environ["RUNTIME_DIRECTORY"] = str(HERE)
    global HUGE
    if _free_hugepages_mb() < ENOUGH_HUGEPAGES_MB or os.environ.get("MAGAZINE_HUGE") == "0":
        return
    mounts = [line.split() for line in pathlib.Path("/proc/mounts").read_text().splitlines()]
    # Over that of the machine, if it has one: for programs that look for it by themselves.
    where = [pathlib.Path(path) for _, path, kind, *_ in mounts if kind == "hugetlbfs"]
    where = where[0] if where else HERE / "huge"
    where.mkdir(exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "hugetlbfs", "-o", "pagesize=2M", "lab", str(where)], check=False
    )
    HUGE = where if done.returncode == 0 else None


def _free_hugepages_mb():
    """Free hugepages of 2 MB, in MB."""
    try:
        pages = pathlib.Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
        return 2 * int(pages.read_text())
    except (OSError, ValueError):
        return 0


def has_hugepages():
    return HUGE is not None


def need_tools(**packages):
    """Skip without one of the tools: its name, and the Debian package that has it."""
    missing = {tool: name for tool, name in packages.items() if shutil.which(tool) is None}
    if missing:
        tools, names = " and ".join(missing), " ".join(sorted(set(missing.values())))
        raise tap.Skip(f"no {tools} here (Debian: apt-get install {names})")


def run(*command, seconds=COMMAND_SECONDS, status=0, **more):
    """Run a command to its end; its output, of both streams. Another status than this fails."""
    text = " ".join(map(str, command))
    with start(*command, **more) as process:
        try:
            output = ended(process, seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            said = process.communicate()[0]
            raise tap.Failure(f"not ended within {seconds} s: {text}\n{said}") from None
    tap.check(
        status is None or process.returncode == status,
        f"status {process.returncode}: {text}\n{last_lines(output)}",
    )
    return output


def start(*command, **more):
    """A process whose output can be read, which dies with this script."""
    more.setdefault("stdin", subprocess.DEVNULL)
    more.setdefault("stdout", subprocess.PIPE)
    return subprocess.Popen(
        [str(word) for word in command],
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        preexec_fn=lambda: LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0),
        **more,
    )


def ended(process, seconds):
    """The output of a process when it has ended; the limit grows with the load."""
    deadline = patience.Deadline(seconds)
    while True:
        try:
            return process.communicate(timeout=deadline.left() or 0.01)[0]
        except subprocess.TimeoutExpired:
            if not deadline.left():
                raise


def end(process, number=signal.SIGTERM, seconds=30):
    """End a process in order, or else by force; its exit status."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return patience.wait(process, seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def last_lines(text, count=25):
    return "\n".join(text.splitlines()[-count:])


def wait_for(condition, seconds, what):
    """Poll condition() until it returns something true; return that, or fail in time."""
    value = patience.until(condition, seconds)
    tap.check(value, f"not within {seconds} s: {what}")
    return value


def environment(how, **more):
    """That of an application in one of RUNS."""
    made = {key: value for key, value in os.environ.items() if key != "MAGAZINE_OPTIONS"}
    if how.options:
        made["MAGAZINE_OPTIONS"] = how.options
    return {**made, **more}


def eal(how, name, lcores=1, plugins=()):
    """EAL's part of the command line; lcores are folded on the CPUs there are."""
    cpus = sorted(os.sched_getaffinity(0))
    places = ",".join(f"{i}@{cpus[i % len(cpus)]}" for i in range(lcores))
    words = ["--lcores", places, "--no-pci", f"--file-prefix={PREFIX}{name}"]
    words += [f"--huge-dir={HUGE}"] if has_hugepages() else ["--no-huge", "-m", str(NO_HUGE_MB)]
    return words + handler(how) + [word for plugin in plugins for word in ("-d", plugin)]


def handler(how):
    """EAL's words that select the handler of the pools."""
    words = [f"--mbuf-pool-ops-name={how.ops}"]
    return words + (["-d", str(PLUGIN)] if how.ops == "magazine" else [])


def require_quiet(how, output):
    """Neither the driver nor EAL complained."""
    found = [line for line in output.splitlines() if COMPLAINT.search(line)]
    tap.check(not found, f"{how.name}: complaints:\n" + "\n".join(found[:10]))


# Pools


Pool = collections.namedtuple("Pool", "name ops size free cached_at_most")


def parse_pools(text):
    """The pools of an output of rte_mempool_list_dump()."""
    pools = []
    for part in re.split(r"^mempool ", text, flags=re.MULTILINE)[1:]:
        fields = dict(re.findall(r"^ +(\w+)=(\d+)", part, re.MULTILINE))
        ops = re.search(r"ops_name: <([^>]*)>", part)
        tap.check(ops and "size" in fields, f"a pool without size or handler:\n{part}")
        free = int(fields["common_pool_count"]) + int(fields.get("total_cache_count", 0))
        name = re.match(r"<?([^>@]*)", part)[1]
        pools.append(Pool(name, ops[1], int(fields["size"]), free, fields.get("cache_size")))
    return pools


def telemetry(name, query):
    """Ask the application of that name; None if it does not know the query."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
        client.settimeout(patience.scaled(COMMAND_SECONDS))
        client.connect(str(HERE / "dpdk" / f"{PREFIX}{name}" / "dpdk_telemetry.v2"))
        client.recv(1 << 14)
        client.send(query.encode())
        return json.loads(client.recv(1 << 16)).get(query.split(",")[0])


# Network


class Room:
    """A network namespace, which is that of a sleeping process."""

    def __init__(self, name):
        self.name = name
        own = os.readlink("/proc/self/ns/net")
        self.process = start("unshare", "--net", "--", "sleep", "infinity")
        self.pid = self.process.pid
        wait_for(lambda: os.readlink(f"/proc/{self.pid}/ns/net") != own, 10, "a namespace")
        self.run("ip", "link", "set", "lo", "up")

    def inside(self, *command):
        return ["nsenter", "-t", str(self.pid), "--net", "--", *map(str, command)]

    def run(self, *command, **more):
        return run(*self.inside(*command), **more)

    def take(self, interface, address):
        """Move an interface of ours in there, with this address."""
        run("ip", "link", "set", interface, "netns", self.pid)
        self.run("ip", "address", "add", address, "dev", interface)
        self.run("ip", "link", "set", interface, "up")

    def close(self):
        self.process.kill()
        self.process.communicate()


def veth(ours, theirs):
    """A pair of interfaces whose checksums are calculated before packets are seen."""
    run("ip", "link", "add", ours, "type", "veth", "peer", "name", theirs)
    for interface in (ours, theirs):
        run("sysctl", "-qw", f"net.ipv6.conf.{interface}.disable_ipv6=1", status=None)
        _checksums_by_software(interface)
    run("ip", "link", "set", ours, "up")


def _checksums_by_software(interface):
    """ETHTOOL_STXCSUM 0: a packet socket would see frames whose checksum is still to be done."""
    siocethtool, stxcsum = 0x8946, 0x17
    value = ctypes.create_string_buffer(struct.pack("II", stxcsum, 0))
    request = struct.pack("16sP", interface.encode(), ctypes.addressof(value))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as anything:
        fcntl.ioctl(anything, siocethtool, request.ljust(40, b"\0"))


@contextlib.contextmanager
def closing(*things):
    """End all of them, the last first."""
    with contextlib.ExitStack() as stack:
        for thing in things:
            stack.callback(thing.close)
        yield things


# Recipes


def recipe(title):
    """The lines to type in a section of the document, with our plugin in them."""
    text = (TEST.parent / "doc/guide/recipes.rst").read_text()
    section = re.search(rf"^{re.escape(title)}\n-+\n(.*?)(?=^[^\n]+\n---|\Z)", text, re.M | re.S)
    tap.check(section, f"recipes.rst has no section {title}")
    blocks = re.findall(r"code-block:: console\n\n((?:   .*\n)+)", section[1])
    text = "".join(blocks).replace("\\\n", " ").replace("$PLUGIN", str(PLUGIN))
    return [line.strip() for line in text.splitlines()]
