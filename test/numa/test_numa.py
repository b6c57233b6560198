#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The driver on machines with several NUMA nodes, which qemu emulates: any processor will do.

Each machine has Debian's kernel, which is downloaded once into the build folder, and an initramfs
with busybox and the program of nodes_test.c; its results come by the second serial port, the
kernel's words by the first. With arguments, only machines of these names.
"""

import contextlib
import os
import pathlib
import platform
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import typing

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "dataplane"), str(TEST.parent / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

BUILD = pathlib.Path(os.environ.get("MAGAZINE_BUILD") or TEST.parent / "build")
PLUGIN = pathlib.Path(
    os.environ.get("MAGAZINE_PLUGIN")
    or BUILD / "drivers/mempool/magazine/librte_mempool_magazine.so"
)
FULL = os.environ.get("MAGAZINE_FULL") == "1"
PROGRAM = BUILD / "test/numa/numa_guest"
KERNELS = BUILD / "kernel"
KERNEL_PACKAGE = "linux-image-cloud-amd64"
QEMU = "qemu-system-x86_64"

SECONDS = 900 if FULL else 300  # for each machine; 30 on an idle host
APT_SECONDS = 120
CPUS = 8
MEGABYTES = 1024  # of each machine, shared evenly by its nodes
HUGEPAGES = 24  # of each node
MODES = ("dynamic", "legacy", "no-huge")

# By node: distances to all. With four, no node's order is that of the numbers or that of another
# node, and the way back is not as long as the way there, so that orders also differ when rows are
# taken for columns.
MACHINES = {
    "two": ((10, 21), (21, 10)),
    "four": ((10, 40, 20, 30), (25, 10, 30, 20), (20, 30, 10, 50), (30, 20, 50, 10)),
}

INIT = """#!/bin/sh
# EAL loads no plugin from below a folder that all may write to.
/bin/busybox chmod 755 /
/bin/busybox mkdir -p /proc /sys /dev /var/run /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mkdir -p /dev/hugepages
/bin/busybox mount -t hugetlbfs -o pagesize=2M hugetlbfs /dev/hugepages
exec >/dev/ttyS1 2>&1
for node in /sys/devices/system/node/node*; do
	echo {hugepages} >$node/hugepages/hugepages-2048kB/nr_hugepages
done
export LD_LIBRARY_PATH=/lib CMOCKA_MESSAGE_OUTPUT=TAP
for mode in {modes}; do
	echo "== $mode begins"
	read -r begin rest </proc/uptime
	/numa_guest /{plugin} $mode '{distances}'
	echo "== $mode ends: $?"
	read -r end rest </proc/uptime
	echo "# $begin to $end s"
	/bin/busybox rm -rf /dev/hugepages/*
done
/bin/busybox poweroff -f
"""

# Told to end, the script unwinds, and so ends the machines and removes its folder.
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def need_tools():
    if platform.machine() != "x86_64":
        raise tap.Skip(f"the machines are x86-64, what was built is for {platform.machine()}")
    for tool, package in ((QEMU, "qemu-system-x86"), ("busybox", "busybox-static")):
        if shutil.which(tool) is None:
            raise tap.Skip(f"{tool} is not installed: it is in the package {package}")
    tap.check(PROGRAM.exists(), f"{PROGRAM} is missing: build it with ninja -C {BUILD}")


def apt(tool, *arguments, folder=None):
    command = [
        tool,
        *(
            (
                "-q",
                "-o",
                "APT::Sandbox::User=root",
                "-o",
                "Acquire::Retries=1",
                "-o",
                "Acquire::http::Timeout=20",
                "-o",
                "DPkg::Lock::Timeout=60",
            )
            if tool == "apt-get"
            else ()
        ),
        *arguments,
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience.scaled(APT_SECONDS),
    )
    return done.returncode == 0, done.stdout


def download_kernel(folder):
    """The package of Debian's newest kernel, unpacked below folder; what went wrong, or None."""
    package = KERNEL_PACKAGE
    # Since 2026 the image is in a package of its own that linux-image-VERSION depends on.
    for kind in ("image", "binary"):
        _, depends = apt("apt-cache", "depends", package)
        found = re.search(rf"Depends: (linux-{kind}-\S+)", depends)
        if found:
            package = found[1]
    if package == KERNEL_PACKAGE:
        return f"no package {KERNEL_PACKAGE}"
    done, said = apt("apt-get", "download", package, folder=folder)
    if not done:
        return f"cannot download {package}: {said.strip().splitlines()[-1]}"
    for file in pathlib.Path(folder).glob("*.deb"):
        subprocess.run(
            ["dpkg-deb", "-x", file, folder], check=True, timeout=patience.scaled(APT_SECONDS)
        )
    return None


def find_kernel():
    """Path of a kernel, which stays in the build folder."""
    here = sorted(KERNELS.glob("vmlinuz-*"))
    if here:
        return here[-1]
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise tap.Skip(
            "no kernel: this is no Debian; put one with hugetlbfs and NUMA into "
            f"{KERNELS}/vmlinuz-VERSION"
        )
    KERNELS.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=KERNELS) as folder:
        wrong = download_kernel(folder)
        if wrong:
            apt("apt-get", "update")
            wrong = download_kernel(folder)
        if wrong:
            raise tap.Skip(f"no kernel: {wrong}")
        for kernel in pathlib.Path(folder).glob("boot/vmlinuz-*"):
            return kernel.rename(KERNELS / kernel.name)
        for kernel in pathlib.Path(folder).glob("usr/lib/modules/*/vmlinuz"):
            return kernel.rename(KERNELS / f"vmlinuz-{kernel.parent.name}")
    raise tap.Skip(f"no kernel: {KERNEL_PACKAGE} has none")


def libraries(program):
    """Paths of all shared libraries that a program needs, its loader included."""
    said = subprocess.run(
        ["ldd", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return {pathlib.Path(path) for path in re.findall(r"(/\S+) \(0x", said)}


class Archive:
    """An initramfs: a cpio archive of the kind "newc"."""

    def __init__(self):
        self.data = bytearray()
        self.inode = 0

    def add(self, name, mode, content=b""):
        self.inode += 1
        fields = (self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
        self.data += (
            b"070701" + b"".join(b"%08X" % field for field in fields) + name.encode() + b"\0"
        )
        self.data += bytes(-len(self.data) % 4) + content
        self.data += bytes(-len(self.data) % 4)

    def add_folder(self, name):
        self.add(name, stat.S_IFDIR | 0o755)

    def add_program(self, path, name):
        self.add(name, stat.S_IFREG | 0o755, pathlib.Path(path).read_bytes())

    def finish(self):
        self.add("TRAILER!!!", 0)
        return bytes(self.data)


def find_libraries(busybox):
    """Paths of all shared libraries that are needed, by their name."""
    needed = {}
    # The program's libmagazine is the one with all names: it is also the plugin's there.
    for program in (PLUGIN, PROGRAM):
        needed.update({path.name: path for path in libraries(program)})
    # A static busybox has none.
    with contextlib.suppress(subprocess.CalledProcessError):
        needed.update({path.name: path for path in libraries(busybox)})
    # pthread_exit() loads it.
    unwinder = next(iter(sorted(needed["libc.so.6"].parent.glob("libgcc_s.so.1"))), None)
    return needed | ({unwinder.name: unwinder} if unwinder else {})


def find_default_ops(eal):
    """The driver that rte_mempool_create_empty() gives a pool first, where EAL looks for it."""
    found = sorted(eal.resolve().parent.glob("dpdk/pmds-*/librte_mempool_ring.so"))
    tap.check(found, f"no librte_mempool_ring.so below {eal.resolve().parent}")
    return found[-1]


def make_initramfs(distances):
    archive = Archive()
    busybox = shutil.which("busybox")
    needed = find_libraries(busybox)
    ops = find_default_ops(
        next(path for name, path in needed.items() if name.startswith("librte_eal.so"))
    )
    for folder in (
        "bin",
        "lib",
        "lib64",
        *reversed([str(parent)[1:] for parent in ops.parents][:-1]),
    ):
        archive.add_folder(folder)
    archive.add_program(busybox, "bin/busybox")
    archive.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    archive.add_program(PROGRAM, PROGRAM.name)
    archive.add_program(PLUGIN, PLUGIN.name)
    archive.add_program(ops, str(ops)[1:])
    for name, path in sorted(needed.items()):
        archive.add_program(path, f"{'lib64' if name.startswith('ld-linux') else 'lib'}/{name}")
    rows = ";".join(",".join(map(str, row)) for row in distances)
    init = INIT.format(
        hugepages=HUGEPAGES, modes=" ".join(MODES), plugin=PLUGIN.name, distances=rows
    )
    archive.add("init", stat.S_IFREG | 0o755, init.encode())
    return archive.finish()


class Machine(typing.NamedTuple):
    """One that runs, and the files that it writes."""

    name: str
    nodes: int
    process: subprocess.Popen
    begin: float
    console: pathlib.Path
    results: pathlib.Path

    def wait(self):
        """What it said; Failure when it has not come to its end."""
        self.process.wait()
        console = self.console.read_text(errors="replace") if self.console.exists() else ""
        results = self.results.read_text(errors="replace") if self.results.exists() else ""
        spans = ", ".join(re.findall(r"^# (\S+ to \S+ s)", results, re.MULTILINE))
        tap.note(
            f"{self.nodes} nodes: {time.monotonic() - self.begin:.1f} s, programs by their clock: "
            f"{spans}"
        )
        words = f"the kernel's last words:\n{console[-2000:]}\nthe program's:\n{results[-2000:]}"
        tap.check(self.process.returncode != 124, f"stopped after {SECONDS} s; {words}")
        tap.check(
            self.process.returncode == 0, f"{QEMU}: exit status {self.process.returncode}; {words}"
        )
        tap.check(f"== {MODES[-1]} ends:" in results, f"it has not come to its end; {words}")
        return results.replace("\r", "")


def start(name, kernel, folder):
    distances = MACHINES[name]
    nodes, initramfs = len(distances), folder / f"{name}.cpio"
    cpus, megabytes = CPUS // nodes, MEGABYTES // nodes
    console, results = folder / f"{name}.console", folder / f"{name}.results"
    initramfs.write_bytes(make_initramfs(distances))
    # timeout(1), since this script may be killed.
    command = [
        "timeout",
        "-k",
        "5",
        str(patience.scaled(SECONDS)),
        QEMU,
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
        "-display",
        "none",
        "-machine",
        "pc",
        "-accel",
        "tcg,thread=multi",
        "-cpu",
        "max",
        "-smp",
        str(CPUS),
        "-m",
        str(MEGABYTES),
        "-kernel",
        kernel,
        "-initrd",
        initramfs,
        "-append",
        "console=ttyS0 loglevel=4 panic=-1 no_timer_check mitigations=off random.trust_cpu=on",
        "-serial",
        f"file:{console}",
        "-serial",
        f"file:{results}",
    ]
    for node in range(nodes):  # all of them before the first distance
        command += [
            "-object",
            f"memory-backend-ram,id=memory{node},size={megabytes}M",
            "-numa",
            f"node,nodeid={node},cpus={node * cpus}-{(node + 1) * cpus - 1},memdev=memory{node}",
        ]
    for node, row in enumerate(distances):
        for to, distance in enumerate(row):
            command += ["-numa", f"dist,src={node},dst={to},val={distance}"]
    process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL)
    return Machine(name, nodes, process, time.monotonic(), console, results)


def stop(machine):
    """End a machine that still runs: timeout(1) passes the signal on."""
    machine.process.terminate()
    machine.process.wait()


def report_mode(label, said, status):
    """A case for each result of a program in one mode; what went wrong it says after the result."""
    parts = re.split(r"^(not ok|ok) \d+ - (.*)\n", said, flags=re.MULTILINE)
    failed = 0
    for result, name, why in zip(parts[1::3], parts[2::3], parts[3::3]):
        failed += result != "ok"
        # Behind the name may be why its setup failed.
        name, *more = name.split(maxsplit=1)
        with tap.case(f"{label}: {name}"):
            tap.check(result == "ok", "\n".join(more + [why]))
    with tap.case(f"{label}: the program comes to its end"):
        plan = re.search(r"^1\.\.(\d+)", said, re.MULTILINE)
        tap.check(
            plan and len(parts) // 3 == int(plan[1]) and status == str(failed),
            f"exit status {status}, {len(parts) // 3} results:\n{said[-2000:]}",
        )


def report(machine):
    said = None
    with tap.case(f"a machine of {machine.nodes} nodes runs"):
        said = machine.wait()
    if said is None:
        return
    for mode in MODES:
        part = re.search(
            f"^== {mode} begins\n(.*)^== {mode} ends: (\\d+)$", said, re.MULTILINE | re.DOTALL
        )
        report_mode(
            f"{machine.nodes} nodes, {mode}", part[1] if part else "", part[2] if part else "none"
        )


def main():
    kernel, machines = None, []
    with tap.case("machines with several nodes can be had"):
        wrong = set(sys.argv[1:]) - set(MACHINES)
        tap.check(
            not wrong, f"no machine {', '.join(sorted(wrong))}: there are {', '.join(MACHINES)}"
        )
        need_tools()
        kernel = find_kernel()
        tap.note(f"kernel {kernel.name}")
    if kernel:
        with tempfile.TemporaryDirectory(prefix="magazine-numa-") as folder:
            try:
                for name in sys.argv[1:] or MACHINES:
                    machines.append(start(name, kernel, pathlib.Path(folder)))
                for machine in machines:
                    report(machine)
            finally:
                for machine in machines:
                    stop(machine)
    tap.finish()


main()
