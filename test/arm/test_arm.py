#!/usr/bin/env -S python3 -B
# SPDX-License-Identifier: BSD-3-Clause
"""The unit programs on AArch64: built by a cross compiler, run by qemu, which emulates the
processor and its memory tags.

DPDK and the other libraries are Debian's packages of that architecture. They are downloaded once,
by an apt of their own that leaves the machine's alone, and unpacked below build-arm. With
arguments, only programs of these names.
"""

import fcntl
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

TEST = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "dataplane"), str(TEST.parent / "app")]

import patience  # noqa: E402
import tap  # noqa: E402

ROOT = TEST.parent
HERE = ROOT / "build-arm"
SYSROOT = HERE / "sysroot"
BUILD = HERE / "build"
CROSS = HERE / "cross.ini"

COMPILER = "aarch64-linux-gnu-gcc"
EMULATOR = "qemu-aarch64"
CPU = "max"

TIMES = 4 if os.environ.get("MAGAZINE_FULL") == "1" else 1
PROGRAM_SECONDS = 120 * TIMES  # 13 for the longest on an idle host
BUILD_SECONDS = 300 * TIMES
APT_SECONDS = 240
JOBS = 2

PACKAGES = ("libdpdk-dev", "libnuma-dev", "libcmocka-dev")
# Of what they depend on: libraries, but no drivers, which EAL would load each time. The one of
# rings is what a pool has before it is given another.
NEEDED = re.compile(r"(?:lib|zlib|linux-libc-dev)")
NOT_NEEDED = re.compile(
    r"libperl|librte-meta-|librte-(?!mempool-ring)"
    r"(?:baseband|bus|common|compress|crypto|dma|event|gpu|mempool|ml|net|power|raw|regex|vdpa)-"
)

# Also on this processor, which has no memory tags, nor compare-exchange instructions.
OLD_CPU = "cortex-a72"
ALSO_OLD = ("depot", "memtag")

# Programs that make no sense here, and why.
LEFT_OUT = {
    "copies": "executes itself, which emulation of one process does not go along with",
    "fork": "its children start threads and execute it, which emulation of one process does not go "
    "along with",
    "stops": "goes instruction by instruction, on x86-64 only",
}

APT_CONFIG = """APT::Architecture "arm64";
APT::Architectures {{ "arm64"; }};
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Retries "1";
Acquire::http::Timeout "20";
Dir::State "{folder}/state";
Dir::State::status "{folder}/state/status";
Dir::Cache "{folder}/cache";
"""

CROSS_FILE = f"""[constants]
sysroot = '{SYSROOT}'
libraries = sysroot / 'usr/lib/aarch64-linux-gnu'

[binaries]
c = '{COMPILER}'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
pkg-config = 'pkg-config'
exe_wrapper = ['{EMULATOR}', '-cpu', '{CPU}', '-L', sysroot]

[properties]
sys_root = sysroot
pkg_config_libdir = [libraries / 'pkgconfig', sysroot / 'usr/share/pkgconfig']

[built-in options]
c_args = ['--sysroot=' + sysroot]
c_link_args = ['--sysroot=' + sysroot]

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'aarch64'
endian = 'little'
"""


def last_line(text):
    return (text.strip().splitlines() or ["no word of why"])[-1]


def need_tools():
    if platform.machine() == "aarch64":
        raise tap.Skip("this is AArch64: what is built here is that already")
    for tool, package in ((COMPILER, "gcc-aarch64-linux-gnu"), (EMULATOR, "qemu-user")):
        if shutil.which(tool) is None:
            raise tap.Skip(f"{tool} is not installed: it is in the package {package}")


class Apt:
    """One that knows this architecture alone, and has its lists and archives below a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        for name in ("state/lists/partial", "cache/archives/partial", "debs"):
            (self.folder / name).mkdir(parents=True)
        (self.folder / "state/status").touch()
        config = self.folder / "apt.conf"
        config.write_text(APT_CONFIG.format(folder=self.folder))
        self.environment = dict(os.environ, APT_CONFIG=str(config), LC_ALL="C")

    def get(self, *arguments, folder=None):
        done = subprocess.run(
            ["apt-get", "-q", "-y", *arguments],
            env=self.environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=patience.scaled(APT_SECONDS),
        )
        if done.returncode != 0:
            raise tap.Skip(
                f"no libraries for AArch64: apt-get {arguments[0]}: {last_line(done.stdout)}"
            )
        return done.stdout

    def download(self):
        """The packages, as files."""
        self.get("update")
        said = self.get("install", "--print-uris", *PACKAGES)
        names = [
            name
            for name in re.findall(r"^'\S+' ([^\s_]+)_", said, re.MULTILINE)
            if NEEDED.match(name) and not NOT_NEEDED.match(name)
        ]
        self.get("download", *names, folder=self.folder / "debs")
        return sorted((self.folder / "debs").glob("*.deb"))


def unpack(package, folder):
    """Into a folder where /lib leads to /usr/lib, whether the package knows of that or not."""
    with subprocess.Popen(["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE) as files:
        subprocess.run(
            ["tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", folder],
            stdin=files.stdout,
            check=True,
            timeout=patience.scaled(APT_SECONDS),
        )


def make_sysroot():
    if SYSROOT.exists():
        return
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise tap.Skip(
            "no libraries for AArch64: this is no Debian; put DPDK, libnuma and cmocka into "
            f"{SYSROOT}"
        )
    with tempfile.TemporaryDirectory(prefix="download-", dir=HERE) as folder:
        try:
            packages = Apt(folder).download()
        except subprocess.TimeoutExpired as late:
            raise tap.Skip(
                f"no libraries for AArch64: stopped after {late.timeout:.0f} s"
            ) from late
        root = pathlib.Path(folder) / "root"
        (root / "usr/lib").mkdir(parents=True)
        (root / "lib").symlink_to("usr/lib")
        for package in packages:
            unpack(package, root)
        root.rename(SYSROOT)


def say(command):
    """Its exit status and what it said."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=patience.scaled(BUILD_SECONDS),
    )
    return done.returncode, done.stdout


def build():
    """The unit programs; as meson describes them."""
    if not CROSS.exists() or CROSS.read_text() != CROSS_FILE:
        shutil.rmtree(BUILD, ignore_errors=True)
        CROSS.write_text(CROSS_FILE)
    if not (BUILD / "build.ninja").exists():
        shutil.rmtree(BUILD, ignore_errors=True)
        status, said = say(["meson", "setup", "--cross-file", CROSS, BUILD, ROOT])
        tap.check(status == 0, f"meson setup: {said[-2000:]}")
    # A new source file is known only when meson has looked again.
    status, said = say(["ninja", "-C", BUILD, "build.ninja"])
    tap.check(status == 0, f"meson: {said[-2000:]}")
    programs = json.loads(
        subprocess.run(
            ["meson", "introspect", "--tests", BUILD],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout
    )
    programs = [
        one for one in programs if "unit" in [suite.split(":")[-1] for suite in one["suite"]]
    ]
    targets = [os.path.relpath(one["cmd"][0], BUILD) for one in programs]
    status, said = say(["ninja", "-C", BUILD, "-j", str(JOBS), *targets])
    tap.check(status == 0, f"does not build: {said[-4000:]}")
    warnings = len(re.findall(r"warning:", said))
    tap.check(warnings == 0, f"{warnings} warnings:\n{said[-4000:]}")
    return programs


def prepare():
    need_tools()
    HERE.mkdir(exist_ok=True)
    with open(HERE / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        make_sysroot()
        return build()


def run(program, cpu):
    """What it shows has to be all good; what it leaves out, and why, is noted."""
    if program["name"] in LEFT_OUT:
        raise tap.Skip(LEFT_OUT[program["name"]])
    environment = {**os.environ, **program["env"], "CMOCKA_MESSAGE_OUTPUT": "TAP"}
    # Programs find their libraries by themselves; the order of meson is not theirs.
    environment.pop("LD_LIBRARY_PATH", None)
    begin = time.monotonic()
    done = subprocess.run(
        [
            "timeout",
            "-k",
            "5",
            str(patience.scaled(PROGRAM_SECONDS)),
            EMULATOR,
            "-cpu",
            cpu,
            "-L",
            SYSROOT,
            *program["cmd"],
        ],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    plans = sum(map(int, re.findall(r"^1\.\.(\d+)", done.stdout, re.MULTILINE)))
    skips = len(re.findall(r"^(?:not )?ok \d+.*# SKIP", done.stdout, re.MULTILINE | re.IGNORECASE))
    tap.note(
        f"{program['name']}: {plans} tests, {skips} left out, {time.monotonic() - begin:.1f} s"
    )
    for reason in sorted(set(re.findall(r"^# skip: (.*)", done.stdout, re.MULTILINE))):
        tap.note(f"left out: {reason}")
    tap.check(done.returncode != 124, f"stopped after {PROGRAM_SECONDS} s:\n{done.stdout[-2000:]}")
    # What cmocka says of it: comments, or from version 2 on lines that are indented.
    failed = re.findall(r"^not ok (?!.*# SKIP).*\n(?:[# ].*\n)*", done.stdout, re.MULTILINE)
    tap.check(
        done.returncode == 0 and not failed,
        f"exit status {done.returncode}:\n{''.join(failed) or done.stdout[-2000:]}",
    )
    tap.check(plans > 0, f"no test has run:\n{done.stdout[-2000:]}")


def main():
    programs = []
    with tap.case("the library and its unit tests build for AArch64"):
        programs = prepare()
        wrong = set(sys.argv[1:]) - {program["name"] for program in programs}
        tap.check(not wrong, f"no program {', '.join(sorted(wrong))}")
    for program in programs:
        if not sys.argv[1:] or program["name"] in sys.argv[1:]:
            with tap.case(f"{program['name']} on AArch64"):
                run(program, CPU)
            if program["name"] in ALSO_OLD:
                with tap.case(f"{program['name']} on AArch64 of {OLD_CPU}"):
                    run(program, OLD_CPU)
    tap.finish()


main()
